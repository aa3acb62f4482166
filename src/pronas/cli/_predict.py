"""``pronas predict``: classify images with a trained network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pronas.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 256  # images that are read before they are classified


def command(
    model: Annotated[
        Path,
        typer.Argument(help="A run folder, a weights file (.safetensors), or a .packed, .onnx or .tflite file."),
    ],
    images: Annotated[list[Path], typer.Argument(help="Pictures, .npy or .npz arrays, or folders of them.")],
    top: Annotated[int, typer.Option("--top", "-n", min=1, help="How many classes to name for each image.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda:N, mps, or auto: a GPU if there is one.")] = "cpu",
) -> None:
    """Classify images: the likeliest classes of each and their probabilities.

    A file that cannot be read is named, the others are classified, and the exit code is 1.
    """
    from pronas.data import each_image_file
    from pronas.errors import DataError

    shape, classes, score = open_model(model, device)
    files = bad = 0
    waiting: list[tuple[list[str], NDArray[np.uint8]]] = []

    def classify() -> None:
        names, parts = [name for found, _ in waiting for name in found], [part for _, part in waiting]
        waiting.clear()
        if parts:
            for name, row in zip(names, probabilities(score(_joined(parts))), strict=True):
                _say(name, row, classes, top, as_json)

    for names, part in each_image_file(images, shape):
        files += 1
        if isinstance(part, DataError):
            bad += 1
            typer.echo(f"pronas: {part}", err=True)
            continue
        waiting.append((names, part))
        if sum(len(found) for found, _ in waiting) >= _BATCH:
            classify()
    classify()
    if bad:
        typer.echo(f"pronas: {bad} of {files} files cannot be classified", err=True)
        raise typer.Exit(1)


def _joined(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    import numpy

    return numpy.concatenate(parts)


def _say(name: str, row: NDArray[np.float64], classes: list[str], top: int, as_json: bool) -> None:
    order = (-row).argsort(kind="stable")[:top].tolist()
    best = [(classes[label], float(row[label])) for label in order]
    if as_json:
        found = [{"class": label, "probability": round(share, 6)} for label, share in best]
        typer.echo(json.dumps({"image": name, "classes": found}, ensure_ascii=False))
    else:
        typer.echo(f"{name}: {', '.join(f'{label} {100 * share:.1f} %' for label, share in best)}")


def open_model(path: Path, device: str = "cpu") -> tuple[tuple[int, int, int], list[str], Any]:
    """Open any kind of model by what it is, not by its name.

    Returns:
        (input shape (C, H, W), class names, a function from uint8 images (n, C, H, W) to logits (n, classes)).

    Raises:
        UsageError: there is no such device.
        ModelFileError: it is none, or damaged, or a run whose winner is not trained yet.
    """
    from pronas.deploy import find_model, open_exported

    exported = open_exported(path)
    if exported is not None:
        if device != "cpu":
            raise UsageError(f"{path} runs on the processor ({exported.what}), not on {device!r}")
        return exported.input_shape, list(exported.classes), exported.score
    from pronas.machine import device_named
    from pronas.training import load_model

    place = device_named(device)
    model = load_model(find_model(path))
    network = model.network.to(place)

    def score(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        import numpy
        import torch

        with torch.inference_mode():
            starts = range(0, len(pixels), 256)
            batches = (torch.from_numpy(pixels[start : start + 256]).to(place) for start in starts)
            return numpy.concatenate([network(batch).cpu().numpy() for batch in batches])

    return model.spec.input_shape, list(model.spec.classes), score


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the softmax of each row."""
    import numpy

    shifted = numpy.exp(logits.astype(numpy.float64) - logits.max(axis=1, keepdims=True))
    return numpy.asarray(shifted / shifted.sum(axis=1, keepdims=True))
