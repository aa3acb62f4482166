"""``pronas report``: a run as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from pronas.errors import UsageError


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder.")],
    other: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Another run, to be put beside it.")] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
) -> None:
    """Write a report of a run, or of two side by side: one HTML file that works from disk, without network."""
    from pronas.report import write_comparison, write_report

    if out.is_dir():
        raise UsageError(f"--out {str(out)!r} is a folder; name a file, such as report.html")
    made = write_report(run, out) if other is None else write_comparison(run, other, out)
    typer.echo(f"report written to {made}")
