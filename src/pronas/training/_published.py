"""The paper authors' published ImageNet weights of PNASNet-5, read into the network of the same name.

The file is that of the PyTorch version which the paper's first author published; names and layout of its tensors are
what is followed here.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pronas.errors import ModelFileError
from pronas.networks import PnasImagenet, reference
from pronas.training._model import Model, ModelSpec, fill

_STEMS = 2
_PREPROCESS = re.compile(r"preprocess(\d)\.(?:op\.)?(\w+)\.(\w+)$")
_OPERATOR = re.compile(r"_ops\.(\d+)\.(?:op\.)?(\d+)\.(\w+)$")
_CELL = re.compile(r"(stem|cells\.)(\d+)\.(.+)$")
_WHOLE = {"conv0": "stem.0", "conv0_bn": "stem.1", "classifier": "head.3"}
#: The parts of a factorized reduction.
_HALVES = {"conv_1": "1.even", "conv_2": "1.odd", "bn": "1.norm"}


def load_published(
    path: str | os.PathLike[str], *, image_size: int = 331, classes: Sequence[str] | None = None
) -> Model:
    """Read published weights of PNASNet-5 for ImageNet: a network that can be used, saved, exported or trained on.

    ``model = load_published("PNASNet-5_Large.pth")``, then ``pronas.save_model(model.network, "pnasnet5")``. The
    filters and the numbers of cells and of classes (1,001 in the published file, the first for "none of them") are
    those of the file.

    Args:
        path: a ``.pth`` of tensors by name, or the same as ``.safetensors``. Nothing in it is executed.
        image_size: height and width of the images, in pixels. The published network read 331x331; its first convolution
            had no padding, this one has: pixels at the edges count a little otherwise.
        classes: names of the classes; None: their numbers.

    Returns:
        The network, in evaluation mode, and its specification.

    Raises:
        ModelFileError: it cannot be read, or holds other tensors; the message names the first.
    """
    file = Path(path)
    tensors = {}
    for name, value in _read(file).items():
        if "auxiliary_head" not in name:
            tensors[_own_name(name, file)] = value
    skeleton = _skeleton(tensors, file)
    labels = tuple(classes) if classes is not None else tuple(map(str, range(len(tensors["head.3.weight"]))))
    known = reference("pnasnet5-large")
    spec = ModelSpec(str(known.cell), skeleton.to_dict(), (3, image_size, image_size), labels)
    network = spec.build()
    own = network.state_dict()
    for name, value in own.items():  # what their file does not hold: the scale of the pixels, counts of batches
        if name.startswith("scale.") or name.endswith("num_batches_tracked"):
            tensors.setdefault(name, value)
    fill(network, {name: value.to(own[name].dtype) if name in own else value for name, value in tensors.items()}, file)
    network.spec = spec
    return Model(network.eval(), spec)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(f"{path} cannot be read as tensors by name: {reason}") from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelFileError(f"{path} holds no tensors by name")
    return {str(name): value for name, value in found.items()}


def _own_name(name: str, path: Path) -> str:
    """What the network here calls a tensor."""
    layer, _, part = name.rpartition(".")
    if layer in _WHOLE:
        return f"{_WHOLE[layer]}.{part}"
    cell = _CELL.match(name)
    if cell is not None:
        number = int(cell[2]) - 1 if cell[1] == "stem" else int(cell[2]) + _STEMS
        if (found := _PREPROCESS.match(cell[3])) is not None:
            return f"cells.{number}.inputs.{found[1]}.adapter.{_HALVES.get(found[2], found[2])}.{found[3]}"
        if (found := _OPERATOR.match(cell[3])) is not None:
            block, side = divmod(int(found[1]), 2)
            return f"cells.{number}.blocks.{block}.{('left', 'right')[side]}.{found[2]}.{found[3]}"
    raise ModelFileError(f"{path}: {name!r} is no tensor of the published PNASNet-5")


def _skeleton(tensors: Mapping[str, Tensor], path: Path) -> PnasImagenet:
    """Filters and cells, from the shapes of the tensors."""
    cells = {int(name.split(".")[1]) for name in tensors if name.startswith("cells.")}
    third = f"cells.{_STEMS}.inputs.1.adapter.2.weight"
    for name in (third, "stem.0.weight", "head.3.weight"):
        if name not in tensors:
            raise ModelFileError(f"{path} is not the published PNASNet-5 for ImageNet: it has no {name!r} (our name)")
    if len(cells) < _STEMS + 3 or (len(cells) - _STEMS) % 3:
        raise ModelFileError(
            f"{path} is not the published PNASNet-5: {len(cells)} cells, {_STEMS} and a multiple of 3 are"
        )
    known = reference("pnasnet5-large").skeleton
    assert isinstance(known, PnasImagenet)
    filters, stem = len(tensors[third]), len(tensors["stem.0.weight"])
    return replace(known, N=(len(cells) - _STEMS) // 3, F=filters, stem=stem)
