"""What every predictor must do, run over each of them."""

import numpy as np
import pytest

from pronas.errors import ModelFileError, UsageError
from pronas.predictors import (
    PREDICTORS,
    Observed,
    compose,
    cross_validate,
    load_predictor,
    make_predictor,
    save_predictor,
)
from pronas.space import StateSpace

SPACE = StateSpace(3, ["3x3 dconv", "3x3 maxpool", "identity"])
NETWORK = {"steps": 40, "cells": 16, "embedding": 8}
QUICK = {
    "lstm": NETWORK,
    "lstm-ensemble": NETWORK,
    "mlp": NETWORK,
    "mlp-ensemble": NETWORK,
    "paper-lstm": NETWORK,
    "paper-lstm-ensemble": NETWORK,
    "paper-mlp": NETWORK,
    "paper-mlp-ensemble": NETWORK,
    "gp": {},
    "forest": {"trees": 20},
    "auto": {"candidates": ["gp", "forest"]},
}


def truth(rows):
    """A reward that depends on operators and inputs, not on the order of halves."""
    pairs = rows.reshape(len(rows), -1, 2)
    good = (pairs[..., 1] == 0).mean(1) - 0.5 * (pairs[..., 1] == 2).mean(1)
    return 0.6 + 0.2 * good + 0.05 * (pairs[..., 0] == -1).mean(1)


def history():
    level1 = SPACE.level1()
    level2 = SPACE.sample(30, 2, np.random.default_rng(0))
    return [Observed(level1, truth(level1)), Observed(level2, truth(level2))]


@pytest.fixture(scope="module")
def fitted():
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = make_predictor(name, SPACE, **QUICK[name])
            cache[name].fit(history(), seed=1)
        return cache[name]

    return get


LEVEL2 = SPACE.sample(40, 2, np.random.default_rng(5))
LEVEL3 = SPACE.sample(40, 3, np.random.default_rng(6))

pytestmark = pytest.mark.parametrize("name", PREDICTORS)


def test_predicts_rewards_and_spreads(name, fitted):
    mean, spread = fitted(name).predict(LEVEL3)
    assert mean.shape == spread.shape == (40,)
    assert ((mean >= 0) & (mean <= 1) & (spread >= 0)).all()


def test_ranks_unseen_cells(name, fitted):
    mean, _ = fitted(name).predict(LEVEL2)
    assert np.corrcoef(mean, truth(LEVEL2))[0, 1] > 0.4


def test_halves_may_be_swapped(name, fitted):
    swapped = LEVEL3.reshape(-1, 3, 2, 2)[:, :, ::-1].reshape(-1, 12)
    np.testing.assert_array_equal(fitted(name).predict(LEVEL3)[0], fitted(name).predict(swapped)[0])


def test_same_seed_same_fit_to_the_bit(name, fitted):
    again = make_predictor(name, SPACE, **QUICK[name])
    again.fit(history(), seed=1)
    np.testing.assert_array_equal(again.predict(LEVEL3), fitted(name).predict(LEVEL3))
    np.testing.assert_array_equal(again.ensemble(LEVEL3), fitted(name).ensemble(LEVEL3))


def test_saved_and_loaded_is_the_same_and_knows_its_space(name, fitted, tmp_path):
    save_predictor(fitted(name), tmp_path / "predictor")
    loaded = load_predictor(tmp_path / "predictor")
    assert loaded.space == SPACE
    np.testing.assert_array_equal(loaded.predict(LEVEL3), fitted(name).predict(LEVEL3))
    np.testing.assert_array_equal(loaded.ensemble(LEVEL3), fitted(name).ensemble(LEVEL3))


def test_damaged_checkpoint_is_one_clear_error(name, fitted, tmp_path):
    save_predictor(fitted(name), tmp_path / "predictor")
    path = tmp_path / "predictor.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelFileError, match="does not belong"):
        load_predictor(tmp_path / "predictor")


def test_extensions_score_as_plain_batches(name, fitted):
    parents, blocks = LEVEL2[:7], SPACE.extensions(3)
    predictor = fitted(name)
    got = np.concatenate([np.stack(scores) for _, scores in predictor.extension_scores(parents, blocks)], axis=1)
    plain = np.stack(predictor.scores(compose(parents, blocks))).reshape(2, 7, len(blocks))
    np.testing.assert_allclose(got, plain, rtol=0, atol=1e-6)
    members = np.concatenate([scores for _, scores in predictor.extension_ensemble(parents, blocks)], axis=1)
    np.testing.assert_allclose(
        members.reshape(len(members), -1), predictor.ensemble(compose(parents, blocks)), rtol=0, atol=1e-6
    )


def test_larger_blocks_than_fitted_are_scored(name, fitted, tmp_path):
    save_predictor(fitted(name), tmp_path / "predictor")
    larger = load_predictor(tmp_path / "predictor", SPACE.with_blocks(5))
    rows = SPACE.with_blocks(5).sample(20, 5, np.random.default_rng(1))
    mean, _ = larger.predict(rows)
    assert np.isfinite(mean).all()
    np.testing.assert_allclose(larger.predict(LEVEL2)[0], fitted(name).predict(LEVEL2)[0], atol=1e-7)


def test_failures_and_equal_rewards_do_not_break_it(name):
    rows = SPACE.level1()
    rewards = truth(rows)
    rewards[:3] = 0.0
    for values in (rewards, np.zeros(len(rows)), rewards[:1]):
        predictor = make_predictor(name, SPACE, **QUICK[name])
        predictor.fit([Observed(rows[: len(values)], values)], 0)
        assert np.isfinite(predictor.predict(LEVEL2)).all()


def test_cross_validation_is_about_unseen_cells(name, fitted):
    found = cross_validate(fitted(name), history(), seed=0)
    assert found.n == 51
    assert found.spearman > 0.2
    rng = np.random.default_rng(0)
    noise = [Observed(part.rows, rng.random(len(part))) for part in history()]
    assert cross_validate(make_predictor(name, SPACE, **QUICK[name]), noise, seed=0).spearman < 0.5


def test_nothing_to_fit_and_not_fitted_are_errors(name):
    predictor = make_predictor(name, SPACE, **QUICK[name])
    with pytest.raises(UsageError, match="at least one"):
        predictor.fit([])
    with pytest.raises(UsageError, match="not been fitted"):
        predictor.predict(LEVEL2)


def test_no_rows_no_predictions(name, fitted):
    mean, spread = fitted(name).predict(LEVEL2[:0])
    assert mean.shape == spread.shape == (0,)


def test_the_joint_posterior_agrees_with_the_scores(name):
    space = StateSpace(2, ["3x3 conv", "3x3 maxpool", "identity"], 0)
    rows = space.level1()
    rewards = np.random.default_rng(0).uniform(0.5, 0.9, len(rows))
    predictor = make_predictor(name, space)
    predictor.fit([Observed(rows, rewards)], 0)
    unseen = space.sample(20, 2, np.random.default_rng(1))
    mean, covariance = predictor.joint(unseen)
    expected, std = predictor.scores(unseen)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    assert (np.sqrt(covariance.diagonal()) >= np.asarray(std) - 1e-4).all()
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > -1e-6
