"""One round of a search: its cells are trained, in whatever order they finish, and their rewards given in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pronas.errors import RunError
from pronas.search._children import Children
from pronas.search._halving import Rungs, promoted, rungs
from pronas.search._savings import Savings
from pronas.search._store import Child, Store
from pronas.training import ChildProgress, ChildResult, NetworkManager

Emit = Callable[[dict[str, Any]], None]
Finder = Callable[[Child], Child | None]


def train_round(
    proposed: Sequence[Child],
    children: Children,
    store: Store,
    manager: NetworkManager,
    total: int,
    emit: Emit,
    find: Finder,
    savings: Savings,
) -> list[float]:
    """Train the children of a round that have no result yet, committing each result as it comes.

    Args:
        proposed: the round's children, in the order of proposal.
        children: where results go.
        store: where progress goes.
        manager: trains them.
        total: children that the whole search is expected to train, for the events.
        emit: told of every result and every epoch.
        find: finds an identical child's result elsewhere, or ``None``.
        savings: how to spend less on training.

    Returns:
        Rewards in the order of proposal; 0 for a failed child.
    """
    round_ = _Round(proposed, children, store, manager, total, emit, savings)
    round_.take_known(find)
    round_.train()
    return [round_.settled[child.id].reward or 0.0 for child in proposed]


class _Round:
    """A round in training. Whatever decides anything is in the store before it does, so that a resumed round is the
    same: results, and what children got to on shorter rungs."""

    def __init__(
        self,
        proposed: Sequence[Child],
        children: Children,
        store: Store,
        manager: NetworkManager,
        total: int,
        emit: Emit,
        savings: Savings,
    ) -> None:
        self._proposed, self._children, self._store, self._manager = proposed, children, store, manager
        self._total, self._emit, self._savings = total, emit, savings
        self._rungs = Rungs(store, proposed)
        self.settled: dict[int, Child] = {}

    def take_known(self, find: Finder) -> None:
        """Take over what is settled already, and results of identical children."""
        for child in self._proposed:
            if child.settled:
                self._tell(child, known=True)
        for child in self._proposed:
            twin = None if child.settled else find(child)
            if twin is not None:
                self._tell(self._children.settle(child.id, twin), known=True)

    def train(self) -> None:
        """Train the others: those that inherit for their own few epochs first, the rest rung by rung."""
        whole, factor, short = self._savings.epochs, self._savings.early_stop, self._savings.inherit
        heirs = [child for child in self._proposed if self._savings.inherits(child)]
        known = {child.id for child in heirs}
        if short is None or factor is None or short >= whole:
            self._train_to_the_end([child for child in heirs if child.id not in self.settled], short, heirs=True)
        else:
            self._compete(heirs, [short, whole], heirs=True)
        self._compete([child for child in self._proposed if child.id not in known], rungs(whole, factor))

    def _compete(self, group: Sequence[Child], lengths: Sequence[int], *, heirs: bool = False) -> None:
        """Train a group rung by rung; heirs start from their parents' weights, but for the last, whole training."""
        group = [child for child in group if self._rungs.holds(child.id) or child.id not in self.settled]
        rivals = list(group)
        for number, epochs in enumerate(lengths[:-1]):
            self._try_out(rivals, number, epochs, heirs=heirs)
            rivals = self._go_on(rivals, number, lengths[number + 1])
        self._train_to_the_end([child for child in rivals if child.id not in self.settled], None)
        self._settle_stopped(group, rivals)

    def _try_out(self, rivals: Sequence[Child], number: int, epochs: int, *, heirs: bool) -> None:
        todo = [child for child in rivals if child.id not in self.settled and self._rungs.count(child.id) <= number]
        for child, result in self._results(todo, epochs, heirs=heirs):
            if result.status == "failed":
                self._settle(child, result)
            else:
                self._savings.keep(child, result)
                self._rungs.add(child.id, result)

    def _go_on(self, rivals: Sequence[Child], number: int, epochs: int) -> list[Child]:
        assert self._savings.early_stop is not None
        accuracies = self._rungs.accuracies([child.id for child in rivals], number)
        chosen = set(promoted(accuracies, self._savings.early_stop)) if accuracies else set()
        if accuracies:
            text = f"early stop: {len(chosen)} of {len(accuracies)} children go on, to {epochs} epochs"
            self._emit({"event": "note", "text": text})
        return [child for child in rivals if child.id in chosen]

    def _train_to_the_end(self, todo: Sequence[Child], epochs: int | None, *, heirs: bool = False) -> None:
        for child, result in self._results(todo, epochs, heirs=heirs):
            self._savings.keep(child, result)
            self._settle(child, result)

    def _settle_stopped(self, group: Sequence[Child], finalists: Sequence[Child]) -> None:
        last = [self.settled[child.id] for child in finalists]
        finals = {child.id: child.reward or 0.0 for child in last if child.status == "done"}
        for child in group:
            if child.id not in self.settled:
                self._settle(child, self._rungs.stopped(child, finals))

    def _settle(self, child: Child, result: ChildResult) -> None:
        self._tell(self._children.settle(child.id, self._rungs.summed(child.id, result)), known=False)

    def _tell(self, child: Child, *, known: bool) -> None:
        self.settled[child.id] = child
        total = max(self._total, self._children.settled)
        self._emit(child_event(child, self._children.settled, total, known=known))

    def _results(
        self, todo: Sequence[Child], epochs: int | None, *, heirs: bool
    ) -> Iterator[tuple[Child, ChildResult]]:
        """Train ``todo`` and give the results as they come; progress is stored and told on the way."""
        by_cell = {child.cell: child for child in todo}
        recipes = [{} if epochs is None else {"epochs": epochs}] * len(by_cell)
        parents, keep = self._savings.parents(todo) if heirs else {}, self._savings.inherit is not None
        events = self._manager.events(by_cell, recipes=recipes, parents=parents, keep_weights=keep) if todo else ()
        for event in events:
            child = by_cell[event.cell]
            if isinstance(event, ChildProgress):
                self._store.progress(child.id, event.epoch, event.epochs, event.accuracy, event.loss)
                self._emit(_progress_event(child, event))
            else:
                yield child, event


def refuse_hopeless(round_: Sequence[Child]) -> None:
    """Stop a search whose first children all failed: nothing can be learnt from them.

    Raises:
        RunError: with the most common reason.
    """
    if round_ and all(child.status == "failed" for child in round_):
        reason, count = Counter(child.error or "no reason given" for child in round_).most_common(1)[0]
        raise RunError(
            f"all {len(round_)} children of the first level failed, {count} of them with: {reason}; "
            "mend that and start again in another --out"
        )


def child_event(child: Child, done: int, total: int, *, known: bool) -> dict[str, Any]:
    """Return the event ``child``: one more result."""
    names = ("id", "level", "round", "status", "reward", "predicted", "error", "seconds", "parameters", "weight_bits")
    facts = {name: getattr(child, name) for name in names}
    return {"event": "child", **facts, "cell": str(child.cell), "known": known, "done": done, "total": total}


def _progress_event(child: Child, event: ChildProgress) -> dict[str, Any]:
    facts = {name: getattr(event, name) for name in ("epoch", "epochs", "accuracy", "loss", "worker")}
    return {"event": "progress", "id": child.id, "level": child.level, **facts}
