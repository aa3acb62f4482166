from __future__ import annotations

import pytest

from pronas.errors import UsageError
from pronas.networks import skeleton
from pronas.space import Cell
from pronas.training import ChildProgress, ChildResult, NetworkManager, Recipe

CELLS = ["0:3x3 dconv + 0:identity", "0:3x3 maxpool + 0:3x3 conv", "0:3x3 avgpool + 0:3x3 dconv"]
SMALL = skeleton("flat", filters=[4, 8])


def _manager(digits, **options) -> NetworkManager:
    return NetworkManager(digits, 2, 64, **{"skeleton": SMALL, **options})


def _plain(result: ChildResult) -> tuple[object, ...]:
    return str(result.cell), result.status, result.reward, result.metrics, result.epochs, result.images


def test_a_child_s_result_says_all_of_it(digits) -> None:
    with _manager(digits) as manager:
        (result,) = manager.get_rewards([CELLS[0]])
    assert (result.status, result.error, result.attempts, result.epochs) == ("done", None, 1, 2)
    assert result.cell == Cell.parse(CELLS[0])
    assert result.images == 2 * (len(digits.train) // 64) * 64
    curves = {"loss", "accuracy", "rate", "validation_loss", "validation_accuracy"}
    assert {name: len(curve) for name, curve in result.metrics.items()} == dict.fromkeys(curves, 2)
    assert result.reward == max(result.metrics["validation_accuracy"]) > 0.1
    network = SMALL.build(result.cell, digits.input_shape, 10)
    assert result.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert result.macs > 0
    assert result.weight_bits > 0
    assert result.seconds > 0


def test_training_helps(digits) -> None:
    with NetworkManager(digits, 12, 32, skeleton=SMALL) as manager:
        (result,) = manager.get_rewards(["0:3x3 conv + 0:5x5 conv"])
    assert result.metrics["loss"][-1] < 0.7 * result.metrics["loss"][0]
    assert result.reward > 0.75


def test_binary_children_learn_too(digits) -> None:
    with NetworkManager(digits, 12, 32, skeleton=skeleton("binary", filters=[16, 16])) as manager:
        assert manager.recipe.name == "search-binary"
        (result,) = manager.get_rewards(["0:3x3 bconv + 0:5x5 bconv"])
    assert result.reward > 0.6
    assert result.binary_macs > 0


@pytest.mark.parametrize("execution", ["inline", "local"])
def test_rewards_depend_neither_on_order_nor_on_workers(digits, execution) -> None:
    with _manager(digits) as manager:
        alone = {str(result.cell): _plain(result) for cell in CELLS for result in manager.get_rewards([cell])}
    with _manager(digits, execution=execution, workers=2 if execution == "local" else None) as manager:
        for result in manager.get_rewards(reversed(CELLS)):
            assert _plain(result) == alone[str(result.cell)]


def test_cells_of_one_canonical_form_are_one_network(digits) -> None:
    with _manager(digits) as manager:
        one, two = manager.get_rewards(["0:3x3 dconv + 0:identity", "0:identity + 0:3x3 dconv"])
    assert one.reward == two.reward
    assert one.cell != two.cell


def test_the_seed_matters(digits) -> None:
    with _manager(digits, seed=1) as one, _manager(digits, seed=2) as two:
        first, second = next(one.get_rewards(CELLS[:1])), next(two.get_rewards(CELLS[:1]))
    assert first.metrics["loss"] != second.metrics["loss"]


def test_progress_comes_once_an_epoch_before_the_result(digits) -> None:
    with _manager(digits) as manager:
        events = list(manager.events(CELLS[:2]))
    assert [type(event) for event in events] == [ChildProgress, ChildProgress, ChildResult] * 2
    assert [event.epoch for event in events if isinstance(event, ChildProgress)] == [1, 2, 1, 2]
    assert events[1].accuracy == events[2].metrics["validation_accuracy"][1]
    assert str(events[0].cell) == CELLS[0]


def test_a_recipe_for_one_cell_holds_for_that_cell_only(digits) -> None:
    with _manager(digits) as manager:
        results = [e for e in manager.events(CELLS[:2], recipes=[{"epochs": 1}, {}]) if isinstance(e, ChildResult)]
        assert [result.epochs for result in results] == [1, 2]
        with pytest.raises(UsageError, match="1 recipes for 2 cells"):
            manager.events(CELLS[:2], recipes=[{}])


def test_a_diverged_child_has_failed_and_the_others_go_on(digits) -> None:
    with _manager(digits, recipe=Recipe(optimizer="sgd", learning_rate=1e6, schedule="constant")) as manager:
        first, second = [
            event
            for event in manager.events(CELLS[:2], recipes=[{}, {"learning_rate": 1e-3}])
            if isinstance(event, ChildResult)
        ]
    assert (first.status, first.reward) == ("failed", 0.0)
    assert first.error is not None
    assert first.error.startswith("diverged: the loss became")
    assert "\n" not in first.error
    assert first.parameters > 0
    assert second.status == "done"


def test_an_operator_that_raises_fails_its_child_alone(digits) -> None:
    with _manager(digits) as manager:
        results = list(manager.get_rewards(["0:3x3 bconv + 0:identity", CELLS[0]]))
    assert [result.status for result in results] == ["failed", "done"]
    assert "3x3 bconv" in str(results[0].error)


def test_a_child_without_memory_has_failed_with_that_reason(digits, monkeypatch) -> None:
    from pronas.training import worker

    def starved(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(worker, "Training", starved)
    with _manager(digits) as manager:
        (result,) = manager.get_rewards(CELLS[:1])
    assert (result.status, result.reward) == ("failed", 0.0)
    assert str(result.error).startswith("out of memory")


def test_get_reward_is_a_number(digits) -> None:
    with _manager(digits) as manager:
        assert 0.0 < manager.get_reward(Cell.parse(CELLS[0])) <= 1.0


def test_giving_up_an_iteration_leaves_nothing_for_the_next(digits) -> None:
    with _manager(digits) as manager:
        next(manager.events(CELLS))
        assert [str(result.cell) for result in manager.get_rewards(CELLS[2:])] == CELLS[2:]


def test_wrong_names_are_refused_at_once(digits) -> None:
    with pytest.raises(UsageError, match="did you mean 'search'"):
        NetworkManager(digits, recipe="serch")
    with pytest.raises(UsageError, match="did you mean 'flat'"):
        NetworkManager(digits, skeleton="flatt")
    with pytest.raises(UsageError, match="did you mean 'local'"):
        NetworkManager(digits, execution="locl")
    with pytest.raises(UsageError, match="epochs"):
        NetworkManager(digits, 0)
