"""What the named spaces are, and what a TOML file says of a space: arguments of ``StateSpace`` as plain data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pronas.errors import UsageError, nearest
from pronas.space._names import BINARY_OPERATORS, PAPER_OPERATORS, RESIDUAL_OPERATORS

#: name -> (operators, lookback depth, blocks when nothing is said)
SPACES: dict[str, tuple[tuple[str, ...], int, int]] = {
    "pnas": (PAPER_OPERATORS, -2, 5),
    "flat": (("3x3 dconv", "5x5 dconv", "7x7 dconv", "1x7-7x1 conv", "3x3 maxpool", "3x3 avgpool"), 0, 3),
    "residual": (RESIDUAL_OPERATORS, 0, 3),
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


def named_arguments(name: str, blocks: int | None) -> dict[str, Any]:
    """Return the arguments of a named space.

    Raises:
        UsageError: no space has that name; the nearest is given.
    """
    if name not in SPACES:
        hint = nearest(name, SPACES) or f"; there are {', '.join(SPACES)}, or a TOML file"
        raise UsageError(f"unknown space {name!r}{hint}")
    operators, lookback, usual = SPACES[name]
    return {"B": usual if blocks is None else blocks, "operators": operators, "input_lookback_depth": lookback}


def file_arguments(path: Path, blocks: int | None) -> dict[str, Any]:
    """Return the arguments that a TOML file gives; ``blocks`` overrides the file's.

    Raises:
        UsageError: the file cannot be read, is no TOML, or an entry is unknown or given twice.
    """
    table = _load(path)
    arguments: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _ENTRIES and name != "kind":
            raise UsageError(f"unknown entry {name!r}{nearest(name, [*_ENTRIES, 'kind'])}")
        if name != "kind":
            if _ENTRIES[name] in arguments:
                raise UsageError(f"{name!r} is given twice, under two names")
            arguments[_ENTRIES[name]] = value
    kind = table.get("kind", "pnas")
    base = named_arguments("pnas" if kind == "custom" else str(kind), blocks)
    return base | arguments | ({} if blocks is None else {"B": blocks})


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
