"""One round of a search: its cells are trained, in whatever order they finish, and their rewards given in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pronas.errors import RunError
from pronas.search._children import Children
from pronas.search._store import Child, Store
from pronas.training import ChildProgress, NetworkManager

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

    Returns:
        Rewards in the order of proposal; 0 for a failed child.
    """
    settled = {child.id: child for child in proposed if child.settled}

    def settle(child: Child, *, known: bool) -> None:
        settled[child.id] = child
        emit(child_event(child, children.settled, max(total, children.settled), known=known))

    for child in list(settled.values()):
        settle(child, known=True)
    for child in proposed:
        twin = None if child.settled else find(child)
        if twin is not None:
            settle(children.settle(child.id, twin), known=True)
    waiting = [child for child in proposed if child.id not in settled]
    for child, event in _events(manager, waiting):
        if isinstance(event, ChildProgress):
            store.progress(child.id, event.epoch, event.epochs, event.accuracy, event.loss)
            emit(_progress_event(child, event))
        else:
            settle(children.settle(child.id, event), known=False)
    return [settled[child.id].reward or 0.0 for child in proposed]


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


def _events(manager: NetworkManager, waiting: Sequence[Child]) -> Iterator[tuple[Child, Any]]:
    """Pair the manager's events with the children they are about."""
    by_cell = {child.cell: child for child in waiting}
    if waiting:
        for event in manager.events([child.cell for child in waiting]):
            yield by_cell[event.cell], event
