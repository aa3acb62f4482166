"""``pronas train``: one architecture to convergence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pronas.cli._options import with_settings
from pronas.runs import SETTINGS

_RUN = "The run"


@with_settings({one.train_name: one for one in SETTINGS.values() if one.declared.train})
def command(
    target: Annotated[
        str,
        typer.Argument(help="A run folder, a cell's text, a representation string, or a network: resnet8, pnasnet5, …"),
    ],
    *,
    child: Annotated[int | None, typer.Option(help="This child of the run, not its best.")] = None,
    expansion: Annotated[
        bool, typer.Option("--expansion", help="Add turned and shifted copies of the images.")
    ] = False,
    load_saved: Annotated[Path | None, typer.Option(help="Start from this model's weights.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder (default: pronas-train-…).", rich_help_panel=_RUN)
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.", rich_help_panel=_RUN)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also a line a child and an epoch.", rich_help_panel=_RUN)
    ] = False,
    **settings: Any,
) -> None:
    """Train one architecture to convergence (200 epochs) and report its test accuracy. The same command again goes on.

    Checkpointed after every epoch. The weights go to DIR/weights/best.safetensors.
    """
    from pronas.cli.progress import make_display, terminable

    with terminable(), make_display(as_json=json, stream=sys.stdout, verbose=verbose) as display:
        display.hello()
        from pronas.runs import train
        from pronas.training import keep_freed_memory

        keep_freed_memory()
        options: dict[str, Any] = {"child": child, "expansion": expansion, "load_saved": load_saved, "out": out}
        folder, result = train(target, settings.pop("data", None), on_event=display.event, **options, **settings)
        display.event(_done(folder, result))


def _done(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    names = ("cell", "test_accuracy", "validation_accuracy", "parameters", "weight_bits", "seconds")
    return {"event": "done", "path": str(folder), "reward": None, **{name: result[name] for name in names}}
