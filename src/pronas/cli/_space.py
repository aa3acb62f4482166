"""``pronas space``: how many cells a search space has, level by level."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pronas.errors import UsageError

if TYPE_CHECKING:
    from pronas.space import StateSpace

_MOST_BLOCKS = 20  # for which counting takes seconds; for 30 it takes hours


def command(
    space: Annotated[str, typer.Option(help="pnas, flat, binary, or a TOML file.")] = "pnas",
    blocks: Annotated[int | None, typer.Option(help="Blocks in a cell; the space's own number if not given.")] = None,
    children: Annotated[str, typer.Option(help="Children trained at each level after the first, or 'all'.")] = "256",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how many cells each level of a search space has, and how many of them a search trains."""
    from pronas.space import space as find_space

    chosen = find_space(space, blocks)
    if chosen.B > _MOST_BLOCKS:
        raise UsageError(f"cells of {chosen.B} blocks take too long to count; --blocks is at most {_MOST_BLOCKS} here")
    report = _report(chosen, _children(children))
    if as_json:
        typer.echo(json.dumps({"space": chosen.to_dict(), **report}, indent=2))
    else:
        typer.echo(_text(space, chosen, report))


def _children(text: str) -> int | None:
    """Return K, or None for all."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--children is a number of at least 1, or 'all', not {text!r}")
    return int(text)


def _report(space: StateSpace, children: int | None) -> dict[str, Any]:
    """Return the counts of every level; ``trained`` takes all of level 1 and at most K of the others."""
    levels = []
    for b in range(1, space.B + 1):
        raw, unique = space.size(b)
        trained = unique if b == 1 or children is None else min(children, unique)
        levels.append({"blocks": b, "inputs": len(space.inputs(b)), "raw": raw, "unique": unique, "trained": trained})
    return {"children": children, "levels": levels, "trained": sum(level["trained"] for level in levels)}


def _text(name: str, space: StateSpace, report: dict[str, Any]) -> str:
    columns = ("blocks", "inputs", "raw", "unique", "trained")
    table = [columns, *(tuple(_number(level[c]) for c in columns) for level in report["levels"])]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    kind = "flat cells" if space.flat else f"{-space.input_lookback_depth} earlier cells"
    return "\n".join(
        [
            f"{name}: {kind}, {len(space.operators)} operators: {', '.join(space.operators)}",
            *("  ".join(x.rjust(w) for x, w in zip(row, widths, strict=True)) for row in table),
            f"trained in all: {_number(report['trained'])} ({_plan(report['children'])})",
        ]
    )


def _plan(children: int | None) -> str:
    return "every cell" if children is None else f"level 1 whole, then {children} children a level"


def _number(value: int) -> str:
    return f"{value:,}" if value < 10**12 else f"{float(value):.3e}"
