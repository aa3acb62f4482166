"""Latency, size and agreement of one model in the forms it can be shipped in, measured side by side."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from pronas.deploy._emulate import Emulated, emulate
from pronas.deploy._export import model_graph
from pronas.deploy._forms import Images, Runner, forms_of
from pronas.deploy.integer import IntegerGraph, write_integer_c
from pronas.deploy.packed import write_c
from pronas.errors import UsageError
from pronas.machine import torch_threads
from pronas.training import Model


@final
@dataclass(frozen=True)
class Measurement:
    """One form of a model.

    Attributes:
        name: of the form.
        microseconds: median latency of one image, one thread.
        size: bytes of its weights as shipped.
        agreement: share of images that get PyTorch's class.
        difference: largest difference of a logit from PyTorch's.
    """

    name: str
    microseconds: float
    size: int
    agreement: float
    difference: float


def measure(model: Model, images: Images, repeats: int = 30, integers: IntegerGraph | None = None) -> list[Measurement]:
    """Measure every form that the model has and that can be run here (`forms_of`), taking turns.

    Args:
        model: the model; its first form is always PyTorch, which the others are compared with.
        images: uint8 (n, C, H, W); latency is taken on the first.
        repeats: rounds of the measurement; each form runs once a round.
        integers: the integer network of a full-precision model, for its int8 forms.

    Returns:
        One `Measurement` a form, PyTorch's first; forms that nothing here can run are left out.

    Raises:
        UsageError: a binary model with a layer that has no packed form, or integers with a window that has no C form.
        ModelFileError: ONNX Runtime's answers differ from PyTorch's.
    """
    with torch_threads(1), tempfile.TemporaryDirectory() as folder:
        forms = forms_of(model, integers, Path(folder))
        latency = interleaved({form.name: form.run for form in forms}, images[:1], repeats)
        logits = {form.name: form.run(images) for form in forms}
    expected = logits["PyTorch"]
    return [
        Measurement(
            form.name,
            latency[form.name],
            form.size,
            float((logits[form.name].argmax(1) == expected.argmax(1)).mean()),
            float(np.abs(logits[form.name] - expected).max()),
        )
        for form in forms
    ]


def interleaved(runs: dict[str, Runner], image: Images, repeats: int) -> dict[str, float]:
    """Median microseconds of one call, by name; each round runs every one, so that noise meets all alike.

        >>> runs = {"sum": lambda image: image.sum(), "mean": lambda image: image.mean()}
        >>> sorted(interleaved(runs, np.zeros((1, 1, 8, 8), np.uint8), repeats=3))
        ['mean', 'sum']

    Args:
        runs: functions of an image, by name.
        image: uint8 (1, C, H, W).
        repeats: rounds that are timed, one or more; two go before, untimed.

    Returns:
        Microseconds by the names of ``runs``.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter_ns()
            run(image)
            times[name].append((time.perf_counter_ns() - start) / 1000)
    return {name: statistics.median(values[2:]) for name, values in times.items()}


def measure_on(model: Model, image: Images, processor: str, integers: IntegerGraph | None = None) -> Emulated:
    """The C of a model on a Cortex-M under QEMU, one image (C, H, W); see `pronas.deploy._emulate`.

    Args:
        model: trained; binary, or full precision with ``integers``.
        image: uint8 (C, H, W).
        processor: for instance ``cortex-m4``.
        integers: the integer network of a full-precision model.

    Returns:
        Its class, instructions for the image, and bytes of flash, RAM and stack.

    Raises:
        UsageError: a full-precision model without ``integers``; an unknown processor, or arm-none-eabi-gcc or
            qemu-system-arm is not installed, or they fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "net.c"
        if model.network.plan.factory.binary:
            write_c(model_graph(model), source)
        elif integers is not None:
            write_integer_c(integers, source)
        else:
            raise UsageError("int8 needs training images to take its scales from: give data", "data")
        glue = f'#include "{folder}/net.h"\nint run(const uint8_t *image) {{ return net_classify(image); }}\n'
        return emulate([source], glue, image, processor, ["-O2"])
