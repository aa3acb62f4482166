"""``pronas plan``: what a search would do, how long it would take and what it needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pronas.cli._options import with_settings
from pronas.runs import SETTINGS

_RUN = "The run"


@with_settings(SETTINGS)
def command(
    *,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Of one thread of another machine: multiply-accumulates of images trained a second (what this command "
            "prints there). Default: measured here.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings from a TOML file.", rich_help_panel=_RUN)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_RUN)] = False,
    **settings: Any,
) -> None:
    """Say what a search with these settings would do: children, images, hours, disk, memory. Nothing is written.

    --workers 200 --speed 4e9 plans for another machine, or a cluster.
    """
    from pronas.runs import plan

    found = plan(settings.pop("data", None), config=config, speed=speed, **settings)
    typer.echo(json.dumps({**asdict(found), "children": found.children}, indent=2) if as_json else str(found))
