"""Batches whose cells differ, standard errors of rewards, and the winner by the posterior."""

import numpy as np
import pytest

from pronas.controller import BATCHES, ControllerManager, choose_batch
from pronas.errors import UsageError
from pronas.predictors import PREDICTORS
from pronas.space import StateSpace

SPACE = StateSpace(2, ["3x3 conv", "5x5 dconv", "3x3 maxpool", "identity"], 0)
WORTH = {"3x3 conv": 1.0, "5x5 dconv": 0.6, "identity": 0.2, "3x3 maxpool": -0.4}


def worth(cell):
    """A noiseless reward: the mean of the operators' worths."""
    return 0.5 + 0.2 * float(np.mean([WORTH[name] for block in cell.blocks for _, name in block.halves]))


def second_level(batch, acquisition, **options):
    manager = ControllerManager(SPACE, K=8, predictor="gp", batch=batch, acquisition=acquisition, **options)
    cells = manager.get_actions()
    manager.train([worth(cell) for cell in cells])
    manager.update()
    return SPACE.encode(manager.get_actions())


@pytest.mark.parametrize("acquisition", ["mean", "ei"])
@pytest.mark.parametrize("batch", BATCHES)
def test_every_way_gives_different_cells_and_the_same_again(batch, acquisition):
    rows = second_level(batch, acquisition)
    assert len(rows) == len({key.tobytes() for key in SPACE.keys(rows)}) == 8
    assert rows.tolist() == second_level(batch, acquisition).tolist()


@pytest.mark.parametrize("acquisition", ["mean", "optimistic", "ei"])
@pytest.mark.parametrize("batch", BATCHES)
def test_a_batch_is_spread_over_groups_of_copies(batch, acquisition):
    """Four groups of eight candidates that are nearly the same; the groups' means differ little."""
    group = np.repeat(np.arange(4), 8)
    covariance = 0.04 * np.where(group[:, None] == group, 0.99, 0.0) + 0.0004 * np.eye(32)
    chosen = choose_batch(batch, acquisition, 0.05 * group, covariance, 0.1, 8, 0)
    assert len(set(chosen.tolist())) == 8
    if batch == "greedy":
        assert (group[chosen] == 3).all()
    elif (batch, acquisition) != ("believer", "mean"):  # what is believed does not change the mean
        assert len(set(group[chosen].tolist())) >= 2


def test_an_unknown_batch():
    with pytest.raises(UsageError, match="believer"):
        ControllerManager(SPACE, K=4, batch="beliver")


def noisy(predictor, noise):
    manager = ControllerManager(SPACE, B=1, K=None, predictor=predictor, validate=False)
    cells = manager.get_actions()
    poor = next(cell for cell in cells if cell.operators == ("3x3 maxpool",))
    rewards = [0.95 if cell is poor else worth(cell) for cell in cells]
    manager.tell(cells, rewards, [noise if cell is poor else 0.002 for cell in cells])
    return manager, poor


def test_the_best_is_not_the_luckiest():
    manager, lucky = noisy("gp", 0.3)
    assert manager.best()[0][0] != lucky
    assert manager.best()[0][0].operators == ("3x3 conv",)


def test_an_exact_reward_is_believed():
    manager, lucky = noisy("gp", 0.001)
    assert manager.best()[0][0] == lucky


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_finalists_of_every_predictor(predictor):
    manager, _ = noisy(predictor, 0.1)
    finalists = manager.best(4)
    means = [mean for _, mean, _ in finalists]
    assert len(finalists) == 4
    assert means == sorted(means, reverse=True)
    assert all(0 <= mean <= 1 and std >= 0 for _, mean, std in finalists)
    assert len(manager.best(100)) == len(SPACE.level1())


def test_few_cells_are_judged_by_their_rewards():
    manager = ControllerManager(SPACE, K=4)
    cells = manager.ask(3)
    manager.tell(cells, [0.1, 0.9, 0.0], [None, 0.01, None])
    assert [cell for cell, _, _ in manager.best(3)] == [cells[1], cells[0], cells[2]]
    with pytest.raises(UsageError, match="nothing was evaluated"):
        ControllerManager(SPACE, K=4).best()
    with pytest.raises(UsageError, match="at least 1"):
        manager.best(0)


@pytest.mark.parametrize("noise", [[0.1], [0.1, -1.0], [0.1, float("nan")]])
def test_wrong_noise_changes_nothing(noise):
    manager = ControllerManager(SPACE, K=4)
    cells = manager.ask(2)
    with pytest.raises(UsageError):
        manager.tell(cells, [0.5, 0.6], noise)
    assert len(manager.archive) == 0


def test_noise_is_saved(tmp_path):
    manager, _ = noisy("gp", 0.2)
    expected = manager.best(3)
    manager.save(tmp_path / "state")
    again = ControllerManager(SPACE, B=1, K=None, predictor="gp", validate=False)
    again.restore(tmp_path / "state")
    assert again.archive.noise == manager.archive.noise
    assert [cell for cell, _, _ in again.best(3)] == [cell for cell, _, _ in expected]
