"""Fitting the neural predictors: the recurrence's written-out gradient, Adam, compiled and not."""

import numpy as np
import pytest
import torch

from pronas.predictors import Observed, make_predictor, native
from pronas.predictors.parts import Adam, run_lstm, run_members
from pronas.space import StateSpace

MEMBERS, CELLS, DISTINCT = 3, 20, 7


@pytest.fixture(params=["compiled", "PyTorch"])
def arithmetic(request, monkeypatch):
    if request.param == "PyTorch":
        monkeypatch.setattr(native, "library", lambda: None)
    elif native.library() is None:
        pytest.skip("the compiled steps are not built")
    return request.param


def test_padded_cells_read_as_alone_with_the_same_gradients(arithmetic):
    generator = torch.Generator().manual_seed(0)
    recurrent = 0.3 * torch.randn(MEMBERS, CELLS, 4 * CELLS, generator=generator)
    table = 2 * torch.randn(MEMBERS, DISTINCT, 4 * CELLS, generator=generator)
    steps = torch.randint(0, DISTINCT, (5, MEMBERS, 9), generator=generator)
    lengths = torch.randint(1, 6, (MEMBERS, 9), generator=generator)
    weights = torch.randn(MEMBERS, 9, CELLS, generator=generator)

    def alone(recurrent, table):
        """Every cell by itself, through the plain recurrence."""
        return torch.stack(
            [
                torch.cat(
                    [
                        run_lstm(
                            {"recurrent": recurrent[m : m + 1]},
                            table[m : m + 1],
                            steps[5 - lengths[m, n] :, m, n, None],
                        )[0][0]
                        for n in range(9)
                    ]
                )
                for m in range(MEMBERS)
            ]
        )

    found = []
    for read in (alone, lambda r, t: run_members(r, t, steps, lengths)):
        leaves = [tensor.clone().requires_grad_(True) for tensor in (recurrent, table)]
        h = read(*leaves)
        (h * weights).sum().backward()
        found.append([h.detach(), *(leaf.grad for leaf in leaves)])
    for expected, actual in zip(*found, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=2e-6)


def test_adam_is_adam(arithmetic):
    generator = np.random.default_rng(0)
    start, target = generator.normal(size=(2, 37))
    parameters = {"a": torch.tensor(start[:20]).float().reshape(4, 5), "b": torch.tensor(start[20:]).float()}
    optimiser = Adam(parameters)
    value, first, second = start.copy(), np.zeros(37), np.zeros(37)
    for t in range(1, 30):
        rate = 0.1 / t
        flat = torch.cat([parameters["a"].flatten(), parameters["b"]])
        optimiser.step((flat - torch.tensor(target).float()).square().sum(), rate, l2=0.01)
        gradient = 2 * (value - target) + 2 * 0.01 * value
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        value -= rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    flat = torch.cat([parameters["a"].flatten(), parameters["b"]]).detach().numpy()
    np.testing.assert_allclose(flat, value, atol=2e-5)


@pytest.mark.parametrize("kind", ["lstm-ensemble", "mlp"])
def test_compiled_or_not_the_fit_is_the_same(kind, monkeypatch):
    if native.library() is None:
        pytest.skip("the compiled steps are not built")
    space = StateSpace(3)
    rows = [space.sample(20, blocks, np.random.default_rng(blocks)) for blocks in (1, 2)]
    history = [Observed(part, np.random.default_rng(9).uniform(0.4, 0.8, len(part))) for part in rows]
    options = {"steps": 8, "cells": 20, "embedding": 12}
    predictors = [make_predictor(kind, space, **options) for _ in range(2)]
    predictors[0].fit(history, 3)
    monkeypatch.setattr(native, "library", lambda: None)
    predictors[1].fit(history, 3)
    unseen = space.sample(30, 3, np.random.default_rng(5))
    np.testing.assert_allclose(predictors[0].ensemble(unseen), predictors[1].ensemble(unseen), atol=1e-4)
