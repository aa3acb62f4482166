"""``pronas draw``: a picture of a cell."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    what: Annotated[str, typer.Argument(metavar="CELL|RUN", help="A cell in any text form, or a run folder.")],
    out: Annotated[Path, typer.Option(help="The file to write: .svg, .png or .pdf.")] = Path("cell.svg"),
    theme: Annotated[str, typer.Option(help="light, dark, or auto: as the viewer prefers (SVG).")] = "auto",
) -> None:
    """Draw a cell, or the best cell of a run."""
    from pronas.report import best_cell, draw_cell
    from pronas.space import Cell

    cell = best_cell(what) if "\n" not in what and len(what) < 1000 and Path(what).is_dir() else Cell.parse(what)
    typer.echo(f"{cell}\ndrawn in {draw_cell(cell, out, theme)}")
