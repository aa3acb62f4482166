"""``pronas init``: a file with every setting, to be filled in."""

from pathlib import Path
from typing import Annotated

import typer

from pronas.errors import UsageError


def command(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("pronas.toml"),
) -> None:
    """Write a TOML file in which every setting of a search is explained and none is set."""
    from pronas.files import write_atomic
    from pronas.runs import template

    if out.exists():
        raise UsageError(f"{str(out)!r} exists and is not overwritten; name another file", "out")
    write_atomic(out, template())
    typer.echo(f"{out} written; set what you want in it, then: pronas search --config {out}")
