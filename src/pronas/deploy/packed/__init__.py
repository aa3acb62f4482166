"""Binary networks as packed bits: the graph, the file, the runtime, C source; docs/packed.md describes the file."""

from typing import TYPE_CHECKING, Any

from pronas.deploy.packed._builder import Builder
from pronas.deploy.packed._class_scores import class_scores
from pronas.deploy.packed._core import Native
from pronas.deploy.packed._csource import CSource, c_source, write_c
from pronas.deploy.packed._format import pack, unpack
from pronas.deploy.packed._graph import Graph, Logits
from pronas.deploy.packed._network import PackedNetwork, available_kernels, is_packed, load_packed

if TYPE_CHECKING:
    from pronas.deploy.packed._extract import graph_of
    from pronas.deploy.packed._footprint import largest_op, packed_footprint
    from pronas.deploy.packed._module import GraphModule

__all__ = [
    "Builder",
    "CSource",
    "Graph",
    "GraphModule",
    "Logits",
    "Native",
    "PackedNetwork",
    "available_kernels",
    "c_source",
    "class_scores",
    "graph_of",
    "is_packed",
    "largest_op",
    "load_packed",
    "pack",
    "packed_footprint",
    "unpack",
    "write_c",
]


def __getattr__(name: str) -> Any:
    """Reading trained networks imports torch; running a packed one must not."""
    if name == "graph_of":
        from pronas.deploy.packed._extract import graph_of

        return graph_of
    if name in ("packed_footprint", "largest_op"):
        from pronas.deploy.packed import _footprint

        return getattr(_footprint, name)
    if name == "GraphModule":
        from pronas.deploy.packed._module import GraphModule

        return GraphModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
