"""Acquisitions, rounds, fronts, limited first levels, and a space of the user's own."""

import numpy as np
import pytest

from pronas.controller import ACQUISITIONS, ControllerManager, log_expected_improvement, non_dominated, select_front
from pronas.space import Space, StateSpace

SPACE = StateSpace(2, ["3x3 dconv", "3x3 maxpool", "identity"])


def reward(cell):
    return 0.4 + 0.05 * str(cell).count("dconv") + 0.02 * str(cell).count("-1:")


def drive(manager):
    levels = []
    while cells := manager.get_actions():
        manager.tell(cells, [reward(cell) for cell in cells])
        levels.append(cells)
        manager.update()
    return levels


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
@pytest.mark.parametrize("predictor", ["gp", "mlp-ensemble"])
def test_every_acquisition_finds_the_good_cells(acquisition, predictor):
    options = {"steps": 40, "cells": 16} if predictor != "gp" else {}
    manager = ControllerManager(
        SPACE, K=12, predictor=predictor, acquisition=acquisition, options=options, rounds=2, validate=False
    )
    rest = drive(manager)[1:]
    assert [len(cells) for cells in rest] == [6, 6]
    chosen = np.mean([reward(cell) for cells in rest for cell in cells])
    everything = np.concatenate(list(SPACE.extend(SPACE.level1())))
    assert chosen > np.mean([reward(cell) for cell in SPACE.decode(everything)]) + 0.03


def test_expected_improvement_is_ordered_far_below_the_best():
    from scipy.stats import norm

    mean, spread = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.2, 0.3])
    z = (mean - 0.8) / spread
    np.testing.assert_allclose(
        np.exp(log_expected_improvement(mean, spread, 0.8)), spread * (z * norm.cdf(z) + norm.pdf(z)), rtol=1e-6
    )
    far = log_expected_improvement(np.array([0.0, 0.1, 0.2]), np.full(3, 1e-3), 1.0)
    assert np.isfinite(far).all()
    assert (np.diff(far) > 0).all()


def test_all_children_when_k_is_none():
    manager = ControllerManager(SPACE, K=None, predictor="gp", validate=False)
    levels = drive(manager)
    assert len(levels[1]) == sum(len(rows) for rows in SPACE.extend(SPACE.level1()))


def test_a_limited_first_level_starts_random_and_goes_on_guided():
    manager = ControllerManager(SPACE, K=4, first=14, predictor="gp", rounds=3, validate=False)
    levels = drive(manager)
    assert [len(cells) for cells in levels[:1]] == [10]
    assert sum(len(cell) == 1 for cells in levels for cell in cells) == 14
    assert sum(len(cell) == 2 for cells in levels for cell in cells) == 4


def test_front_has_cheap_and_good_cells():
    def costs(cells):
        return np.array([[1.0 + 10 * str(cell).count("dconv")] for cell in cells])

    manager = ControllerManager(
        SPACE, K=10, predictor="gp", objectives=("accuracy", "macs"), costs=costs, validate=False
    )
    chosen = drive(manager)[1]
    counts = {str(cell).count("dconv") for cell in chosen}
    assert len(chosen) == 10
    assert {0, 4} <= counts


def test_with_limited_lookforward_nothing_is_out_of_reach():
    space = StateSpace(3, ["3x3 dconv", "identity"], 0, 1)
    manager = ControllerManager(space, K=200, predictor="gp", validate=False)
    levels = drive(manager)
    grown = [np.concatenate(list(space.extend(space.encode(cells)))) for cells in levels[:2]]
    assert [len(cells) for cells in levels[1:]] == [len(rows) for rows in grown]
    assert {cell.canonical() for cell in levels[2]} == {cell.canonical() for cell in space.decode(grown[1])}


def test_non_dominated_sorting():
    values = np.array([[0.0, 5.0], [1.0, 1.0], [5.0, 0.0], [2.0, 2.0], [1.0, 1.0]])
    assert non_dominated(values).tolist() == [True, True, True, False, True]
    assert set(select_front(values, 3)) <= {0, 1, 2, 4}
    assert sorted(select_front(values, 5)) == [0, 1, 2, 3, 4]


def test_input_b_is_ignored_with_a_note(caplog):
    with caplog.at_level("INFO", logger="pronas.controller"):
        ControllerManager(SPACE, K=4, input_B=3)
    assert "input_B is ignored" in caplog.text


class Strings(Space):
    """A space of four letters of three kinds, one level: what a user may write."""

    B = 1
    token_sizes = (3,)

    def token_kinds(self, b):
        return (0,) * 4

    def tokens(self, rows):
        return np.asarray(rows, dtype=np.int64)

    def level1(self):
        return np.stack(np.meshgrid(*[np.arange(3)] * 4), -1).reshape(-1, 4).astype(np.int16)

    def extend(self, parents, chunk=65536):
        yield from ()

    def canonical(self, rows):
        return np.asarray(rows, dtype=np.int16)

    def keys(self, rows):
        return np.ascontiguousarray(rows, dtype=np.int16).view(np.dtype((np.void, 8))).reshape(len(rows))

    def features(self, rows):
        return np.eye(3, dtype=np.float32)[np.asarray(rows)].reshape(len(rows), -1)

    def feature_names(self):
        return tuple(f"place{i}:{j}" for i in range(4) for j in range(3))

    def sample(self, count, b, generator):
        return generator.integers(0, 3, (count, 4)).astype(np.int16)

    def mutate(self, rows, generator):
        changed = rows.copy()
        changed[:, generator.integers(4)] += 1
        return changed % 3

    def encode(self, cells):
        return np.array(cells, dtype=np.int16).reshape(-1, 4)

    def decode(self, rows):
        return [tuple(row) for row in rows.tolist()]

    def to_dict(self):
        return {"kind": "strings"}


class DeadEnds(Strings):
    """The same with a second level, to which nothing leads."""

    B = 2

    def token_kinds(self, b):
        return (0,) * 4 * b


@pytest.mark.parametrize("objectives", [("accuracy",), ("accuracy", "macs")])
def test_a_search_ends_where_nothing_can_be_extended(objectives):
    def costs(cells):
        return np.array([[float(cell[0])] for cell in cells])

    manager = ControllerManager(
        DeadEnds(), K=5, first=12, predictor="gp", objectives=objectives, costs=costs, validate=False
    )
    found = []
    while cells := manager.get_actions():
        found += cells
        manager.tell(cells, [sum(cell) / 8 for cell in cells])
        manager.update()
    assert len(set(found)) == 12
    assert manager.finished


@pytest.mark.parametrize("predictor", ["gp", "lstm", "mlp-ensemble", "forest"])
def test_a_users_space_is_searched(predictor, tmp_path):
    options = {"steps": 60, "cells": 16} if predictor in ("lstm", "mlp-ensemble") else {}
    manager = ControllerManager(
        Strings(), K=None, first=30, rounds=5, predictor=predictor, options=options, validate=False
    )
    found = []
    while cells := manager.get_actions():
        found += cells
        manager.tell(cells, [sum(cell) / 8 for cell in cells])
        manager.update()
    assert len(set(found)) == 30
    assert max(sum(cell) for cell in found) == 8
    manager.save(tmp_path / "controller")
    again = ControllerManager(Strings(), K=None, first=30, predictor=predictor, options=options)
    again.restore(tmp_path / "controller")
    np.testing.assert_array_equal(again.predict(found)[0], manager.predict(found)[0])
