"""The rungs after the first, once all children of a search are there: the best of them all are trained longer.

Finalists of each level would mostly be wasted: the best of level 1 is seldom the best of the search, and of the close
cells of the last level only one would be trained whole (docs/experiments.md, "Early stopping, second design").
"""

from __future__ import annotations

from collections.abc import Mapping

from pronas.runs._halving import promoted
from pronas.runs._rounds import Lessons
from pronas.runs._store import Child
from pronas.training import ChildResult


def train_finalists(lessons: Lessons) -> None:
    """Train the best one in so many children on each next rung; then give all children their final rewards.

    Results of rungs are stored before they decide anything, so a resumed search has the same finalists.
    """
    savings, children = lessons.savings, {child.id: child for child in lessons.children}
    rivals = [number for number in children if savings.rungs.count(number)]
    known = {number: twin for number in rivals if (twin := lessons.find(children[number])) is not None}
    assert savings.factor is not None
    for rung, epochs in enumerate(savings.lengths[1:], start=1):
        accuracies = savings.rungs.accuracies(rivals, rung - 1)
        rivals = promoted(accuracies, savings.factor) if accuracies else []
        text = f"early stop: {len(rivals)} of {len(accuracies)} children go on, to {epochs} epochs"
        lessons.emit({"event": "note", "text": text})
        todo = [children[number] for number in rivals if savings.rungs.count(number) == rung and number not in known]
        for child, result in lessons.results(todo, epochs):
            savings.rungs.add(child.id, result)
    _settle(lessons, children, known)


def _settle(lessons: Lessons, children: Mapping[int, Child], known: Mapping[int, Child]) -> None:
    rungs, last = lessons.savings.rungs, len(lessons.savings.lengths) - 1
    ended: dict[int, ChildResult | Child] = {
        number: rungs.total(number) for number in children if rungs.result(number, last) is not None
    }
    ended |= known
    finals = {number: result.reward or 0.0 for number, result in ended.items() if result.status == "done"}
    for number, child in children.items():
        if number in ended:
            lessons.settle(child, ended[number], len(children), known=number in known)
        elif rungs.count(number):
            lessons.children.settle(number, rungs.stopped(number, finals))
