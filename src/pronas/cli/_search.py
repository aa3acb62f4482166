"""``pronas search``: grow a cell, train the winner, tell how good it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

_DATA, _SPACE, _CHILD, _FINAL = "Images", "Space and choice of cells", "Children", "The winner"
_LIMIT, _RUN = "Limits: cells beyond them are never proposed", "The run"


def command(
    data: Annotated[
        str | None,
        typer.Option(help="A named set (digits, mnist, …), folder, zip, .npz or hf:NAME.", rich_help_panel=_DATA),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where named sets are looked for first.", rich_help_panel=_DATA)
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(help="Images held out to compare children: a share below 1, or a number.", rich_help_panel=_DATA),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Use at most so many images (a seeded sample).", rich_help_panel=_DATA)
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Resize images to so many pixels square.", rich_help_panel=_DATA)
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="pnas, flat, binary, or a space's TOML file.", rich_help_panel=_SPACE)
    ] = None,
    operators: Annotated[
        str | None, typer.Option(help="Operator names, separated by commas.", rich_help_panel=_SPACE)
    ] = None,
    blocks: Annotated[
        int | None, typer.Option("--blocks", "-B", help="Blocks in a cell.", rich_help_panel=_SPACE)
    ] = None,
    lookback: Annotated[
        int | None, typer.Option(help="How far back cells read: -2 is the paper, 0 flat.", rich_help_panel=_SPACE)
    ] = None,
    lookforward: Annotated[
        int | None, typer.Option(help="How many earlier blocks a block may read.", rich_help_panel=_SPACE)
    ] = None,
    modules: Annotated[
        str | None, typer.Option(help="Modules that register your operators, by commas.", rich_help_panel=_SPACE)
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="progressive, random or evolution.", rich_help_panel=_SPACE)
    ] = None,
    children: Annotated[
        str | None,
        typer.Option("--children", "-K", help="Children at each further level, or all.", rich_help_panel=_SPACE),
    ] = None,
    first: Annotated[
        str | None, typer.Option(help="Children at the first level, or all.", rich_help_panel=_SPACE)
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Fits of the predictor a level.", rich_help_panel=_SPACE)] = None,
    predictor: Annotated[
        str | None, typer.Option(help="Which predictor guides the search.", rich_help_panel=_SPACE)
    ] = None,
    acquisition: Annotated[
        str | None, typer.Option(help="How predictions become choices.", rich_help_panel=_SPACE)
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(help="accuracy, or the front of accuracy,parameters, …", rich_help_panel=_SPACE),
    ] = None,
    skips: Annotated[
        bool | None,
        typer.Option("--skips", help="Last, try skips between the best cell's cells.", rich_help_panel=_SPACE),
    ] = None,
    reuse: Annotated[
        Path | None,
        typer.Option(help="Take results of identical children from this run.", rich_help_panel=_SPACE),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs a child.", rich_help_panel=_CHILD)] = None,
    early_stop: Annotated[
        int | None,
        typer.Option(
            help="Halving: in the end the best one in so many trains so many times longer.",
            rich_help_panel=_CHILD,
        ),
    ] = None,
    inherit: Annotated[
        int | None,
        typer.Option(help="Start from the parent's weights and train for so many epochs.", rich_help_panel=_CHILD),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step.", rich_help_panel=_CHILD)] = None,
    recipe: Annotated[str | None, typer.Option(help="How children are trained.", rich_help_panel=_CHILD)] = None,
    skeleton: Annotated[
        str | None, typer.Option(help="The network around the cell: flat, pnas-cifar, …", rich_help_panel=_CHILD)
    ] = None,
    filters: Annotated[
        str | None, typer.Option(help="The skeleton's filters: a number, or one per cell.", rich_help_panel=_CHILD)
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Cells of stride 1 in a row (PNAS skeletons' N).", rich_help_panel=_CHILD)
    ] = None,
    final_epochs: Annotated[
        int | None, typer.Option(help="Epochs of the winner; 0: don't train it.", rich_help_panel=_FINAL)
    ] = None,
    final_batch: Annotated[int | None, typer.Option(help="Images a step.", rich_help_panel=_FINAL)] = None,
    final_recipe: Annotated[str | None, typer.Option(help="How it is trained.", rich_help_panel=_FINAL)] = None,
    final_filters: Annotated[str | None, typer.Option(help="Its skeleton's filters.", rich_help_panel=_FINAL)] = None,
    final_repeats: Annotated[int | None, typer.Option(help="Its skeleton's N.", rich_help_panel=_FINAL)] = None,
    max_params: Annotated[int | None, typer.Option(help="Parameters.", rich_help_panel=_LIMIT)] = None,
    max_macs: Annotated[int | None, typer.Option(help="Multiply-accumulates an image.", rich_help_panel=_LIMIT)] = None,
    max_bits: Annotated[int | None, typer.Option(help="Bits of weights.", rich_help_panel=_LIMIT)] = None,
    max_latency_us: Annotated[
        float | None, typer.Option(help="Microseconds an image, measured here.", rich_help_panel=_LIMIT)
    ] = None,
    execution: Annotated[str | None, typer.Option(help="inline, local or ray.", rich_help_panel=_RUN)] = None,
    workers: Annotated[int | None, typer.Option(help="Children trained at once.", rich_help_panel=_RUN)] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that train the winner.", rich_help_panel=_RUN)] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds a child may take.", rich_help_panel=_RUN)] = None,
    memory: Annotated[int | None, typer.Option(help="MiB a worker may hold.", rich_help_panel=_RUN)] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join.", rich_help_panel=_RUN)] = None,
    devices: Annotated[
        str | None, typer.Option(help="Local workers' devices, a slot each: cuda:0,cuda:0.", rich_help_panel=_RUN)
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(help="Share of a GPU a child reserves on Ray.", rich_help_panel=_RUN)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.", rich_help_panel=_RUN)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run folder (default: pronas-run).", rich_help_panel=_RUN)
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run.", rich_help_panel=_RUN)] = None,
    config: Annotated[Path | None, typer.Option(help="Settings from a TOML file.", rich_help_panel=_RUN)] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Search a cell, train the winner, report its test accuracy. The same command again goes on where it stopped.

    Without options it searches on scikit-learn's digits and is done in about a minute.
    """
    settings = {name: value for name, value in locals().items() if name not in ("out", "resume", "config", "json")}
    _run(settings, out=out, resume=resume, config=config, as_json=json)


def _run(
    settings: dict[str, Any], *, out: Path | None, resume: Path | None, config: Path | None, as_json: bool
) -> None:
    from pronas.cli._progress import make_display, terminable

    data = settings.pop("data")
    for name in ("children", "first"):
        settings[name] = _count(name, settings[name])
    with terminable(), make_display(as_json=as_json, stream=sys.stdout) as display:
        display.hello()  # before torch is imported: that takes a while
        from pronas.runs import search

        search(data, out=out, resume=resume, config=config, on_event=display.event, **settings)


def _count(name: str, text: str | None) -> int | str | None:
    from pronas.errors import UsageError

    if text is None or text == "all":
        return text
    if not text.isdigit():
        raise UsageError(f"--{name} takes a whole number or 'all', not {text!r}")
    return int(text)
