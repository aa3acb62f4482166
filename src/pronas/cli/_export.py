"""``pronas export``: a trained model in the forms it is shipped in."""

from pathlib import Path
from typing import Annotated

import typer

_INT8 = "Int8 (full-precision networks)"


def command(
    model: Annotated[Path, typer.Argument(help="A run's folder (its winner is taken) or a model file.")],
    format: Annotated[
        str,
        typer.Option("--format", "-f", help="onnx, c, packed (binary networks), tflite (full precision: int8) or pt2."),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to; by default beside the model.")] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="The images it was trained on (default: the run's).", rich_help_panel=_INT8),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="With onnx: int8 instead of floats.", rich_help_panel=_INT8)
    ] = False,
    calibration: Annotated[
        str, typer.Option(help="Choose scales by: mse, percentile or minmax.", rich_help_panel=_INT8)
    ] = "mse",
    qat: Annotated[
        int,
        typer.Option(
            min=0, max=10_000, help="Epochs of further training with fake quantization.", rich_help_panel=_INT8
        ),
    ] = 0,
    target: Annotated[
        str | None, typer.Option(help="Refuse C that is beyond the flash or RAM of this board or processor.")
    ] = None,
) -> None:
    """Export a trained model: ONNX, C, TensorFlow Lite, packed bits, or PyTorch's own format.

    A text that says how to use the file stands beside it. Full-precision networks become int8 in C and TensorFlow Lite.
    """
    from pronas.deploy import export_with_facts

    images = data if data is not None else images_of(model)
    made = export_with_facts(model, format, out, data=images, int8=int8, calibration=calibration, qat=qat, board=target)
    typer.echo(f"wrote {made.path} ({made.path.stat().st_size:,} bytes)")
    for path in made.beside:
        typer.echo(f"wrote {path}")
    for name in ("accuracy", "same class", "flash", "ram"):
        if name in made.facts:
            typer.echo(f"{name}: {made.facts[name]}")


def images_of(model: Path):  # type: ignore[no-untyped-def]
    """A function that gives the run's data set; None for a model outside of a run."""
    results = ("store.sqlite", "result.json")
    folders = (path for path in (model, *model.parents[:2]) if any((path / name).is_file() for name in results))
    folder = next(folders, None)
    if folder is None:
        return None
    from pronas.runs import stored_dataset

    return lambda: stored_dataset(folder)
