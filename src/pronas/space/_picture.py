"""A cell as SVG text, dark and light, with nothing but the standard library."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Protocol

from pronas.errors import UsageError
from pronas.space import _layout as geometry
from pronas.space._block import Block
from pronas.space._layout import CellLayout, layout_cell
from pronas.space._names import canonical_operator


class Drawable(Protocol):
    """What a picture shows of a cell (`Cell`)."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in order."""

    @property
    def skips(self) -> tuple[tuple[int, int], ...]:
        """Skips between cells."""

    @property
    def flat(self) -> bool:
        """Whether 0 means the cell's own input."""


#: Colours of a picture by theme; text on every fill has a contrast above 4.5 : 1.
PALETTES: dict[str, dict[str, str]] = {
    "light": {
        "ink": "#1c2430", "muted": "#5b6573", "line": "#8792a2", "paper": "#ffffff", "box": "#f2f4f7",
        "conv": "#dbe9f8", "conv-edge": "#2f6fb0", "pool": "#fbe6c8", "pool-edge": "#b0690a",
        "identity": "#e9eaed", "identity-edge": "#707a87",
    },
    "dark": {
        "ink": "#e8ecf2", "muted": "#9aa5b4", "line": "#6d7988", "paper": "#14181f", "box": "#232a34",
        "conv": "#1d3a57", "conv-edge": "#6fb0ee", "pool": "#4a3413", "pool-edge": "#e5a94b",
        "identity": "#2d333d", "identity-edge": "#8e99a8",
    },
}  # fmt: skip

_RULES = """
.pc text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
fill:var(--pc-ink);text-anchor:middle;dominant-baseline:central}
.pc .e{fill:none;stroke:var(--pc-line);stroke-width:1.5}
.pc .io,.pc .n{fill:var(--pc-box);stroke:var(--pc-line);stroke-width:1.2}
.pc .unused{stroke-dasharray:4 3;opacity:.55}
.pc .n+text{font-size:11px;font-weight:600}
.pc .conv{fill:var(--pc-conv);stroke:var(--pc-conv-edge)}
.pc .pool{fill:var(--pc-pool);stroke:var(--pc-pool-edge)}
.pc .identity{fill:var(--pc-identity);stroke:var(--pc-identity-edge)}
.pc .note{fill:var(--pc-muted);font-size:11px}
"""


def operator_family(name: str) -> str:
    """``conv``, ``pool`` or ``identity``: what colour an operator has in pictures.

        >>> operator_family("3x3 dconv"), operator_family("3x3 maxpool"), operator_family("linear")
        ('conv', 'pool', 'identity')

    Args:
        name: of an operator, registered or not; what it holds decides.
    """
    lowered = name.lower()
    if "pool" in lowered:
        return "pool"
    return "identity" if canonical_operator(lowered) in ("identity", "skip", "none") else "conv"


def input_label(value: int, flat: bool) -> str:
    """Name of an input value in pictures: ``input`` of a flat cell, else ``cell -1`` and so on.

        >>> input_label(-2, flat=False), input_label(0, flat=True)
        ('cell -2', 'input')

    Args:
        value: of an input of the cell, 0 or negative.
        flat: whether the cell is flat.
    """
    return "input" if flat else {-1: "cell -1", -2: "cell -2"}.get(value, f"cell {value}")


def shorten(text: str, length: int = 16) -> str:
    """Cut a long name so that it fits its box.

        >>> shorten("my very long operator")
        'my very long op…'

    Args:
        text: to cut.
        length: most characters, the ellipsis included.
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def cell_layout(cell: Drawable) -> CellLayout:
    """Positions of the parts of a cell's picture.

        >>> from pronas.space import Cell
        >>> layout = cell_layout(Cell.parse("0:3x3 conv + 0:identity | 1:3x3 conv + 0:identity"))
        >>> len(layout.blocks), len(layout.edges), layout.crossings
        (2, 5, 0)

    Args:
        cell: a `Cell`, or what has its ``blocks``, ``skips`` and ``flat``.

    Returns:
        Points in pixels, y downward, and the number of lines that cross.
    """
    return layout_cell([(block.input1, block.input2) for block in cell.blocks], cell.flat)


def cell_svg(cell: Drawable, theme: str = "auto") -> str:
    """Draw a cell as a complete SVG document.

    Inputs stand on top, each block is two operators above the circle that combines them (its number is the value by
    which later blocks read it), and what no block reads flows into the output.

        >>> from pronas.space import Cell
        >>> cell_svg(Cell.parse("0:3x3 conv + 0:identity")).startswith("<svg")
        True

    Args:
        cell: what to draw.
        theme: ``light``, ``dark``, or ``auto``: what the viewer prefers.

    Returns:
        The text of the file: one ``svg`` element with its styles; needs no other file.

    Raises:
        UsageError: an unknown theme.
    """
    layout = cell_layout(cell)
    note = f"skips between cells: {', '.join(f'{a} → {b}' for a, b in cell.skips)}" if cell.skips else ""
    width, height = max(layout.width, 7 * len(note)), layout.height + (20 if note else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pc" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img"><title>{escape(str(cell))}</title><style>{_style(theme)}</style>',
        f'<path class="e" d="{layout.paths()}"/>',
        *_inputs(cell, layout),
        *_blocks(cell, layout),
        _box("io", *layout.output, geometry.OUTPUT_WIDTH, "output"),
    ]
    if note:
        parts.append(f'<text class="note" x="{width / 2:g}" y="{layout.height + 4:g}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _style(theme: str) -> str:
    if theme not in ("auto", "light", "dark"):
        raise UsageError(f"unknown theme {theme!r}; known: auto, light, dark")
    variables = {name: ";".join(f"--pc-{k}:{v}" for k, v in colours.items()) for name, colours in PALETTES.items()}
    if theme != "auto":
        return f".pc{{{variables[theme]};background:var(--pc-paper)}}{_RULES}"
    return f".pc{{{variables['light']}}}@media(prefers-color-scheme:dark){{.pc{{{variables['dark']}}}}}{_RULES}"


def _box(kind: str, x: float, y: float, width: float, label: str, title: str = "") -> str:
    height = geometry.NODE_HEIGHT if kind.startswith("io") else geometry.OPERATOR_HEIGHT
    hint = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<g>{hint}<rect class="{kind}" x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width}" height="{height}" '
        f'rx="{12 if kind.startswith("io") else 5}"/><text x="{x:g}" y="{y:g}">{escape(label)}</text></g>'
    )


def _inputs(cell: Drawable, layout: CellLayout) -> Iterable[str]:
    read = {value for block in cell.blocks for value in (block.input1, block.input2)}
    for value, (x, y) in layout.inputs.items():
        kind, title = ("io", "") if value in read else ("io unused", "no block reads this")
        yield _box(kind, x, y, geometry.INPUT_WIDTH, input_label(value, cell.flat), title)


def _blocks(cell: Drawable, layout: CellLayout) -> Iterable[str]:
    for index, block in enumerate(cell.blocks):
        x, top = layout.blocks[index]
        node = top + geometry.BLOCK_HEIGHT - geometry.RADIUS
        under = top + geometry.OPERATOR_HEIGHT
        for slot, name in enumerate((block.operator1, block.operator2)):
            ox = layout.operator_x(index, slot)
            yield f'<path class="e" d="M{ox:g} {under:g}C{ox:g} {node:g} {ox:g} {node:g} {x:g} {node:g}"/>'
            middle = top + geometry.OPERATOR_HEIGHT / 2
            yield _box(operator_family(name), ox, middle, geometry.OPERATOR_WIDTH, shorten(name), name)
        value = index + (1 if cell.flat else 0)
        yield (
            f'<g><title>block {index + 1}, read as {value}</title><circle class="n" cx="{x:g}" cy="{node:g}" '
            f'r="{geometry.RADIUS}"/><text x="{x:g}" y="{node:g}">{value}</text></g>'
        )
