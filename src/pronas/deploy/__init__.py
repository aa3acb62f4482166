"""Shipping networks: `onnx`, `packed` (bits, their runtime, C source), `integer` (int8: C, TensorFlow Lite); see
ARCHITECTURE.md, docs/packed.md and docs/int8.md."""

from typing import TYPE_CHECKING, Any

from pronas.deploy._export import FORMATS, Exported, export, export_with_facts, find_model, model_graph
from pronas.deploy.packed import Graph, PackedNetwork, available_kernels, is_packed, load_packed, pack, unpack

if TYPE_CHECKING:
    from pronas.deploy._measure import Measurement, interleaved, measure

__all__ = [
    "FORMATS",
    "Exported",
    "Graph",
    "Measurement",
    "PackedNetwork",
    "available_kernels",
    "export",
    "export_with_facts",
    "find_model",
    "interleaved",
    "is_packed",
    "load_packed",
    "measure",
    "model_graph",
    "pack",
    "unpack",
]


def __getattr__(name: str) -> Any:
    """Measuring imports torch; running a packed network must not."""
    if name in ("Measurement", "interleaved", "measure"):
        from pronas.deploy import _measure

        return getattr(_measure, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
