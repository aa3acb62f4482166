"""Latency, size and agreement of one model in the forms it can be shipped in, measured side by side."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from pronas.deploy._emulate import Emulated, emulate
from pronas.deploy._export import model_graph
from pronas.deploy.integer import IntegerGraph, integer_c, write_integer_c
from pronas.deploy.packed import PackedNetwork, pack, write_c
from pronas.errors import MissingExtraError, UsageError
from pronas.machine import torch_threads
from pronas.training import Model

Images = NDArray[np.uint8]
Runner = Callable[[Images], NDArray[Any]]


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
    """Measure PyTorch, the packed network (binary models), ONNX Runtime (where installed) and int8, taking turns.

        >>> import numpy as np
        >>> from pronas.networks import skeleton
        >>> from pronas.training import Model, ModelSpec
        >>> small = skeleton("binary", filters=(4,)).to_dict()
        >>> spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", small, (1, 8, 8), tuple("0123456789"))
        >>> model = Model(spec.build().eval(), spec)
        >>> forms = measure(model, np.zeros((2, 1, 8, 8), np.uint8), repeats=1)
        >>> forms[0].name, forms[0].agreement, forms[0].microseconds > 0
        ('PyTorch', 1.0, True)

    Args:
        model: the model; its first form is always PyTorch, which the others are compared with.
        images: uint8 (n, C, H, W); latency is taken on the first.
        repeats: rounds of the measurement; each form runs once a round.
        integers: the integer network of a full-precision model: its C (compiled here, where there is a compiler) and
            its ONNX are measured as well.
    """
    with torch_threads(1), tempfile.TemporaryDirectory() as folder:
        forms = _forms(model, Path(folder))
        if integers is not None:
            forms |= _integer_forms(integers, Path(folder))
        latency = interleaved({name: run for name, (run, _) in forms.items()}, images[:1], repeats)
        logits = {name: run(images) for name, (run, _) in forms.items()}
    expected = logits["PyTorch"]
    return [
        Measurement(
            name,
            latency[name],
            size,
            float((logits[name].argmax(1) == expected.argmax(1)).mean()),
            float(np.abs(logits[name] - expected).max()),
        )
        for name, (_, size) in forms.items()
    ]


def interleaved(runs: dict[str, Runner], image: Images, repeats: int) -> dict[str, float]:
    """Median microseconds of one call, by name; each round runs every one, so that noise meets all alike.

    >>> runs = {"sum": lambda image: image.sum(), "mean": lambda image: image.mean()}
    >>> sorted(interleaved(runs, np.zeros((1, 1, 8, 8), np.uint8), repeats=3))
    ['mean', 'sum']
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter_ns()
            run(image)
            times[name].append((time.perf_counter_ns() - start) / 1000)
    return {name: statistics.median(values[2:]) for name, values in times.items()}


def _forms(model: Model, folder: Path) -> dict[str, tuple[Runner, int]]:
    network = model.network
    floats = 4 * sum(p.numel() for p in network.parameters())
    forms: dict[str, tuple[Runner, int]] = {"PyTorch": (_torch_runner(network), floats)}
    if network.plan.factory.binary:
        data = pack(model_graph(model))
        packed = PackedNetwork(data, "packed")
        forms[f"packed ({packed.kernel})"] = (packed.logits, len(data))
    try:
        from pronas.deploy.onnx import export_onnx, session

        path = export_onnx(network, model.spec.input_shape, folder / "model.onnx")
    except MissingExtraError:
        return forms
    run = session(path)
    forms["ONNX Runtime"] = (lambda images: np.asarray(run.run(None, {"images": images})[0]), path.stat().st_size)
    return forms


def _integer_forms(network: IntegerGraph, folder: Path) -> dict[str, tuple[Runner, int]]:
    scale, forms = network.scales[-1], dict[str, tuple[Runner, int]]()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is not None:
        source, library = write_integer_c(network, folder / "net.c"), folder / "net.so"
        subprocess.run([compiler, "-O3", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).net_logits

        def run_c(images: Images) -> NDArray[Any]:
            found = np.zeros((len(images), network.classes), np.int8)
            for image, row in zip(np.ascontiguousarray(images), found, strict=True):
                function(ctypes.c_void_p(image.ctypes.data), ctypes.c_void_p(row.ctypes.data))
            return (found.astype(np.float32) - scale.zero) * np.float32(scale.scale)

        forms["int8 C"] = (run_c, integer_c(network, "net").constant_bytes)
    with contextlib.suppress(MissingExtraError):
        from pronas.deploy.onnx import export_onnx_int8, session

        path = export_onnx_int8(network, folder / "int8.onnx")
        run = session(path)
        forms["ONNX Runtime int8"] = (
            lambda images: np.asarray(run.run(None, {"images": images})[0]),
            path.stat().st_size,
        )
    return forms


def measure_on(model: Model, image: Images, processor: str, integers: IntegerGraph | None = None) -> Emulated:
    """The C of a model on a Cortex-M under QEMU, one image (C, H, W); see `pronas.deploy._emulate`.

    Raises:
        UsageError: a full-precision model without ``integers``; as `emulate`.
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


def _torch_runner(network: torch.nn.Module) -> Runner:
    @torch.inference_mode()
    def run(images: Images) -> NDArray[Any]:
        return network(torch.from_numpy(np.ascontiguousarray(images))).numpy()  # type: ignore[no-any-return]

    return run
