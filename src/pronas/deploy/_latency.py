"""Latency of a network in the form that it ships in, quickly enough to ask it of every cell of a search."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from pronas.deploy._forms import Runner
from pronas.deploy._measure import interleaved
from pronas.deploy.integer import lower
from pronas.deploy.onnx import export_onnx, float_onnx, session
from pronas.deploy.packed import PackedNetwork, graph_of, pack
from pronas.errors import UsageError
from pronas.machine import torch_threads
from pronas.networks import Network


def shipped_latency(network: Network, repeats: int = 15) -> float:
    """Median microseconds of one image on one thread: packed for binary networks, ONNX Runtime for others.

    Args:
        network: trained or not; left in evaluation mode.
        repeats: calls that are timed.

    Returns:
        Microseconds; two calls go before, untimed. A user's own layers are timed as PyTorch's exporter writes them.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed (full precision).
    """
    image = np.random.default_rng(0).integers(0, 256, (1, *network.plan.input_shape), dtype=np.uint8)
    with torch_threads(1), torch.no_grad():
        return interleaved({"": _runner(network.eval())}, image, repeats)[""]


def _runner(network: Network) -> Runner:
    try:
        if network.plan.factory.binary:
            return PackedNetwork(pack(graph_of(network)), "packed").logits
        run = session(float_onnx(lower(network)))
    except UsageError:  # a layer of the user's own: PyTorch's exporter knows it, and takes seconds
        with tempfile.TemporaryDirectory() as folder:
            run = session(export_onnx(network, network.plan.input_shape, Path(folder) / "model.onnx"))
    return lambda images: np.asarray(run.run(None, {"images": images})[0])
