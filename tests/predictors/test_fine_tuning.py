"""The paper's way of fitting: level 1 afresh, then level after level at a lower rate (arXiv 1712.00559, appendix)."""

import numpy as np
import pytest

from pronas.errors import UsageError
from pronas.predictors import Observed, make_predictor
from pronas.space import StateSpace

SPACE = StateSpace(3, ["3x3 dconv", "3x3 maxpool", "identity"])
SMALL = {"cells": 12, "embedding": 6, "steps": 60}


def history(levels):
    generator = np.random.default_rng(0)
    parts = [SPACE.level1(), *(SPACE.sample(20, level, generator) for level in range(2, levels + 1))]
    return [Observed(rows, 0.5 + 0.3 * (rows[:, 1::2] == 0).mean(1)) for rows in parts]


@pytest.mark.parametrize("name", ["lstm", "mlp"])
def test_a_later_level_is_learnt_from_the_weights_of_those_before(name):
    """With a rate of almost nothing after level 1, more levels change nothing."""
    settings = {**SMALL, "later_rate": 1e-9, "decay": False}
    one, three = make_predictor(name, SPACE, **settings), make_predictor(name, SPACE, **settings)
    rows = SPACE.level1()[:7]
    one.fit(history(1), seed=3)
    three.fit(history(3), seed=3)
    assert np.abs(three.predict(rows)[0] - one.predict(rows)[0]).max() < 0.02  # the batches are drawn otherwise
    afresh = make_predictor(name, SPACE, **{**SMALL, "rate": 1e-9})
    afresh.fit(history(3), seed=3)
    assert np.abs(afresh.predict(rows)[0] - one.predict(rows)[0]).max() > 0.05


@pytest.mark.parametrize("name", ["paper-lstm", "paper-mlp"])
def test_the_papers_rates_learn(name):
    predictor, parts = make_predictor(name, SPACE, **{**SMALL, "steps": 150}), history(3)
    assert {key: predictor.settings()[key] for key in ("rate", "later_rate", "decay")} == {
        "rate": 0.01,
        "later_rate": 0.002,
        "decay": False,
    }
    predictor.fit(parts, seed=1)
    predicted = predictor.predict(parts[2].rows)[0]
    assert np.corrcoef(predicted, parts[2].rewards)[0, 1] > 0.8


def test_epochs_are_passes_over_the_cells():
    parts, count = history(1), len(SPACE.level1())
    passes = make_predictor("lstm", SPACE, cells=12, embedding=6, epochs=3, batch=1)
    steps = make_predictor("lstm", SPACE, cells=12, embedding=6, steps=3 * count, batch=1)
    for one in (passes, steps):
        one.fit(parts, seed=0)
    np.testing.assert_array_equal(passes.predict(parts[0].rows)[0], steps.predict(parts[0].rows)[0])


@pytest.mark.parametrize("settings", [{"later_rate": 0.0}, {"rate": -1.0}, {"l2": -1.0}, {"epochs": 0}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(UsageError):
        make_predictor("lstm", SPACE, **settings)
