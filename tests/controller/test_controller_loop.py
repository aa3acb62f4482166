"""The loop of the three managers, on rewards computed from the cell's text."""

import pytest

from pronas.controller import ControllerManager
from pronas.errors import ModelFileError, UsageError
from pronas.space import StateSpace

OPERATORS = ["3x3 dconv", "3x3 maxpool", "identity"]
QUICK = {"steps": 8, "cells": 12, "embedding": 6}


def reward(cell):
    text = str(cell)
    return min(0.99, 0.5 + 0.04 * text.count("dconv") + 0.02 * text.count("-1:") - 0.03 * text.count("identity"))


def make(**options):
    space = StateSpace(3, OPERATORS)
    return ControllerManager(space, **({"K": 6, "options": QUICK, "seed": 3} | options))


def run(manager):
    proposed = []
    for _ in range(manager.B):
        cells = manager.get_actions()
        proposed.append(cells)
        manager.train([reward(cell) for cell in cells])
        manager.update()
    return proposed


def test_old_loop_goes_level_by_level():
    manager = make()
    levels = run(manager)
    assert [len(cells) for cells in levels] == [21, 6, 6]
    assert [{len(cell) for cell in cells} for cells in levels] == [{1}, {2}, {3}]
    assert manager.finished
    assert manager.get_actions() == []
    everything = [cell.canonical() for cells in levels for cell in cells]
    assert len(set(everything)) == len(everything)


def test_children_extend_evaluated_parents():
    level2, level3 = run(make())[1:]
    parents = {cell.canonical() for cell in level2}
    from pronas.space import Cell

    assert all(Cell(cell.blocks[:2]).canonical() in parents for cell in level3)


def test_same_seed_same_search_other_seed_other():
    assert run(make()) == run(make())
    assert run(make())[2] != run(make(seed=4))[2]


def test_report_has_extrapolation_after_level_one():
    manager = make()
    run(manager)
    first, second, _ = manager.reports
    assert first.extrapolation is None
    assert second.extrapolation.n == 6
    assert first.cross_validated.n == 21
    assert first.to_dict()["in_sample"]["spearman"] > 0


def test_ask_and_tell_proposes_the_same_cells():
    by_loop = [cell for level in run(make()) for cell in level]
    manager, asked = make(), []
    while not manager.finished:
        cells = manager.ask(4)
        manager.tell(cells, [reward(cell) for cell in cells])
        asked += cells
    assert asked == by_loop


def test_ask_waits_for_the_rest_of_a_round():
    manager = make()
    cells = manager.ask(100)
    assert len(cells) == 21
    assert manager.ask(3) == []
    assert not manager.finished
    manager.tell(cells, [reward(cell) for cell in cells])
    assert {len(cell) for cell in manager.ask(3)} == {2}


def test_saved_state_goes_on_as_if_never_stopped(tmp_path):
    manager = make()
    cells = manager.get_actions()
    manager.train([reward(cell) for cell in cells])
    manager.update()
    manager.save(tmp_path / "controller")
    expected = manager.get_actions()
    again = make()
    again.restore(tmp_path / "controller")
    assert again.get_actions() == expected
    for one in (manager, again):
        one.get_actions()
        one.train([reward(cell) for cell in expected])
        one.update()
    assert again.get_actions() == manager.get_actions()
    assert again.reports == manager.reports or [r.in_sample for r in again.reports] == [
        r.in_sample for r in manager.reports
    ]


def test_checkpoint_of_another_space_is_refused(tmp_path):
    manager = make()
    cells = manager.get_actions()
    manager.train([reward(cell) for cell in cells])
    manager.save(tmp_path / "controller")
    other = ControllerManager(StateSpace(3, ["3x3 dconv", "3x3 avgpool", "identity"]), K=6, options=QUICK)
    with pytest.raises(ModelFileError, match="another space"):
        other.restore(tmp_path / "controller")
    assert other.reports == []
    larger = ControllerManager(StateSpace(4, OPERATORS), K=6, options=QUICK, seed=3)
    larger.restore(tmp_path / "controller")
    assert larger.predict(cells)[0].tolist() == manager.predict(cells)[0].tolist()


@pytest.mark.parametrize(
    ("rewards", "message"),
    [([0.5], "21 cells"), ([float("nan")] * 21, "reward 0"), ([1.5] * 21, r"\[0, 1\]"), (["x"] * 21, "not a number")],
)
def test_bad_rewards_change_nothing(rewards, message):
    manager = make()
    cells = manager.get_actions()
    with pytest.raises(UsageError, match=message):
        manager.train(rewards)
    assert manager.get_actions() == cells
    assert len(manager.archive) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"K": 0}, "K=0"),
        ({"K": 10**9}, "largest level"),
        ({"B": 4}, "B=4"),
        ({"acquisition": "best"}, "acquisition"),
        ({"strategy": "evolve"}, "did you mean 'evolution'"),
        ({"predictor": "lstmm"}, "did you mean 'lstm'"),
        ({"options": {"sizes": 3}}, "sizes"),
        ({"objectives": ("accuracy", "beauty")}, "beauty"),
        ({"objectives": ("accuracy", "macs")}, "costs"),
        ({"rounds": 0}, "rounds=0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(UsageError, match=message):
        make(**options)
