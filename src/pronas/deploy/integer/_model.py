"""From a trained model and its data set to the integer network, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from pronas.data import Dataset
from pronas.deploy.integer._calibrate import calibrate
from pronas.deploy.integer._lower import lower
from pronas.deploy.integer._qat import fine_tuned
from pronas.deploy.integer._quantize import IntegerGraph, quantize
from pronas.deploy.integer._reference import run_integer
from pronas.errors import UsageError
from pronas.training import Model

CALIBRATION = 512
"""Training images that scales are taken from."""

COMPARED = 2000
"""Validation images on which the integer network is compared with the float one."""


@final
@dataclass(frozen=True)
class Agreement:
    """How the integer network does beside the float one.

    Attributes:
        images: validation images compared.
        float_accuracy, integer_accuracy: share classified right.
        same: share that both put into one class.
    """

    images: int
    float_accuracy: float
    integer_accuracy: float
    same: float


def integer_model(
    model: Model, dataset: Dataset, *, calibration: str = "mse", qat: int = 0, seed: int = 0
) -> IntegerGraph:
    """The integer network of a full-precision model.

    Args:
        model: trained.
        dataset: 512 of its training images, drawn with ``seed``, set the scales.
        calibration: "mse", "percentile" or "minmax" (see `pronas.deploy.integer.calibrate`).
        qat: epochs of further training with fake quantization.
        seed: of the draw and of the training.

    Returns:
        Its int8 network, for `run_integer`, `write_integer_c` and `tflite_bytes`.

    Raises:
        UsageError: a binary model, a layer without an integer form, fewer than 32 images, images of another shape or
            another number of classes than the model's, or an unknown calibration.
    """
    spec = model.spec
    _check_images(model, dataset)
    parameters = sum(p.numel() for p in model.network.parameters())
    graph = lower(model.network, classes=list(spec.classes), cell=spec.cell, parameters=parameters)
    train = dataset.train.images
    chosen = np.sort(np.random.default_rng(seed).permutation(len(train))[:CALIBRATION])
    scales = calibrate(graph, np.ascontiguousarray(train[chosen]), calibration)
    if qat:
        graph = fine_tuned(graph, scales, dataset, qat, seed)
    return quantize(graph, scales)


def _check_images(model: Model, dataset: Dataset) -> None:
    spec, shape = model.spec, dataset.input_shape
    if shape != spec.input_shape or len(dataset.classes) != len(spec.classes):
        there, here = ("x".join(map(str, one)) for one in (shape, spec.input_shape))
        raise UsageError(
            f"{dataset.name} has {len(dataset.classes)} classes of images of {there}, the model {len(spec.classes)} of "
            f"{here}: give the images that it was trained on",
            "data",
        )


def compare(model: Model, network: IntegerGraph, dataset: Dataset) -> Agreement:
    """Both networks on up to 2,000 validation images.

        >>> from pronas.data import load_dataset
        >>> from pronas.networks import skeleton
        >>> from pronas.training import Model, ModelSpec
        >>> small = skeleton("flat", filters=(4,)).to_dict()
        >>> spec = ModelSpec("0:3x3 conv + 0:3x3 maxpool", small, (1, 8, 8), tuple("0123456789"))
        >>> model = Model(spec.build().eval(), spec)
        >>> dataset = load_dataset("digits", limit=100)
        >>> found = compare(model, integer_model(model, dataset), dataset)
        >>> found.images, 0.8 < found.same <= 1
        (288, True)

    Args:
        model: trained, full precision.
        network: its integer network.
        dataset: whose validation images are classified, uint8 (n, C, H, W).

    Returns:
        Shares of those images: right in floats, right in integers, put into one class by both.
    """
    split = dataset.validation
    images, labels = np.ascontiguousarray(split.images[:COMPARED]), split.labels[:COMPARED]
    floats, integers = _classes(model, images), run_integer(network, images).argmax(1)
    float_right, integer_right = (float((found == labels).mean()) for found in (floats, integers))
    return Agreement(len(labels), float_right, integer_right, float((floats == integers).mean()))


@torch.inference_mode()
def _classes(model: Model, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    parts = [model.network(part).argmax(1) for part in torch.split(torch.from_numpy(images), 256)]
    return torch.cat(parts).numpy()
