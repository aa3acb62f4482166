"""``pronas train``: one architecture to convergence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

_DATA, _SPACE, _TRAIN, _RUN = "Images", "Space (for representation strings)", "Training", "The run"


def command(
    target: Annotated[str, typer.Argument(help="A run folder, a cell's text, or a representation string.")],
    child: Annotated[int | None, typer.Option(help="This child of the run, not its best.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs.", rich_help_panel=_TRAIN)] = 200,
    batch: Annotated[int | None, typer.Option(help="Images a step.", rich_help_panel=_TRAIN)] = None,
    recipe: Annotated[str | None, typer.Option(help="How it is trained.", rich_help_panel=_TRAIN)] = None,
    expansion: Annotated[
        bool, typer.Option("--expansion", help="Add turned and shifted copies of the images.", rich_help_panel=_TRAIN)
    ] = False,
    load_saved: Annotated[
        Path | None, typer.Option(help="Start from this model's weights.", rich_help_panel=_TRAIN)
    ] = None,
    skeleton: Annotated[str | None, typer.Option(help="The network around it.", rich_help_panel=_TRAIN)] = None,
    filters: Annotated[str | None, typer.Option(help="The skeleton's filters.", rich_help_panel=_TRAIN)] = None,
    repeats: Annotated[int | None, typer.Option(help="The skeleton's N.", rich_help_panel=_TRAIN)] = None,
    data: Annotated[str | None, typer.Option(help="Default: the run's, or digits.", rich_help_panel=_DATA)] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where named sets are looked for first.", rich_help_panel=_DATA)
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Images held out to choose the best epoch.", rich_help_panel=_DATA)
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most so many images.", rich_help_panel=_DATA)] = None,
    image_size: Annotated[int | None, typer.Option(help="Resize images.", rich_help_panel=_DATA)] = None,
    space: Annotated[
        str | None, typer.Option(help="pnas, flat, binary, or a space's TOML file.", rich_help_panel=_SPACE)
    ] = None,
    blocks: Annotated[
        int | None, typer.Option("--blocks", "-B", help="The B that it was printed with.", rich_help_panel=_SPACE)
    ] = None,
    operators: Annotated[
        str | None, typer.Option(help="Operator names, separated by commas.", rich_help_panel=_SPACE)
    ] = None,
    lookback: Annotated[int | None, typer.Option(help="How far back cells read.", rich_help_panel=_SPACE)] = None,
    modules: Annotated[
        str | None, typer.Option(help="Modules that register your operators.", rich_help_panel=_SPACE)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.", rich_help_panel=_RUN)] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that train.", rich_help_panel=_RUN)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder (default: pronas-train-…).", rich_help_panel=_RUN)
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Train one architecture to convergence and report its test accuracy. The same command again goes on.

    Checkpointed after every epoch. The weights go to DIR/weights/best.safetensors.
    """
    final = {"epochs": epochs, "batch": batch, "recipe": recipe, "filters": filters, "repeats": repeats}
    settings: dict[str, Any] = {f"final_{name}": value for name, value in final.items()}
    settings |= {"data": data, "data_dir": data_dir, "validation": validation, "limit": limit, "image_size": image_size}
    settings |= {"space": space, "blocks": blocks, "operators": operators, "lookback": lookback, "modules": modules}
    settings |= {"skeleton": skeleton, "seed": seed, "threads": threads}
    _run(target, settings, out, json, child=child, expansion=expansion, load_saved=load_saved)


def _run(target: str, settings: dict[str, Any], out: Path | None, as_json: bool, **options: Any) -> None:
    from pronas.cli._progress import make_display, terminable

    with terminable(), make_display(as_json=as_json, stream=sys.stdout) as display:
        display.hello()
        from pronas.runs import load_images, plan_training, train_planned

        plan, images = plan_training(target, settings, load_images, **options)
        folder, result = train_planned(plan, images, out, display.event)
        display.event(_done(folder, result))


def _done(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    names = ("cell", "test_accuracy", "validation_accuracy", "parameters", "weight_bits", "seconds")
    return {"event": "done", "path": str(folder), "reward": None, **{name: result[name] for name in names}}
