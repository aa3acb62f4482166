"""What belongs together (one person, track or source picture) stays on one side of every split."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.data._split import Indexes, stratified
from pronas.errors import DataError, UsageError


def groups_of(names: Sequence[str], pattern: str, where: str) -> Indexes:
    """The group of each file name: what the pattern's first group matched, or all that it matched.

    Args:
        names: relative file names with ``/``.
        pattern: a regular expression, searched for in each name.
        where: names the folder or archive in errors.

    Returns:
        int64 (n,): equal numbers, from 0, for names of one group.

    Raises:
        UsageError: not a regular expression.
        DataError: a name in which the pattern does not occur.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"group_by={pattern!r}: not a regular expression ({error})") from error
    found = [expression.search(name) for name in names]
    strange = [name for name, match in zip(names, found, strict=True) if match is None]
    if strange:
        raise DataError(
            f"{where}: group_by={pattern!r} matches nothing in {len(strange)} of {len(names)} file names, such as "
            f"{strange[0]}: every image needs a group"
        )
    return numbered([match.group(1 if expression.groups else 0) or "" for match in found if match])


def numbered(groups: ArrayLike) -> Indexes:
    """Groups (n,) of any kind as numbers from 0, in order of first occurrence."""
    known: dict[object, int] = {}
    values = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)  # type: ignore[arg-type]
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def held_out(
    labels: Indexes, groups: Indexes | None, share: int | float, seed: int, what: str
) -> tuple[Indexes, Indexes]:
    """`stratified`, or `grouped` where there are groups."""
    if groups is None:
        return stratified(labels, share, seed, what)
    return grouped(labels, groups, share, seed, what)


def grouped(labels: Indexes, groups: Indexes, held_out: int | float, seed: int, what: str) -> tuple[Indexes, Indexes]:
    """Indexes of the images kept and of those held out, each sorted; whole groups, classes as near to proportion.

    Groups are taken in random order, each that brings the classes nearer to their shares. Every class keeps an image
    at least, and has one held out if its groups allow both.

    Args:
        labels: int64 (n,), classes.
        groups: int64 (n,).
        held_out: about how many images (int, at least 1) or which fraction of them (float, between 0 and 1).
        seed: the same labels, groups and seed give the same split.
        what: names the argument in errors.

    Raises:
        UsageError: ``held_out`` is no fraction, or not a number of images that leaves some.
        DataError: the groups are too few to be split.
    """
    share = _share(held_out, len(labels), what)
    members = numbered(groups)
    classes = np.unique(labels, return_inverse=True)[1]
    counts = np.zeros((int(members.max()) + 1, int(classes.max()) + 1))
    np.add.at(counts, (members, classes), 1)
    chosen = _chosen(counts, share, np.random.default_rng(seed % 2**32))
    if not chosen.any():
        raise DataError(
            f"{what}: of {len(counts)} groups none can be held out without emptying a class: the groups are too few "
            "or too large"
        )
    out = chosen[members]
    return np.flatnonzero(~out), np.flatnonzero(out)


def _share(held_out: int | float, images: int, what: str) -> float:
    share = held_out if isinstance(held_out, float) else held_out / images
    if not 0 < share < 1:
        raise UsageError(
            f"{what}={held_out}: a fraction between 0 and 1 is needed, or a number of images up to {images - 1}"
        )
    return share


def _chosen(counts: NDArray[np.float64], share: float, random: np.random.Generator) -> NDArray[np.bool_]:
    """Which groups (g,) are held out, for their images a class (g, c)."""
    total = counts.sum(0)
    target = share * total
    weight = 1 / np.maximum(target, 1) ** 2
    held = np.zeros_like(total)
    chosen = np.zeros(len(counts), dtype=bool)

    def gain(group: int) -> float:
        row = counts[group]
        if ((held + row >= total) & (row > 0)).any():  # a class would have none left
            return -np.inf
        return float((weight * ((held - target) ** 2 - (held + row - target) ** 2)).sum())

    for group in random.permutation(len(counts)):
        if gain(group) > 0:
            chosen[group] = True
            held += counts[group]
    for missing in np.flatnonzero(held == 0):
        candidates = np.flatnonzero((counts[:, missing] > 0) & ~chosen).tolist()
        best = max(candidates, key=gain, default=None)
        if best is not None and held[missing] == 0 and gain(best) > -np.inf:
            chosen[best] = True
            held += counts[best]
    return chosen
