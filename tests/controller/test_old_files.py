"""Checkpoints that version 0.1 wrote (before predictors had a room of their own) still load."""

from pathlib import Path

import numpy as np
import pytest

from pronas.controller import ControllerManager
from pronas.predictors import load_predictor
from pronas.space import StateSpace

FILES = Path(__file__).parent / "files"
OPTIONS = {"gp": {}, "lstm-ensemble": {"ensemble": 2, "cells": 6, "embedding": 4, "steps": 30}, "forest": {"trees": 3}}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("identity", ["linear", "identity"])
def test_old_checkpoints_predict_and_go_on(name, identity):
    space = StateSpace(3, ["3x3 bconv", "3x3 maxpool", identity], 0)
    manager = ControllerManager(space, 3, 3, predictor=name, options=OPTIONS[name])
    manager.restore(FILES / f"0.1-{name}")
    expected = np.loadtxt(FILES / f"0.1-{name}.csv", delimiter=",").T
    rows = space.sample(6, 3, np.random.default_rng(0))
    for predictor in (manager.predictor, load_predictor(FILES / f"0.1-{name}", space)):
        np.testing.assert_allclose(predictor.predict(rows), expected, atol=2e-6)
    assert manager.reports
    manager.update()
    assert len(manager.get_actions()) == 3
