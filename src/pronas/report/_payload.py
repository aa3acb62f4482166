"""What pages are given: a store's rows as compact JSON, with the pictures' positions beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pronas.errors import PronasError
from pronas.report._classes import class_rows
from pronas.report._reader import COLUMNS, Snapshot
from pronas.space import SIZES, Cell, StateSpace, cell_layout

FIELDS = (*COLUMNS, "genes")
_PRECISE = {"started", "finished"}
_MOST_BLOCKS = 16  # of cells that are counted in a second
#: Entries of ``meta`` that the page has no use for, or has from elsewhere.
_LEFT_OUT = ("revision", "mistakes", "warm_start")


def payload(snapshot: Snapshot, name: str, known_pictures: set[str] | None = None) -> dict[str, Any]:
    """Turn a snapshot into the message that the page's ``receive`` understands.

        >>> payload(Snapshot(run="1", revision=0, children=[], meta={"state": "searching"}), "first run")["name"]
        'first run'

    Args:
        snapshot: what the store held.
        name: of the run.
        known_pictures: wirings the page already has positions of; extended by those sent now.

    Returns:
        Plain values for JSON: rows of children, pictures, curves and facts.
    """
    known = set() if known_pictures is None else known_pictures
    rows, pictures = [], {}
    for child in snapshot.children:
        cell = _cell(child[-1])
        rows.append(
            [*(_number(name, v) for name, v in zip(COLUMNS, child, strict=True)), cell.to_list() if cell else []]
        )
        if cell and (key := _wiring(cell)) not in known:
            known.add(key)
            pictures[key] = picture(cell)
    return {
        "fields": FIELDS,
        "rows": rows,
        "pictures": pictures,
        "sizes": SIZES,
        "running": snapshot.running,
        "fits": snapshot.fits,
        "meta": {key: value for key, value in snapshot.meta.items() if key not in _LEFT_OUT},
        "metrics": snapshot.metrics,
        "classes": class_rows(snapshot.meta.get("final")),
        "exports": snapshot.exports,
        "curves": snapshot.curves,
        "mistakes": snapshot.mistakes,
        "space": space_facts(snapshot.meta.get("config")),
        "name": name,
    }


def picture(cell: Cell) -> dict[str, Any]:
    """Positions of a cell's picture in the form that the page draws (see ``cell.js``)."""
    layout = cell_layout(cell)
    return {
        "box": [layout.width, layout.height],
        "inputs": [[value, *point] for value, point in layout.inputs.items()],
        "blocks": [[*point, int(swap)] for point, swap in zip(layout.blocks, layout.swapped, strict=True)],
        "output": layout.output,
        "edges": layout.paths(),
    }


def space_facts(config: Any) -> dict[str, Any]:
    """Sizes of the space that a run's configuration names; empty where it does not say, or counting takes long."""
    try:
        table = config["space"]
        blocks, operators = int(table["blocks"]), [str(name) for name in table["operators"]]
        if blocks > _MOST_BLOCKS:
            return {}
        space = StateSpace(
            blocks,
            operators=operators,
            input_lookback_depth=int(table.get("lookback", -2)),
            input_lookforward_depth=table.get("lookforward"),
        )
        sizes = [space.size(b) for b in range(1, blocks + 1)]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, PronasError):
        return {}
    levels = [{"level": b, "raw": int(s.raw), "unique": int(s.unique)} for b, s in enumerate(sizes, 1)]
    return {"blocks": blocks, "operators": operators, "unique": sum(int(s.unique) for s in sizes), "levels": levels}


def finite(value: Any) -> Any:
    """Replace what JSON cannot say (NaN, infinities) by None, all the way down."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _wiring(cell: Cell) -> str:
    values: Iterable[int] = (v for block in cell.blocks for v in (block.input1, block.input2))
    return ("flat " if cell.flat else "") + ",".join(map(str, values))


def _cell(text: Any) -> Cell | None:
    try:
        return Cell.parse(str(text))
    except PronasError:
        return None  # a cell of a newer kind: shown as text, without a picture


def _number(name: str, value: Any) -> Any:
    """Six significant digits are more than any plot shows, and keep the page small."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return round(value, 2) if name in _PRECISE else float(f"{value:.6g}")
