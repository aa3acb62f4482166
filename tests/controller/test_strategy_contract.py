"""What every strategy must do, run over each of them, through the manager."""

import numpy as np
import pytest

from pronas.controller import STRATEGIES, ControllerManager
from pronas.errors import UsageError
from pronas.space import StateSpace

SPACE = StateSpace(3, ["3x3 dconv", "3x3 maxpool", "identity"])
OPTIONS = {"evolution": {"population": 8, "sample": 3}}


def reward(cell):
    text = str(cell)
    return 0.0 if "maxpool + -2:3x3 maxpool" in text else 0.4 + 0.05 * text.count("dconv") + 0.02 * text.count("-1:")


def make(name, **options):
    extra = {"predictor": "gp"} if name == "progressive" else {"budget": 41, "options": OPTIONS.get(name, {})}
    return ControllerManager(SPACE, K=10, strategy=name, validate=False, **({"seed": 2} | extra | options))


def run(manager, step=None):
    told = []
    while True:
        cells = manager.get_actions() if step is None else manager.ask(step)
        if not cells and manager.finished:
            return told
        manager.tell(cells, [reward(cell) for cell in cells])
        told += cells
        manager.update() if step is None else None


pytestmark = pytest.mark.parametrize("name", STRATEGIES)


def test_spends_its_budget_on_different_cells_of_the_space(name):
    cells = run(make(name))
    assert len(cells) == 41
    assert len({cell.canonical() for cell in cells}) == 41
    for cell in cells:
        SPACE.check(cell)


def test_same_seed_same_cells_another_seed_others(name):
    first = run(make(name))
    assert run(make(name)) == first
    assert run(make(name, seed=3)) != first or name == "progressive"


def test_ask_in_small_steps_gives_the_same_cells(name):
    assert run(make(name), step=3) == run(make(name))


def test_infeasible_cells_are_never_proposed(name):
    def feasible(cells):
        return ["identity" not in str(cell) for cell in cells]

    cells = run(make(name, feasible=feasible))
    assert cells
    assert all("identity" not in str(cell) for cell in cells)


def test_goes_on_from_its_saved_state(name, tmp_path):
    manager = make(name)
    for _ in range(2):
        cells = manager.get_actions()
        manager.tell(cells, [reward(cell) for cell in cells])
        manager.update()
    manager.save(tmp_path / "controller")
    again = make(name)
    again.restore(tmp_path / "controller")
    assert run(again) == run(manager)


def test_cells_told_by_others_are_not_proposed(name):
    manager = make(name)
    known = SPACE.decode(SPACE.level1()[:5]) + SPACE.decode(SPACE.sample(5, 3, np.random.default_rng(0)))
    known = list({cell.canonical(): cell for cell in known}.values())
    manager.tell(known, [0.5] * len(known))
    proposed = {cell.canonical() for cell in run(manager)}
    assert not proposed & {cell.canonical() for cell in known}


def test_telling_twice_or_a_foreign_cell_changes_nothing(name):
    manager = make(name)
    cells = manager.ask(2)
    manager.tell(cells[:1], [0.5])
    foreign = StateSpace(1, ["5x5 dconv"]).decode(StateSpace(1, ["5x5 dconv"]).level1())
    for bad in ([cells[0]], [cells[1], cells[1]], [cells[1], foreign[0]]):
        with pytest.raises(UsageError):
            manager.tell(bad, [0.5] * len(bad))
    assert len(manager.archive) == 1
