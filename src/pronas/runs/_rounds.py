"""One round of a search: its cells are trained, in whatever order they finish, and their rewards given in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pronas.errors import RunError
from pronas.networks import Skeleton
from pronas.runs._children import Children
from pronas.runs._events import STOP, child_event, note
from pronas.runs._fidelity import Fidelity
from pronas.runs.store import Child, Store
from pronas.space import Cell
from pronas.training import ChildProgress, ChildResult, NetworkManager, Trial

Emit = Callable[[dict[str, Any]], object]
Finder = Callable[[Child], Child | ChildResult | None]


@dataclass(frozen=True)
class Evaluator:
    """Trains children, records their results and tells of them.

    Attributes:
        children: where results go.
        store: where progress goes.
        manager: trains them.
        emit: told of every result and every epoch.
        find: finds an identical child's result elsewhere, or ``None``.
        reward: what the predictor learns of a settled child.
        skeleton: the network around a child's cell, where it depends on the cell.
        recipe: gives the fields of a child's recipe that differ from the manager's.
        seconds: that a child may take; it is then cut short in proportion.
        fidelity: how far they are trained.
    """

    children: Children
    store: Store
    manager: NetworkManager
    emit: Emit
    find: Finder
    fidelity: Fidelity
    reward: Callable[[Child], float]
    skeleton: Callable[[Cell], Skeleton] | None = None
    recipe: Callable[[Cell], Mapping[str, Any]] | None = None
    seconds: float | None = None

    def results(
        self, todo: Sequence[Child], epochs: int, *, heirs: bool = False, keep: bool = False
    ) -> Iterator[tuple[Child, ChildResult]]:
        """Train ``todo`` and give the results as they come; progress is stored and told on the way.

        Args:
            todo: what to train.
            epochs: how long.
            heirs: whether they begin with their parents' weights.
            keep: whether to keep their own weights for their heirs.
        """
        parents = self.fidelity.parents(todo) if heirs else {}
        trials = [
            Trial(
                child.cell,
                {"epochs": epochs, **(self.recipe(child.cell) if self.recipe else {})},
                skeleton=self.skeleton(child.cell) if self.skeleton else None,
                parent=parents.get(child.cell),
                keep_weights=keep,
                seconds=self.seconds,
            )
            for child in todo
        ]
        for index, event in self.manager.trials(trials) if trials else ():
            child = todo[index]
            if isinstance(event, ChildProgress):
                self.store.progress(child.id, event.epoch, event.epochs, event.accuracy, event.loss)
                if self.emit(_progress_event(child, event)) == STOP:
                    self.manager.stop(child.cell)
                continue
            if keep:
                self.fidelity.keep(child, event)
            yield child, event

    def settle(self, child: Child, result: ChildResult | Child, total: int, *, known: bool = False) -> Child:
        """Record a result and tell of it; ``total``: children that the whole search is expected to train."""
        before = {one.machine for one in self.children if one.settled and one.machine}
        settled = self.children.settle(child.id, result)
        if before and settled.machine and settled.machine not in before:
            self.emit(note(_elsewhere(settled, sorted(before))))
        self.tell(settled, total, known=known)
        return settled

    def tell(self, child: Child, total: int, *, known: bool) -> None:
        """Tell of a settled child."""
        done = self.children.settled
        self.emit(child_event(child, done, max(total, done), known=known))


def _elsewhere(child: Child, before: Sequence[str | None]) -> str:
    return (
        f"child {child.id} was trained on {child.machine}, those before on {' and '.join(map(str, before))}: "
        "results on both agree, but not to the last bit"
    )


def train_round(proposed: Sequence[Child], evaluator: Evaluator, total: int) -> list[float]:
    """Train the children of a round that have no result yet, committing each result as it comes.

    Where children are stopped early, this is their first rung; `pronas.runs._promotion` does the others.

    Args:
        proposed: the round's children, in the order of proposal.
        evaluator: trains them.
        total: children that the whole search is expected to train, for the events.

    Returns:
        What the predictor learns of them, in the order of proposal; 0 for a failed child.
    """
    round_ = _Round(proposed, evaluator, total)
    round_.take_known()
    round_.train()
    return [evaluator.reward(round_.settled[child.id]) for child in proposed]


class _Round:
    """A round in training. Whatever decides anything is in the store before it does, so that a resumed round is the
    same: results, and what children got to on their first rung."""

    def __init__(self, proposed: Sequence[Child], evaluator: Evaluator, total: int) -> None:
        self._proposed, self._evaluator, self._total = proposed, evaluator, total
        self._fidelity = evaluator.fidelity
        self.settled: dict[int, Child] = {}

    def take_known(self) -> None:
        """Take over what is settled already, and results of identical children."""
        for child in self._proposed:
            if child.settled:
                self.settled[child.id] = child
                self._evaluator.tell(child, self._total, known=True)
            elif self._fidelity.rungs.count(child.id):  # cut off between the two records
                self._settle(child, self._fidelity.rungs.stopped(child.id, {}))
        if self._fidelity.stops:
            return  # a whole training's reward does not compare with those of the first rung: the finals take it
        for child in self._left(self._proposed):
            twin = self._evaluator.find(child)
            if twin is not None:
                self._settle(child, twin, known=True)

    def train(self) -> None:
        """Train the others: those that begin with their parents' weights for their own few epochs first."""
        heirs = [child for child in self._proposed if self._fidelity.inherits(child)]
        own = {child.id for child in heirs}
        if self._fidelity.inherit is not None:
            self._train(heirs, self._fidelity.inherit, heirs=True)
        self._train([child for child in self._proposed if child.id not in own], self._fidelity.lengths[0])

    def _train(self, group: Sequence[Child], epochs: int, *, heirs: bool = False) -> None:
        first_rung = self._fidelity.stops and epochs < self._fidelity.lengths[-1]
        keep = self._fidelity.inherit is not None
        for child, result in self._evaluator.results(self._left(group), epochs, heirs=heirs, keep=keep):
            if first_rung and result.status == "done":
                self._fidelity.rungs.add(child.id, result)
                result = self._fidelity.rungs.stopped(child.id, {})
            self._settle(child, result)

    def _left(self, group: Sequence[Child]) -> list[Child]:
        return [child for child in group if child.id not in self.settled]

    def _settle(self, child: Child, result: ChildResult | Child, *, known: bool = False) -> None:
        self.settled[child.id] = self._evaluator.settle(child, result, self._total, known=known)


def refuse_hopeless(round_: Sequence[Child]) -> None:
    """Stop a search whose first children all failed: nothing can be learnt from them.

    Raises:
        RunError: with the most common reason.
    """
    if round_ and all(child.status == "failed" for child in round_):
        reason, count = Counter(child.error or "no reason given" for child in round_).most_common(1)[0]
        raise RunError(
            f"all {len(round_)} children of the first level failed, {count} of them with: {reason}; "
            "mend that and start again in another folder"
        )


def _progress_event(child: Child, event: ChildProgress) -> dict[str, Any]:
    facts = {name: getattr(event, name) for name in ("epoch", "epochs", "accuracy", "loss", "worker")}
    return {"event": "progress", "id": child.id, "level": child.level, **facts}
