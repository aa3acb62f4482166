"""A search that begins with rewards which are known: those of an earlier system's files, or of another run's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pronas.errors import RunError, SettingError, UsageError, shown
from pronas.runs._children import Children
from pronas.runs.store import Store
from pronas.space import Cell, StateSpace

#: The round under which a store keeps cells whose rewards were known before the search.
ROUND = 0
_PARAGRAPH = re.compile(r"^Reward:\s*(\S+)\s*$\n^Architecture:\s*(.+?)\s*$", re.MULTILINE)
_MOST = 1 << 28  # bytes


def read_known(path: str, space: StateSpace) -> list[tuple[Cell, float]]:
    """Read cells and rewards of ``train_history.csv``, ``scores_B.csv`` or ``architectures/NAME.txt``.

    Args:
        path: of the file; lines that are of another form are an error, so that nothing is dropped in silence.
        space: of the search.

    Returns:
        Each cell once, fewest blocks first, in the file's order; of equal ones the mean reward.

    Raises:
        SettingError: it cannot be read, or an entry is no reward from 0 to 1 and a cell of the space; the message names
            the first such entry.
    """
    found: dict[Cell, list[float]] = {}
    for number, reward, text in _entries(path):
        try:
            value, cell = float(reward), Cell.parse(text).canonical()
            space.encode([cell])
        except (UsageError, ValueError, KeyError) as error:
            raise SettingError(f"warm_start: {path}, entry {number}: {error}", "warm_start") from error
        if not 0 <= value <= 1:
            text = f"warm_start: {path}, entry {number}: a reward lies between 0 and 1, not {reward}"
            raise SettingError(text, "warm_start")
        found.setdefault(cell, []).append(value)
    if not found:
        raise SettingError(f"warm_start: {path} holds no rewards and cells", "warm_start")
    pairs = [(cell, sum(values) / len(values)) for cell, values in found.items()]
    return sorted(pairs, key=lambda pair: len(pair[0]))


def _entries(path: str) -> Iterator[tuple[int, str, str]]:
    """Number, reward and cell of each entry, as they are written."""
    file = Path(path)
    try:
        if file.stat().st_size > _MOST:
            raise SettingError(f"warm_start: {path} is larger than {_MOST >> 20} MiB", "warm_start")
        text = file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingError(f"warm_start: {path} cannot be read ({reason})", "warm_start") from error
    if file.suffix == ".txt":
        for number, match in enumerate(_PARAGRAPH.finditer(text), start=1):
            yield number, match[1], match[2]
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            reward, _, cell = line.partition(",")
            yield number, reward, cell


def keep_known(children: Children, store: Store, known: Sequence[tuple[Cell, float]], name: str) -> bool:
    """Record what is known as settled children, before any other; a run that was cut off here goes on.

    Args:
        children: of the run.
        store: of the run.
        known: what `read_known` gave; of a run that has begun, its store says it.
        name: of the file.

    Returns:
        Whether anything is known.
    """
    pairs = store.meta("warm_start")
    if pairs is None:
        if not known or len(children):
            return False
        pairs = [[str(cell), reward] for cell, reward in known]
        store.set_meta(warm_start=pairs)
    rewards = {str(cell): (cell, reward) for cell, reward in _stored_pairs(pairs, store)}
    recorded = {child.canonical for child in children if child.round == ROUND}
    missing = [cell for text, (cell, _) in rewards.items() if text not in recorded]
    for level in sorted({len(cell) for cell in missing}):
        cells = [cell for cell in missing if len(cell) == level]
        children.propose(level, ROUND, cells, [{}] * len(cells))
    for child in [one for one in children if one.round == ROUND and not one.settled and one.canonical in rewards]:
        reward = rewards[child.canonical][1]
        children.settle(child.id, replace(child, status="done", reward=reward, worker=f"known from {name}"))
    return True


def _stored_pairs(pairs: Any, store: Store) -> list[tuple[Cell, float]]:
    try:
        return [(Cell.parse(text), float(reward)) for text, reward in pairs]
    except (TypeError, ValueError, AttributeError) as error:
        text = f"{store.path}: the entry 'warm_start' cannot be read ({shown(str(error))}); restore a copy of the file"
        raise RunError(text) from error
