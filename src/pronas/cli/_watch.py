"""``pronas watch``: a run as a live page."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder; the search may begin later.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0: any free port.")] = 8477,
) -> None:
    """Show a run live in the browser: read-only, on this machine only, until Ctrl-C."""
    from pronas.report import watch

    waiting = "" if (run / "store.sqlite").exists() else "; no search has begun there yet"
    watch(run, port, ready=lambda url: typer.echo(f"watching {run} at {url} (Ctrl-C ends){waiting}"))
