"""How many cells there are, raw and without duplicates, by counting instead of enumerating.

By Burnside's lemma the number of classes under renumbering of b blocks is the mean, over all b! renumberings, of how
many block structures each leaves fixed. That number depends only on the lengths of its cycles. A fixed structure has no
cycle of reads, so its cycles of blocks form layers; inclusion and exclusion over the cycles that nobody reads gives

    a(S) = sum over nonempty T in S of (-1)^(|T|+1) a(S \\ T) prod over t in T of w_t(S \\ T)

where w_t(R) is the number of ways in which a block of cycle t may read the inputs of the cell and the blocks of R so
that the renumbering leaves it as it is. Swapped halves are the same: pairs of halves are unordered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from math import comb, factorial, prod
from typing import NamedTuple

Cycles = tuple[int, ...]  # lengths of cycles, ascending


class Size(NamedTuple):
    """The number of cells of a level.

    >>> from pronas.space import named_space
    >>> named_space("pnas").size(2)
    Size(raw=147456, unique=31620)
    """

    raw: int
    """As written down: swapped halves and renumbered blocks count as different."""
    unique: int
    """Without duplicates under both symmetries."""


def count_raw(inputs: tuple[int, ...], operators: int) -> int:
    """Return the product over blocks of (inputs x operators)², where block i has ``inputs[i]`` inputs."""
    return prod((n * operators) ** 2 for n in inputs)


@cache
def count_unique(b: int, inputs: int, operators: int, limit: int | None = None) -> int:
    """Return the number of classes of cells of b blocks.

    Args:
        b: blocks.
        inputs: inputs of the cell.
        operators: operators.
        limit: count only the classes in which at most so many blocks are read by others: those can be numbered first.
    """
    ways = _Ways(inputs, operators)
    total = Fraction(0)
    for cycles in _partitions(b):
        fixed = ways.fixed(cycles) if limit is None or limit >= b - 1 else ways.fixed_limited(cycles, limit)
        total += Fraction(fixed, _centralizer(cycles))
    return int(total)


class _Ways:
    """Counts structures that a renumbering with the given cycles leaves fixed."""

    def __init__(self, inputs: int, operators: int) -> None:
        self.inputs, self.operators = inputs, operators
        self._memory: dict[Cycles, int] = {(): 1}

    def block(self, length: int, readable: Cycles) -> int:
        """Return w_t(R): ways of a block in a cycle of ``length`` that reads inputs and the cycles ``readable``.

        Going once around its own cycle must leave the pair of halves as it is: each half stays (its source's cycle
        divides the length), or the two change places.
        """
        stay = self.operators * (self.inputs + sum(m for m in readable if length % m == 0))
        swap = self.operators * sum(m for m in readable if 2 * length % m == 0 and length % m)
        return stay * (stay + 1) // 2 + swap // 2

    def free(self, cycles: Cycles, readable: Cycles) -> int:
        """Return the ways of all ``cycles`` where each reads inputs and ``readable`` only."""
        return prod(self.block(length, readable) for length in cycles)

    def fixed(self, cycles: Cycles) -> int:
        """Return a(S)."""
        if cycles not in self._memory:
            terms = (
                -((-1) ** len(unread)) * times * self.fixed(rest) * self.free(unread, rest)
                for unread, rest, times in _splits(cycles)
                if unread
            )
            self._memory[cycles] = sum(terms)
        return self._memory[cycles]

    def fixed_limited(self, cycles: Cycles, limit: int) -> int:
        """Return how many of the structures of a(S) have at most ``limit`` blocks that others read.

        a(V) free(S \\ V, V) counts those where only blocks of V are read; those where exactly W is read follow by
        inclusion and exclusion over V in W.
        """
        total = 0
        for read, others, times in _splits(cycles):
            if sum(read) > limit:
                continue
            for more, less, ways in _splits(read):
                sign = (-1) ** len(more)
                unread = tuple(sorted(others + more))
                total += times * ways * sign * self.fixed(less) * self.free(unread, less)
        return total


def _splits(cycles: Cycles) -> Iterator[tuple[Cycles, Cycles, int]]:
    """Yield (part, rest, how often) for every way to take a part of a multiset of cycles."""
    counts = sorted(Counter(cycles).items())
    for taken in product(*(range(n + 1) for _, n in counts)):
        part = tuple(m for (m, _), k in zip(counts, taken, strict=True) for _ in range(k))
        rest = tuple(m for (m, n), k in zip(counts, taken, strict=True) for _ in range(n - k))
        yield part, rest, prod(comb(n, k) for (_, n), k in zip(counts, taken, strict=True))


def _partitions(n: int, smallest: int = 1) -> Iterator[Cycles]:
    """Yield the partitions of n in ascending parts."""
    if n == 0:
        yield ()
    for first in range(smallest, n + 1):
        for rest in _partitions(n - first, first):
            yield (first, *rest)


def _centralizer(cycles: Cycles) -> int:
    """Return b! divided by the number of renumberings with these cycles."""
    return prod(m**k * factorial(k) for m, k in Counter(cycles).items())
