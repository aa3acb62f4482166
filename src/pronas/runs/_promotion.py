"""The rungs after the first, once all children of a search are there: the best of them all are trained longer.

Finalists of each level would mostly be wasted: the best of level 1 is seldom the best of the search, and of the close
cells of the last level only one would be trained whole (docs/experiments.md, "Early stopping, second design").
"""

from __future__ import annotations

from collections.abc import Mapping

from pronas.runs._events import note
from pronas.runs._halving import promoted
from pronas.runs._rounds import Evaluator
from pronas.runs.store import Child
from pronas.training import ChildResult


def train_promoted(evaluator: Evaluator) -> None:
    """Train the best one in so many children on each next rung; then give all children their final rewards.

    Results of rungs are stored before they decide anything, so a resumed search has the same finalists.
    """
    fidelity, children = evaluator.fidelity, {child.id: child for child in evaluator.children}
    rivals = [number for number in children if fidelity.rungs.count(number)]
    known = {number: twin for number in rivals if (twin := evaluator.find(children[number])) is not None}
    assert fidelity.factor is not None
    for rung, epochs in enumerate(fidelity.lengths[1:], start=1):
        accuracies = fidelity.rungs.accuracies(rivals, rung - 1)
        rivals = promoted(accuracies, fidelity.factor) if accuracies else []
        text = f"early stop: {len(rivals)} of {len(accuracies)} children go on, to {epochs} epochs"
        evaluator.emit(note(text))
        todo = [children[number] for number in rivals if fidelity.rungs.count(number) == rung and number not in known]
        for child, result in evaluator.results(todo, epochs):
            fidelity.rungs.add(child.id, result)
    _settle(evaluator, children, known)


def _settle(evaluator: Evaluator, children: Mapping[int, Child], known: Mapping[int, Child | ChildResult]) -> None:
    rungs, last = evaluator.fidelity.rungs, len(evaluator.fidelity.lengths) - 1
    ended: dict[int, ChildResult | Child] = {
        number: rungs.total(number) for number in children if rungs.result(number, last) is not None
    }
    ended |= known
    finals = {number: result.reward or 0.0 for number, result in ended.items() if result.status == "done"}
    for number, child in children.items():
        if number in ended:
            evaluator.settle(child, ended[number], len(children), known=number in known)
        elif rungs.count(number):
            evaluator.children.settle(number, rungs.stopped(number, finals))
