"""``pronas card``: what there is to tell of a winner, as a page for those who get it."""

from pathlib import Path
from typing import Annotated

import typer

from pronas.errors import UsageError


def command(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder for README.md and cell.svg. Default: RUN/card.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="Under which it is given away: mit, apache-2.0, …")] = None,
) -> None:
    """Write the winner's card: data, classes, accuracy, sizes, the cell drawn, licence, how to run it.

    It is what Experiment.push_to_hub puts beside the weights; here it is written alone, without a hub.
    """
    from pronas.runs import Experiment

    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{str(out)!r} is a file; name a folder", "out")
    path = Experiment(run).card(license).write(out or run / "card")
    typer.echo(f"card written to {path}, its picture beside it")
