"""Weights from parent to child: a cell grown by a block starts from what its smaller self has learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from safetensors.torch import load, save
from torch import Tensor, nn

from pronas.space import Cell

Key = tuple[object, ...]


def weights_of(network: nn.Module) -> bytes:
    """Give a network's weights as the content of a safetensors file."""
    return save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()})


def inherit(network: nn.Module, cell: Cell, parent: Cell, weights: bytes) -> int:
    """Copy the parent's trained weights into ``network``; what the parent has not stays fresh.

    Two blocks are the same when they do the same to the same inputs (whatever their numbers and the order of their
    halves): their tensors are copied in every cell of the network where their shapes agree. So are the stem's, the
    adapters' and the head's.

    Args:
        network: of ``cell``, freshly built.
        cell: the child.
        parent: the cell that ``weights`` belong to.
        weights: what ``weights_of`` gave.

    Returns:
        How many tensors were copied.
    """
    old, new = load(weights), network.state_dict()
    renamed = dict(_renamed(old, _halves(parent), _halves(cell)))
    taken = {name: old[source] for name, source in renamed.items() if _fits(new.get(name), old[source])}
    network.load_state_dict({**new, **taken})
    return len(taken)


def _fits(new: Tensor | None, old: Tensor) -> bool:
    return new is not None and new.shape == old.shape and new.dtype == old.dtype


def _renamed(
    old: Mapping[str, Tensor], parent: Mapping[tuple[str, str], Key], child: Mapping[tuple[str, str], Key]
) -> Iterator[tuple[str, str]]:
    """Pair names of the child's tensors with the parent's: cells.K.blocks.I.SIDE.REST, others as they are."""
    place = {key: where for where, key in child.items()}
    for name in old:
        parts = name.split(".")
        if parts[0] != "cells" or parts[2] != "blocks":
            yield name, name
            continue
        where = place.get(parent[parts[3], parts[4]]) if (parts[3], parts[4]) in parent else None
        if where is not None:
            yield ".".join([*parts[:3], *where, *parts[5:]]), name


def _halves(cell: Cell) -> dict[tuple[str, str], Key]:
    """Name what stands at (block, "left" | "right" | "ending") by what it computes, so that equal names may share."""
    keys: dict[int, Key] = {}
    found: dict[tuple[str, str], Key] = {}
    seen: dict[Key, int] = {}
    first = 1 if cell.flat else 0
    for index, block in enumerate(cell.blocks):
        sides = {
            "left": (block.operator1, keys.get(block.input1, (block.input1,))),
            "right": (block.operator2, keys.get(block.input2, (block.input2,))),
        }
        ordered = sorted(sides, key=lambda side: repr(sides[side]))
        what: Key = tuple(sides[side] for side in ordered)
        seen[what] = seen.get(what, 0) + 1
        keys[index + first] = key = ("block", *what, seen[what])  # equal blocks are told apart by their order
        for number, side in enumerate(ordered):
            found[str(index), side] = (*key, number)
        found[str(index), "ending"] = (*key, "ending")
    return found
