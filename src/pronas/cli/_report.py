"""``pronas report``: a run as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from pronas.errors import UsageError


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
) -> None:
    """Write a report of a run: one HTML file that works from disk, without network."""
    from pronas.report import write_report

    if out.is_dir():
        raise UsageError(f"--out {str(out)!r} is a folder; name a file, such as report.html")
    typer.echo(f"report written to {write_report(run, out)}")
