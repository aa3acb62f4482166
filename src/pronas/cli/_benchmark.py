"""``pronas benchmark``: latency, size and agreement of a model in the forms it can be shipped in."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pronas.errors import UsageError


def command(
    model: Annotated[
        Path,
        typer.Argument(help="A run's folder (its winner is taken), a model, or a .packed, .onnx or .tflite file."),
    ],
    images: Annotated[
        int, typer.Option("--images", "-n", max=100_000, help="Validation images for the agreement.")
    ] = 200,
    repeats: Annotated[int, typer.Option(max=100_000, help="Rounds of the timing; the median counts.")] = 30,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="The images it was trained on (default: the run's).")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Count instructions, flash, RAM and stack of the C under QEMU: cortex-m4 or cortex-m0plus."),
    ] = None,
) -> None:
    """Print latency (one image, one thread), size and agreement with PyTorch of every form of a model.

    Without --data and outside of a run the images are random pixels, and full-precision networks have no int8 forms.
    """
    if images < 1 or repeats < 1:
        raise UsageError("images and repeats must be 1 or more")
    from pronas.deploy import check_emulated, open_exported

    if target is not None:
        check_emulated(target)
    exported = open_exported(model)
    if exported is not None:
        if target is not None:
            raise UsageError(f"{model} holds no C for {target}: give the run or the model it came from")
        _one_form(model, exported, repeats)
    else:
        _all_forms(model, images, repeats, data, target)


def _all_forms(path: Path, images: int, repeats: int, data: str | None, target: str | None) -> None:
    import numpy as np

    from pronas.deploy import find_model, measure, measure_on
    from pronas.deploy.integer import integer_model
    from pronas.training import load_model

    model = load_model(find_model(path))
    dataset = _dataset(path, data, model.spec.input_shape)
    binary, integers = model.network.plan.factory.binary, None
    if dataset is None:
        pixels = np.random.default_rng(0).integers(0, 256, (images, *model.spec.input_shape), dtype=np.uint8)
    else:
        pixels = np.ascontiguousarray(dataset.validation.images[:images])
        integers = None if binary else integer_model(model, dataset)
    _show(measure(model, pixels, repeats, integers))
    if target is not None:
        found = measure_on(model, pixels[0], target, integers)
        typer.echo(
            f"{target} (QEMU, -O2): {found.instructions:,} instructions an image, flash {found.flash:,} B, "
            f"RAM {found.ram:,} B, stack {found.stack} B"
        )


def _dataset(path: Path, data: str | None, shape: tuple[int, int, int]) -> Any:
    """The images that the model was trained on, or None."""
    from pronas.cli._export import images_of
    from pronas.data import load_dataset

    if data is not None:
        return load_dataset(data, image_size=shape[1:])
    found = images_of(path)
    return None if found is None else found()


def _show(results: list[Any]) -> None:
    first = results[0]
    typer.echo(f"{'':24}{'latency':>12}{'':>8}{'size':>14}{'':>8}{'same class':>12}{'logits differ by':>18}")
    for r in results:
        faster, smaller = first.microseconds / r.microseconds, first.size / r.size
        typer.echo(
            f"{r.name:24}{r.microseconds:>9.1f} us{faster:>7.1f}x{r.size:>12,} B{smaller:>7.1f}x"
            f"{r.agreement:>11.2%} {r.difference:>17.1e}"
        )


def _one_form(path: Path, exported: Any, repeats: int) -> None:
    """Just the file that was given."""
    import numpy as np

    from pronas.deploy import interleaved
    from pronas.machine import torch_threads

    pixels = np.random.default_rng(0).integers(0, 256, (1, *exported.input_shape), dtype=np.uint8)
    with torch_threads(1):
        latency = interleaved({"file": exported.score}, pixels, repeats)["file"]
    typer.echo(f"{path}: {latency:.1f} us an image ({exported.what}), {exported.size:,} bytes")
