from __future__ import annotations

import pytest
from safetensors.torch import load

from pronas.networks import skeleton
from pronas.space import Cell
from pronas.training import ChildResult, NetworkManager, recipe

PARENT = Cell.parse("0:3x3 dconv + 0:3x3 conv")
#: the parent's block stands second here, its halves the other way round, and another block reads it
CHILD = Cell.parse("0:3x3 maxpool + 0:3x3 maxpool | 0:3x3 conv + 0:3x3 dconv | 2:3x3 dconv + 0:identity")
SMALL = skeleton("flat", filters=[4, 8])


def _train(digits, cell: Cell, rate: float, **options) -> ChildResult:
    frozen = recipe("search").replace(learning_rate=rate, epochs=1)
    with NetworkManager(digits, skeleton=SMALL, recipe=frozen) as manager:
        (result,) = [event for event in manager.events([cell], **options) if isinstance(event, ChildResult)]
    assert result.status == "done", result.error
    return result


@pytest.fixture(scope="module")
def parent(digits) -> ChildResult:
    return _train(digits, PARENT, 4e-3, keep_weights=True)


def _block(weights: bytes, cell: Cell, block: int, operator: str, layer: int):
    """The weights of a layer of an operator in a block, in every cell of the network."""
    own = cell.canonical().blocks[block]
    side = "left" if own.operator1 == operator else "right"
    tensors = load(weights)
    return [tensors[f"cells.{index}.blocks.{block}.{side}.{layer}.weight"] for index in range(2)]


def test_weights_are_given_only_when_asked_for(digits, parent) -> None:
    assert parent.weights
    assert _train(digits, PARENT, 4e-3).weights is None


def test_a_child_starts_from_its_parents_blocks(digits, parent) -> None:
    heir = _train(digits, CHILD, 0.0, keep_weights=True, parents={CHILD: (PARENT, parent.weights)})
    fresh = _train(digits, CHILD, 0.0, keep_weights=True)
    blocks = CHILD.canonical().blocks
    (place,) = [i for i, block in enumerate(blocks) if {block.operator1, block.operator2} == {"3x3 conv", "3x3 dconv"}]
    for operator in ("3x3 conv", "3x3 dconv"):
        old = _block(parent.weights, PARENT, 0, operator, 0)
        new = _block(heir.weights, CHILD, place, operator, 0)
        other = _block(fresh.weights, CHILD, place, operator, 0)
        assert new[0].equal(old[0])
        assert not other[0].equal(old[0])
        if new[1].shape == old[1].shape:
            assert new[1].equal(old[1])


def test_a_child_identical_to_its_parent_takes_all_of_it(digits, parent) -> None:
    heir = _train(digits, PARENT, 0.0, keep_weights=True, parents={PARENT: (PARENT, parent.weights)})
    old, new = load(parent.weights), load(heir.weights)
    trained = [name for name in old if name.endswith(("weight", "bias"))]
    assert all(new[name].equal(old[name]) for name in trained)
