"""``pronas baseline``: hand-made networks for as long as the search took: did it pay?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    budget: Annotated[
        str | None, typer.Option(help="Time for each training: 90s, 10m, 2h. Default: what the run took in all.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Names of networks, separated by commas. Default: all of the run's kind.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in the end, nothing else.")] = False,
) -> None:
    """Train hand-made networks (ResNet-8 and others) on a run's images, to see whether the search paid.

    Each has the run's limits and its whole time, twice: with light and with standard augmentation. The same command
    again goes on where it stopped.
    """
    from pronas.runs import baseline

    def told(event: dict[str, Any]) -> None:
        if not as_json:
            typer.echo(event["text"])

    names = None if only is None else [name.strip() for name in only.split(",")]

    found = baseline(run, budget=budget, only=names, on_event=told)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
