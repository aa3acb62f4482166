"""Early stopping across the children of a search: successive halving (Jamieson and Talwalkar, AISTATS 2016)."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pronas.runs.store import Child, Store
from pronas.training import ChildResult

#: Of a stopped child's metrics: its measured accuracy, where its reward is an estimate.
STOPPED = "stopped_accuracy"


def rungs(epochs: int, factor: int | None) -> list[int]:
    """Return the epochs of each rung, shortest first; the last is ``epochs``.

    Each rung trains ``factor`` times as long as the one before. ``None``: one rung, nothing is stopped early.

        >>> rungs(20, 4)
        [1, 5, 20]
    """
    lengths = [epochs]
    while factor is not None and (shorter := round(lengths[0] / factor)) >= 1 and shorter < lengths[0]:
        lengths.insert(0, shorter)
    return lengths


def promoted(accuracies: Mapping[int, float], factor: int) -> list[int]:
    """Return which go on to the next rung: the best one in ``factor``, at least one; of equals the smaller numbers."""
    best = sorted(accuracies, key=lambda number: (-accuracies[number], number))
    return sorted(best[: math.ceil(len(best) / factor)])


def estimate(accuracy: float, finished: Sequence[tuple[float, float]]) -> float:
    """Return the reward that a child stopped at ``accuracy`` would have had.

    It is given what those that were trained to the end gained after the same rung (the median), so the order among
    stopped children stays; and it stays below the best of those, so that the best child is always one trained to the
    end.

    Args:
        accuracy: validation accuracy after its last rung.
        finished: of the children trained to the end, the accuracy after that rung and the final one.
    """
    if not finished:
        return accuracy
    gain = statistics.median(final - early for early, final in finished)
    return max(0.0, min(accuracy + gain, max(final for _, final in finished) - 1e-6))


class Rungs:
    """What children got to on each rung, kept in the store as ``meta`` entries ``rungs:ID``.

    Each rung is a training of its own from the start, with the whole schedule: that ranks better than the first epochs
    of a longer one, needs no state of workers, and costs only one part in ``factor`` more.
    """

    def __init__(self, store: Store, children: Iterable[Child]) -> None:
        self._store = store
        self._found: dict[int, list[ChildResult]] = {}
        for child in children:
            found = store.meta(f"rungs:{child.id}")
            if found:
                self._found[child.id] = [ChildResult(child.cell, **values) for values in found]

    def count(self, child: int) -> int:
        """How many rungs the child has behind it."""
        return len(self._found.get(child, ()))

    def add(self, child: int, result: ChildResult) -> None:
        """Record a child's next rung."""
        self._found.setdefault(child, []).append(replace(result, weights=None))
        self._store.set_meta(**{f"rungs:{child}": [_plain(one) for one in self._found[child]]})

    def result(self, child: int, number: int) -> ChildResult | None:
        """Return what the child got to on rung ``number``, from 0, or ``None``."""
        found = self._found.get(child, ())
        return found[number] if number < len(found) else None

    def accuracies(self, children: Iterable[int], number: int) -> dict[int, float]:
        """Return the accuracies of those that finished rung ``number``."""
        results = {child: self.result(child, number) for child in children}
        return {child: one.reward for child, one in results.items() if one is not None and one.status == "done"}

    def total(self, child: int) -> ChildResult:
        """Return what the child got to on its last rung, with the images and seconds of all its rungs."""
        found = self._found[child]
        images, seconds = sum(one.images for one in found), sum(one.seconds for one in found)
        return replace(found[-1], images=images, seconds=seconds)

    def stopped(self, child: int, finals: Mapping[int, float]) -> ChildResult:
        """Return what a child that did not go on counts as; ``finals`` are the rewards of those that did, by number."""
        last = self.total(child)
        early = self.accuracies(finals, self.count(child) - 1)
        reward = estimate(last.reward, [(early[number], final) for number, final in finals.items() if number in early])
        return replace(last, reward=reward, metrics={**last.metrics, STOPPED: [last.reward]})


def _plain(result: ChildResult) -> dict[str, Any]:
    values = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {name: value for name, value in values.items() if name not in ("cell", "weights")}
