"""Shipping networks: `onnx`, `packed` (bits, their runtime, C source), `integer` (int8: C, TensorFlow Lite); see
ARCHITECTURE.md, docs/packed.md and docs/int8.md."""

from typing import TYPE_CHECKING, Any

from pronas.deploy._export import FORMATS, Exported, export, export_with_facts, find_model, model_graph
from pronas.deploy._exported import open_exported
from pronas.deploy._targets import Target, load_targets, target, target_names
from pronas.deploy.packed import Graph, PackedNetwork, available_kernels, is_packed, load_packed, pack, unpack

if TYPE_CHECKING:
    from pronas.deploy._emulate import check_emulated, emulate
    from pronas.deploy._footprint import Footprint, check_fits, footprint
    from pronas.deploy._latency import shipped_latency
    from pronas.deploy._measure import Measurement, interleaved, measure, measure_on

__all__ = [
    "FORMATS",
    "Exported",
    "Footprint",
    "Graph",
    "Measurement",
    "PackedNetwork",
    "Target",
    "available_kernels",
    "check_emulated",
    "check_fits",
    "emulate",
    "export",
    "export_with_facts",
    "find_model",
    "footprint",
    "interleaved",
    "is_packed",
    "load_packed",
    "load_targets",
    "measure",
    "measure_on",
    "model_graph",
    "open_exported",
    "pack",
    "shipped_latency",
    "target",
    "target_names",
    "unpack",
]


def __getattr__(name: str) -> Any:
    """Measuring imports torch; running a packed network must not."""
    if name in ("check_emulated", "emulate"):
        from pronas.deploy import _emulate

        return getattr(_emulate, name)
    if name in ("Measurement", "interleaved", "measure", "measure_on"):
        from pronas.deploy import _measure

        return getattr(_measure, name)
    if name == "shipped_latency":
        from pronas.deploy import _latency

        return _latency.shipped_latency
    if name in ("Footprint", "check_fits", "footprint"):
        from pronas.deploy import _footprint

        return getattr(_footprint, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
