"""Non-dominated selection (Deb et al. 2002, NSGA-II): fronts first, then the least crowded of the last front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def non_dominated(values: Floats) -> NDArray[np.bool_]:
    """Which rows of ``values`` (n, m), lower is better, no other row is at least as good in all and better in one.

        >>> non_dominated(np.array([[0.1, 5.0], [0.2, 3.0], [0.2, 4.0]])).tolist()
        [True, True, False]

    Args:
        values: float (n, m).

    Returns:
        bool (n,); all of several equal rows.
    """
    result = np.ones(len(values), dtype=bool)
    for i, value in enumerate(values):
        better = (values <= value).all(1) & (values < value).any(1)
        result[i] = not better.any()
    return result


def crowding(values: Floats) -> Floats:
    """Crowding distance (n,): the extent of the box between each row's neighbours; infinite at the ends."""
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        extent = float(np.ptp(column)) or 1.0
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return distance


def select_front(values: Floats, count: int) -> NDArray[np.int64]:
    """Choose ``count`` rows: whole fronts while they fit, then the least crowded of the next (Deb et al. 2002).

        >>> select_front(np.array([[0.1, 5.0], [0.2, 3.0], [0.2, 4.0], [0.3, 1.0]]), 3).tolist()
        [0, 3, 1]

    Args:
        values: float (n, m), lower is better.
        count: how many; all, where there are fewer.

    Returns:
        Indexes int64 (count or n,), front by front, the least crowded of each first.
    """
    left = np.arange(len(values))
    chosen: list[int] = []
    while len(left) and len(chosen) < count:
        front = left[non_dominated(values[left])]
        order = np.argsort(-crowding(values[front]), kind="stable")
        chosen += front[order][: count - len(chosen)].tolist()
        left = np.setdiff1d(left, front, assume_unique=True)
    return np.array(chosen, dtype=np.int64)
