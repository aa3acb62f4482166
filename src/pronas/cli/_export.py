"""``pronas export``: a trained model as ONNX, packed bits or C."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    model: Annotated[Path, typer.Argument(help="A run's folder (its winner is taken) or a model file.")],
    format: Annotated[str, typer.Option("--format", "-f", help="onnx, packed or c (the last two: binary networks).")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to; by default beside the model.")] = None,
) -> None:
    """Export a trained model: ONNX, a packed file (one bit a weight), or one C99 file."""
    from pronas.deploy import export

    path = export(model, format, out)
    typer.echo(f"wrote {path} ({path.stat().st_size:,} bytes)")
    if format == "c":
        typer.echo(f"wrote {path.with_suffix('.h')}")
