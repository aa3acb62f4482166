"""`export`: a trained model in the three forms it is shipped in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronas.errors import ModelFileError, UsageError, nearest
from pronas.files import write_atomic

if TYPE_CHECKING:
    from pronas.deploy.packed import Graph
    from pronas.training import Model

FORMATS = {"onnx": ".onnx", "packed": ".packed", "c": ".c"}
"""Formats and the suffixes of their files."""


def export(
    model: str | os.PathLike[str] | Model, format: str = "packed", out: str | os.PathLike[str] | None = None
) -> Path:
    """Write a trained model for deployment.

    Args:
        model: a run's folder (its winner is taken), a model file, or what `pronas.training.load_model` gives.
        format: "onnx" (any network), "packed" (binary ones: read it with `pronas.load_packed`) or "c" (binary ones: one
            C99 file; a header of the same name stands beside it).
        out: where to; by default beside the model, with the format's suffix.

    Returns:
        The path of the file.

    Raises:
        UsageError: an unknown format, a full-precision network for "packed" or "c", a network with a layer that has no
            packed form, or no ``out`` for a model that is not a file.
        ModelFileError: the model cannot be read, or ONNX Runtime's answers differ from PyTorch's.
        MissingExtraError: "onnx" without the extra of that name.
    """
    if format not in FORMATS:
        raise UsageError(f"no format is called {format!r}{nearest(format, FORMATS)} (choose from {', '.join(FORMATS)})")
    loaded, path = _load(model)
    if out is None and path is None:
        raise UsageError("say where to write: give out")
    target = Path(out) if out is not None else Path(path or "").with_suffix(FORMATS[format])
    if format == "onnx":
        from pronas.deploy.onnx import export_onnx

        return export_onnx(loaded.network, loaded.spec.input_shape, target)
    graph = model_graph(loaded)
    if format == "packed":
        from pronas.deploy.packed import pack

        write_atomic(target, pack(graph))
        return target
    from pronas.deploy.packed import write_c

    return write_c(graph, target)


def model_graph(model: Model) -> Graph:
    """The packed form of a loaded binary model.

    Raises:
        UsageError: as `export`.
    """
    from pronas.deploy.packed import graph_of

    info: dict[str, Any] = {"classes": list(model.spec.classes), "cell": model.spec.cell}
    info["parameters"] = sum(p.numel() for p in model.network.parameters())
    return graph_of(model.network, **info)


def find_model(path: str | os.PathLike[str]) -> Path:
    """The weights file that ``path`` means: a run's folder, or a model with or without its suffix.

    Raises:
        ModelFileError: there is none.
    """
    given = Path(path)
    if given.is_dir():
        best = given / "weights" / "best.safetensors"
        if not best.is_file():
            raise ModelFileError(f"{given}: this run has no trained winner yet ({best.relative_to(given)} is missing)")
        return best
    file = given if given.suffix == ".safetensors" else given.with_suffix(".safetensors")
    if not file.is_file():
        raise ModelFileError(f"{given}: no such run or model")
    return file


def _load(model: str | os.PathLike[str] | Model) -> tuple[Model, Path | None]:
    if not isinstance(model, str | os.PathLike):
        return model, None
    from pronas.training import load_model

    path = find_model(model)
    return load_model(path), path
