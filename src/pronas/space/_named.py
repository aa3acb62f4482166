"""Spaces by name, and spaces written down in TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pronas.errors import UsageError, nearest
from pronas.space._names import BINARY_OPERATORS, PAPER_OPERATORS
from pronas.space._state_space import StateSpace

#: name -> (operators, lookback depth, blocks when nothing is said)
_SPACES: dict[str, tuple[tuple[str, ...], int, int]] = {
    "pnas": (PAPER_OPERATORS, -2, 5),
    "flat": (("3x3 dconv", "5x5 dconv", "7x7 dconv", "1x7-7x1 conv", "3x3 maxpool", "3x3 avgpool"), 0, 3),
    "binary": (BINARY_OPERATORS, 0, 3),
}

#: entry of a file -> argument of StateSpace
_ENTRIES = {
    "B": "B",
    "blocks": "B",
    "operators": "operators",
    "input_lookback_depth": "input_lookback_depth",
    "lookback": "input_lookback_depth",
    "input_lookforward_depth": "input_lookforward_depth",
    "lookforward": "input_lookforward_depth",
}


def space_names() -> tuple[str, ...]:
    """Return the names that `named_space` knows."""
    return tuple(_SPACES)


def named_space(name: str, B: int | None = None) -> StateSpace:  # noqa: N803 - the paper's name
    """Return a space by name: ``pnas`` (the paper's), ``flat`` (the old small search) or ``binary`` (flat, binarized).

    Args:
        name: one of `space_names`.
        B: blocks; ``None``: 5 for ``pnas``, 3 for the others.

    Raises:
        UsageError: no space has that name (the nearest is given), or B < 1.
    """
    if name not in _SPACES:
        hint = nearest(name, _SPACES) or f"; there are {', '.join(_SPACES)}, or a TOML file"
        raise UsageError(f"unknown space {name!r}{hint}")
    operators, lookback, blocks = _SPACES[name]
    return StateSpace(blocks if B is None else B, operators, lookback)


def space(name_or_path: str | Path, B: int | None = None) -> StateSpace:  # noqa: N803
    """Return `named_space`, or the space of a TOML file where the text ends in ``.toml`` or names a file."""
    if str(name_or_path) in _SPACES:
        return named_space(str(name_or_path), B)
    path = Path(name_or_path)
    return space_from_toml(path, B) if path.suffix == ".toml" or path.is_file() else named_space(str(name_or_path), B)


def space_from_toml(path: str | Path, B: int | None = None) -> StateSpace:  # noqa: N803
    """Read a space from a TOML file.

    At the top of the file, or in its table ``[space]``: ``blocks`` (or ``B``), ``operators``, ``lookback`` (or
    ``input_lookback_depth``), ``lookforward`` (or ``input_lookforward_depth``), and ``kind``: the named space that
    gives what is left out (``pnas``).

    Args:
        path: the file.
        B: overrides the file's number of blocks.

    Raises:
        UsageError: the file cannot be read, is no TOML, or an entry is unknown or wrong; the message names the file.
    """
    try:
        return _from_table(_load(Path(path)), B)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _load(path: Path) -> Mapping[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise UsageError(f"is not a TOML file ({error})") from error
    table = data.get("space", data)
    if not isinstance(table, dict):
        raise UsageError("space is a table, [space]")
    return table


def _from_table(table: Mapping[str, Any], blocks: int | None) -> StateSpace:
    arguments: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _ENTRIES and name != "kind":
            raise UsageError(f"unknown entry {name!r}{nearest(name, [*_ENTRIES, 'kind'])}")
        if name != "kind":
            if _ENTRIES[name] in arguments:
                raise UsageError(f"{name!r} is given twice, under two names")
            arguments[_ENTRIES[name]] = value
    kind = table.get("kind", "pnas")
    base = named_space("pnas" if kind == "custom" else str(kind), blocks)
    if blocks is not None:
        arguments["B"] = blocks
    return StateSpace.from_dict({**base.to_dict(), **arguments})
