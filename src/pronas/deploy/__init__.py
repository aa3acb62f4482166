"""Shipping networks: ONNX, packed bits and their runtime, C source; see ARCHITECTURE.md and docs/packed.md."""

from pronas.deploy._export import FORMATS, export, find_model, model_graph
from pronas.deploy._format import pack, unpack
from pronas.deploy._graph import Graph
from pronas.deploy._packed import PackedNetwork, available_kernels, is_packed, load_packed

__all__ = [
    "FORMATS",
    "Graph",
    "PackedNetwork",
    "available_kernels",
    "export",
    "find_model",
    "is_packed",
    "load_packed",
    "model_graph",
    "pack",
    "unpack",
]
