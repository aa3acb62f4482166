"""Processors and boards by name: a table in TOML, which users extend with one of their own."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

from pronas.errors import UsageError, nearest

_TABLE = Path(__file__).with_name("targets.toml")
_ADDED: list[dict[str, Any]] = []


@final
@dataclass(frozen=True)
class Target:
    """A board, or a processor alone (then without limits).

    Attributes:
        name: as it stands in the table.
        processor: of the board.
        flash, ram: bytes; None where there is no limit.
        megahertz: clock; None where it is not known.
        code: bytes of exported int8 C by kind of operation, "base" in every network.
        bits: the same of binary networks' C, by function.
        instructions: for a multiply-accumulate, roughly.
        cycles: for an instruction, assumed.
    """

    name: str
    processor: str
    flash: int | None
    ram: int | None
    megahertz: float | None
    code: dict[str, int]
    bits: dict[str, int]
    instructions: float
    cycles: float

    def microseconds(self, macs: int) -> float | None:
        """An estimate of the latency of a network of that many multiply-accumulates, or None without a clock."""
        return None if self.megahertz is None else macs * self.instructions * self.cycles / self.megahertz


def load_targets(path: str | os.PathLike[str]) -> None:
    """Add the processors and boards of a file that is written as the table that comes with pronas.

    Args:
        path: of a TOML file with tables ``processors`` and ``boards``; its entries replace those of the same name.

    Raises:
        UsageError: it cannot be read, is no TOML, or a board has no processor that is known.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a table of targets ({error})") from error
    known = set(_tables()["processors"]) | set(table.get("processors", {}))
    for name, board in table.get("boards", {}).items():
        if not isinstance(board, dict) or board.get("processor") not in known:
            raise UsageError(f"{path}: the board {name!r} needs a processor (there are {', '.join(sorted(known))})")
    _ADDED.append(table)


def target_names() -> list[str]:
    """Boards, then processors.

        >>> "cortex-m4" in target_names()
        True

    Returns:
        The names that `target` knows, those of `load_targets` included.
    """
    tables = _tables()
    return [*tables["boards"], *tables["processors"]]


def target(name: str) -> Target:
    """The board or processor of that name.

        >>> target("cortex-m4").name
        'cortex-m4'

    Args:
        name: one of `target_names`.

    Returns:
        Its limits in bytes and its clock in MHz, None where there are none, and its bytes of code.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    tables = _tables()
    if name not in tables["boards"] and name not in tables["processors"]:
        names = target_names()
        raise UsageError(f"no target is called {name!r}{nearest(name, names)} (there are {', '.join(names)})")
    board = tables["boards"].get(name, {})
    processor = board.get("processor", name)
    values = tables["processors"][processor]
    return Target(
        name, processor, board.get("flash"), board.get("ram"), board.get("megahertz"), dict(values["code"]),
        dict(values.get("bits", _own()["processors"]["cortex-m0plus"]["bits"])),
        float(values["instructions"]), float(values["cycles"]),
    )  # fmt: skip


def _tables() -> dict[str, dict[str, Any]]:
    """All tables as one; later ones replace earlier ones of the same name."""
    found: dict[str, dict[str, Any]] = {"boards": {}, "processors": {}}
    for table in (_own(), *_ADDED):
        for kind, entries in found.items():
            entries.update(table.get(kind, {}))
    return found


@lru_cache(maxsize=1)
def _own() -> dict[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))
