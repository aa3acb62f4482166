"""Flash and RAM of a full-precision network as int8 C, from its plan alone."""

from __future__ import annotations

import torch

from pronas.deploy.integer._builder import on_meta
from pronas.deploy.integer._csource import constant_bytes, kinds_used
from pronas.deploy.integer._graph import FloatGraph
from pronas.deploy.integer._layout import layout
from pronas.deploy.integer._lower import lower
from pronas.networks import Network, NetworkPlan


def integer_footprint(plan: NetworkPlan) -> tuple[int, int, frozenset[str]]:
    """(bytes of constants, bytes of static memory, C functions used) of the C that `write_integer_c` would write.

    Nothing is trained and no weight gets memory: the network is built on the meta device.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> plan = skeleton("flat", filters=(8, 16)).plan(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 32, 32), 10)
        >>> constants, ram, kinds = integer_footprint(plan)
        >>> constants, ram, sorted(kinds)
        (3032, 6656, ['conv', 'dense', 'image', 'maxpool', 'mean', 'rescale'])

    Args:
        plan: of a full-precision network.

    Returns:
        Two numbers of bytes, and names of kinds of operations.

    Raises:
        UsageError: a binary plan, or a layer that has no integer form; the message names it.
    """
    graph = _shapes(plan)
    steps = layout(graph)
    return constant_bytes(graph, steps), steps.size, kinds_used(graph, steps)


def _shapes(plan: NetworkPlan) -> FloatGraph:
    channels = plan.input_shape[0]
    with torch.device("meta"):
        network = Network(plan, torch.ones(channels), torch.zeros(channels)).eval()
        graph = lower(network)
    assert all(node.weight is None or on_meta(node.weight) for node in graph.nodes)
    return graph


def largest_node(plan: NetworkPlan, weights: bool) -> str:
    """The layer with the most weights, or with the largest map, in words.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> plan = skeleton("flat", filters=(8, 16)).plan(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 32, 32), 10)
        >>> largest_node(plan, weights=True)
        'in cell 1, block 0, left, 1,584 weights'

    Args:
        plan: of a full-precision network.
        weights: look for weights, not for maps.

    Returns:
        A phrase for messages: where the layer stands and its size, an int8 a weight or element.

    Raises:
        UsageError: as `integer_footprint`.
    """
    graph = _shapes(plan)
    if weights:
        node = max(graph.nodes, key=lambda n: 0 if n.weight is None else n.weight.numel())
        size = 0 if node.weight is None else node.weight.numel()
        return f"in {node.where}, {size:,} weights"
    node = max(graph.nodes, key=lambda n: n.size)
    return f"in {node.where}, a map of {node.size:,} bytes"
