"""The memory planner of exported C: every map gets a place in one buffer that is free while it lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Need:
    """``size`` bytes from step ``begin`` to step ``end``, both included."""

    size: int
    begin: int
    end: int


def plan_arena(needs: Sequence[Need], align: int = 1) -> tuple[list[int], int]:
    """Where each need stands, and the bytes of the whole: largest first, each at the first gap that fits.

    Args:
        needs: in any order; places come in the same one, and equal needs always give equal places.
        align: every place is a multiple of it.
    """
    places, size, taken = [0] * len(needs), 0, list[tuple[Need, int, int]]()
    for number in sorted(range(len(needs)), key=lambda n: (-needs[n].size, n)):
        need, at = needs[number], 0
        for other, start, stop in sorted(taken, key=lambda t: t[1]):
            if other.end >= need.begin and other.begin <= need.end and start < at + need.size and stop > at:
                at = -(-stop // align) * align
        taken.append((need, at, at + need.size))
        places[number], size = at, max(size, at + need.size)
    return places, size
