"""Flash and RAM of a binary network as C, from its plan alone."""

from __future__ import annotations

import torch

from pronas.deploy.packed._csource import c_source
from pronas.deploy.packed._extract import graph_of
from pronas.deploy.packed._graph import Graph
from pronas.networks import Network, NetworkPlan


def packed_footprint(plan: NetworkPlan) -> tuple[int, int, frozenset[str]]:
    """(bytes of constants, bytes of static memory, C functions used) of the C that `write_c` would write.

    Sizes follow from shapes; a network with any weights tells them. To the byte, unless a training makes more than four
    logits equal, or turns them around, by rounding: each further one takes 16 bytes.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> plan = skeleton("binary", filters=(8,)).plan(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> constants, ram, functions = packed_footprint(plan)
        >>> constants > 1000, ram, "dense" in functions
        (True, 48, True)

    Args:
        plan: of a binary network.

    Returns:
        Two numbers of bytes, and names of functions.

    Raises:
        UsageError: a full-precision plan, or a layer that has no packed form.
    """
    made = c_source(_untrained(plan), "net")
    return made.constant_bytes, made.buffer_bytes, made.functions


def largest_op(plan: NetworkPlan, weights: bool) -> str:
    """The operation with the most weights, or with the largest map, in words.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> plan = skeleton("binary", filters=(8,)).plan(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> largest_op(plan, weights=True)
        'a dense of 4,608 bits'

    Args:
        plan: of a binary network.
        weights: look for weights, not for maps.

    Returns:
        A phrase for messages; sizes in bits.

    Raises:
        UsageError: as `packed_footprint`.
    """
    graph = _untrained(plan)
    op = max(graph.ops, key=lambda o: 0 if o.weights is None else o.weights.size)
    if weights and op.weights is not None:
        return f"a {op.kind} of {op.weights.size:,} bits"
    largest = max(graph.maps[1:], key=lambda m: m.channels * m.height * m.width)
    return f"a map of {largest.channels} x {largest.height} x {largest.width} bits"


def _untrained(plan: NetworkPlan) -> Graph:
    channels = plan.input_shape[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return graph_of(Network(plan, torch.ones(channels), torch.zeros(channels)).eval())
