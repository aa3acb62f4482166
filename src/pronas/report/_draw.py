"""A cell's picture in a file: SVG as it is, other kinds drawn by matplotlib at the same places."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

from pronas.errors import UsageError
from pronas.files import write_atomic
from pronas.report._reader import RunReader
from pronas.space import PALETTES, SIZES, Cell, CellLayout, cell_layout, cell_svg, input_label, operator_family, shorten


def best_cell(run: str | Path) -> Cell:
    """Return the winner of a run, or the best child so far.

    Args:
        run: the run folder.

    Returns:
        The cell.

    Raises:
        RunError: it is not a run.
        UsageError: nothing is trained yet.
    """
    with RunReader(run) as reader:
        snapshot = reader.read()
    final = snapshot.meta.get("final")
    if isinstance(final, dict) and final.get("cell"):
        return Cell.parse(str(final["cell"]))
    text = snapshot.best_cell()
    if text is None:
        raise UsageError(f"nothing is trained yet in {str(run)!r}: there is no best cell to draw")
    return Cell.parse(text)


def draw_cell(cell: Cell, out: str | Path, theme: str = "auto") -> Path:
    """Write a picture of a cell; the ending of ``out`` says its kind (svg, png, pdf).

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "cell.svg"
        >>> _ = draw_cell(Cell.parse("0:3x3 conv + 0:identity"), path)
        >>> path.read_text().startswith("<svg")
        True

    Args:
        cell: what to draw.
        out: the file to write.
        theme: ``light``, ``dark`` or ``auto`` (what the viewer prefers; in PNG and PDF, which cannot adapt, light).

    Returns:
        The path of the file.

    Raises:
        UsageError: an unknown ending or theme, or ``out`` is a folder.
        OSError: it cannot be written.
    """
    path = Path(out)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as {path / 'cell.svg'}")
    kind = path.suffix[1:].lower()
    if kind == "svg":
        write_atomic(path, cell_svg(cell, theme))
    elif kind in ("png", "pdf"):
        if theme not in ("auto", *PALETTES):
            raise UsageError(f"unknown theme {theme!r}; known: auto, light, dark")
        figure = _figure(cell, PALETTES["light" if theme == "auto" else theme])
        write_atomic(path, picture_of(figure, kind, dpi=200))
    else:
        raise UsageError(f"cannot write {path.name!r}: the ending should be .svg, .png or .pdf")
    return path


def picture_of(figure: Any, kind: str, **options: Any) -> bytes:
    """A figure as a file's content: matplotlib's own way to a full disk ends in errors of its own."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, **options)
    return content.getvalue()


def _figure(cell: Cell, colours: dict[str, str]) -> Any:
    from matplotlib.figure import Figure

    layout = cell_layout(cell)
    height = layout.height + (20 if cell.skips else 0)
    figure = Figure(figsize=(layout.width / 100, height / 100), facecolor=colours["paper"])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, layout.width), ylim=(height, 0))
    axes.axis("off")
    for edge in layout.edges:
        for start, end in itertools.pairwise(edge):
            _curve(axes, start, end, colours)
    _ends(axes, cell, layout, colours)
    for index in range(len(cell.blocks)):
        _block(axes, cell, index, layout, colours)
    if cell.skips:
        note = "skips between cells: " + ", ".join(f"{a} → {b}" for a, b in cell.skips)
        axes.text(layout.width / 2, layout.height + 4, note, color=colours["muted"], size=8, ha="center", va="center")
    return figure


def _curve(axes: Any, start: tuple[float, float], end: tuple[float, float], colours: dict[str, str]) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    (x0, y0), (x1, y1) = start, end
    middle = (y0 + y1) / 2
    curve = Curve([start, (x0, middle), (x1, middle), end], [Curve.MOVETO, *[Curve.CURVE4] * 3])
    axes.add_patch(PathPatch(curve, fill=False, edgecolor=colours["line"], linewidth=1.1))


def _box(
    axes: Any, middle: tuple[float, float], size: tuple[float, float], label: str, fill: str, edge: str, ink: str
) -> None:
    from matplotlib.patches import FancyBboxPatch

    (x, y), (width, height) = middle, size
    shape = f"round,pad=0,rounding_size={5 if width > 100 else 12}"
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=shape, facecolor=fill, edgecolor=edge, linewidth=0.9))
    axes.text(x, y, label.replace("$", r"\$"), color=ink, size=8.2, ha="center", va="center_baseline")


def _ends(axes: Any, cell: Cell, layout: CellLayout, colours: dict[str, str]) -> None:
    for value, point in layout.inputs.items():
        read = value in cell.used_inputs
        edge, ink = (colours["line"], colours["ink"]) if read else (colours["box"], colours["muted"])
        size = (SIZES["input"], SIZES["node"])
        _box(axes, point, size, input_label(value, cell.flat), colours["box"], edge, ink)
    size = (SIZES["output"], SIZES["node"])
    _box(axes, layout.output, size, "output", colours["box"], colours["line"], colours["ink"])


def _block(axes: Any, cell: Cell, index: int, layout: CellLayout, colours: dict[str, str]) -> None:
    from matplotlib.patches import Circle

    x, top = layout.blocks[index]
    node = top + SIZES["block"] - SIZES["radius"]
    for slot, (_value, name) in enumerate(cell.blocks[index].halves):
        ox, kind = layout.operator_x(index, slot), operator_family(name)
        _curve(axes, (ox, top + SIZES["height"]), (x, node), colours)
        size = (SIZES["operator"], SIZES["height"])
        middle = (ox, top + SIZES["height"] / 2)
        _box(axes, middle, size, shorten(name), colours[kind], colours[f"{kind}-edge"], colours["ink"])
    look = {"facecolor": colours["box"], "edgecolor": colours["line"], "linewidth": 0.9}
    axes.add_patch(Circle((x, node), SIZES["radius"], **look))
    value = str(index + (1 if cell.flat else 0))
    axes.text(x, node, value, color=colours["ink"], size=7.5, weight="bold", ha="center", va="center_baseline")
