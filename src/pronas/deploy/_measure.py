"""Latency, size and agreement of one model in the forms it can be shipped in, measured side by side."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from pronas.deploy._export import model_graph
from pronas.deploy.packed import PackedNetwork, pack
from pronas.errors import MissingExtraError
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


def measure(model: Model, images: Images, repeats: int = 30) -> list[Measurement]:
    """Measure PyTorch, the packed network (binary models) and ONNX Runtime (where installed), taking turns.

    Args:
        model: the model; its first form is always PyTorch, which the others are compared with.
        images: uint8 (n, C, H, W); latency is taken on the first.
        repeats: rounds of the measurement; each form runs once a round.
    """
    with torch_threads(1), tempfile.TemporaryDirectory() as folder:
        forms = _forms(model, Path(folder))
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
    """Median microseconds of one call, by name; each round runs every one, so that noise meets all alike."""
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


def _torch_runner(network: torch.nn.Module) -> Runner:
    @torch.inference_mode()
    def run(images: Images) -> NDArray[Any]:
        return network(torch.from_numpy(np.ascontiguousarray(images))).numpy()  # type: ignore[no-any-return]

    return run
