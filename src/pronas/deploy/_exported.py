"""Exported files by themselves: what they say of their input and classes, and running just the file that was given."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.errors import ModelFileError, UsageError, require
from pronas.files import write_atomic

if TYPE_CHECKING:
    from pronas.training import ModelSpec

#: The file inside a ``.pt2`` that holds what ONNX files keep as metadata.
PT2_FACTS = "pronas.json"
_NOT_RUN = {
    ".tflite": "LiteRT runs it, and is not installed (pip install ai-edge-litert)",
    ".c": "a C compiler makes a program of it, as the text beside it says",
    ".h": "it belongs to a .c file",
    ".pt2": "PyTorch's loader runs whatever code such a file holds, so load it yourself if you trust where it is from "
    "(torch.export.load)",
}


@final
@dataclass(frozen=True)
class Runner:
    """An exported file, ready to classify.

    Attributes:
        what: runs it.
        input_shape: (C, H, W).
        classes: their names, or their numbers where the file does not say.
        score: uint8 images (n, C, H, W) to logits (n, classes).
        size: bytes of the file.
    """

    what: str
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    score: Callable[[NDArray[np.uint8]], NDArray[Any]]
    size: int


def metadata(spec: ModelSpec) -> dict[str, str]:
    """What an ONNX or ``.pt2`` file says of itself, all of it text: ``classes`` is a JSON list, logit i for entry i."""
    c, h, w = spec.input_shape
    return {
        "producer": "pronas",
        "classes": json.dumps(list(spec.classes), ensure_ascii=False),
        "input": f"images: uint8 (batch, {c}, {h}, {w})",
        "input_range": "[0, 255]",
        "output": "logits: float32 (batch, classes)",
        "cell": spec.cell,
    }


def label_onnx(path: Path, facts: Mapping[str, str]) -> None:
    """Put metadata into an ONNX file, in place of what it had."""
    onnx = require("onnx", "onnx")
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(facts))
    write_atomic(path, model.SerializeToString())


def open_exported(path: Path) -> Runner | None:
    """Open a file that `pronas.export` wrote by what it is; None: it is a run, a model, or nothing.

    Args:
        path: of a file; what does not exist, or is a folder, gives None.

    Returns:
        How to classify with it: ``score`` maps uint8 images (n, C, H, W) to float32 logits (n, classes).

    Raises:
        ModelFileError: it is damaged, or no network of images.
        UsageError: nothing here runs files of its kind (``.c``, ``.h``, ``.pt2``; ``.tflite`` without ai-edge-litert).
        MissingExtraError: an ONNX file without onnxruntime.
    """
    from pronas.deploy.packed import is_packed

    if not path.is_file():
        return None
    if is_packed(path):
        return _packed(path)
    openers = {".onnx": _onnx}
    if os.name == "posix" and importlib.util.find_spec("ai_edge_litert") is not None:
        openers[".tflite"] = _tflite
    if path.suffix in openers:
        return openers[path.suffix](path)
    if path.suffix in _NOT_RUN:
        raise UsageError(f"{path} cannot be run here: {_NOT_RUN[path.suffix]}; give the run or the model it came from")
    return None


def _packed(path: Path) -> Runner:
    from pronas.deploy.packed import load_packed

    network = load_packed(path)
    return Runner(
        f"packed, {network.kernel}", network.input_shape, tuple(network.classes), network.logits, path.stat().st_size
    )


def _onnx(path: Path) -> Runner:
    from pronas.deploy.onnx import session

    try:
        opened = session(path)
    except Exception as error:  # ONNX Runtime has many kinds of its own, all of them about the file
        raise ModelFileError(f"{path}: ONNX Runtime cannot read it ({_first_line(error)})") from error
    inputs, outputs = opened.get_inputs(), opened.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)":
        raise ModelFileError(f"{path}: does not read one batch of uint8 images, so it is no export of pronas")
    shape = _image_shape(path, inputs[0].shape)
    facts = opened.get_modelmeta().custom_metadata_map

    def score(images: NDArray[np.uint8]) -> NDArray[Any]:
        return np.asarray(opened.run([outputs[0].name], {inputs[0].name: images})[0])

    return _tried(path, "ONNX Runtime", shape, facts, score)


def _tflite(path: Path) -> Runner:
    from pronas.deploy._lite import LiteProcess

    opened = LiteProcess(path)
    return _tried(path, "LiteRT, in a process of its own", opened.input_shape, {}, opened.score)


def _image_shape(path: Path, sides: list[Any]) -> tuple[int, int, int]:
    found = sides[1:]
    if len(found) != 3 or not all(isinstance(side, int) and 0 < side <= 2**16 for side in found):
        raise ModelFileError(f"{path}: its input is {sides}, not images (batch, channels, height, width)")
    return found[0], found[1], found[2]


def _tried(
    path: Path, what: str, shape: tuple[int, int, int], facts: Mapping[str, str], score: Callable[..., NDArray[Any]]
) -> Runner:
    """Run it once, so that what does not fit is told before the user's images are read."""
    try:
        count = score(np.zeros((1, *shape), np.uint8)).shape[1]
    except ModelFileError:
        raise
    except Exception as error:  # whatever a damaged file makes of an image
        raise ModelFileError(f"{path}: cannot be run ({_first_line(error)})") from error
    try:
        names = json.loads(facts.get("classes", "null"))
    except (ValueError, TypeError, RecursionError):
        names = None
    fits = isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names)
    classes = tuple(names) if fits else tuple(map(str, range(count)))
    return Runner(what, shape, classes, score, path.stat().st_size)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
