"""``pronas search``: grow a cell, train the winner, tell how good it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pronas.cli._options import with_settings
from pronas.runs import SETTINGS

_RUN = "The run"


@with_settings(SETTINGS)
def command(
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run folder (default: pronas-run).", rich_help_panel=_RUN)
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run.", rich_help_panel=_RUN)] = None,
    config: Annotated[Path | None, typer.Option(help="Settings from a TOML file.", rich_help_panel=_RUN)] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.", rich_help_panel=_RUN)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also a line a child and an epoch.", rich_help_panel=_RUN)
    ] = False,
    **settings: Any,
) -> None:
    """Search a cell, train the winner, report its test accuracy. The same command again goes on where it stopped.

    Without options it searches on scikit-learn's digits and is done in two minutes (--budget). Ctrl-C once ends the
    search early and trains the best so far; twice stops.
    """
    from pronas.cli.interrupt import ending_early
    from pronas.cli.progress import make_display, terminable

    shown = make_display(as_json=json, stream=sys.stdout, verbose=verbose)
    with terminable(), shown as display, ending_early() as wish:
        display.hello()  # before torch is imported: that takes a while
        from pronas.runs import search
        from pronas.training import keep_freed_memory

        keep_freed_memory()

        def told(event: dict[str, Any]) -> str | None:
            answer = wish.answer(event)
            display.event(event)
            return answer

        search(settings.pop("data", None), out=out, resume=resume, config=config, on_event=told, **settings)
