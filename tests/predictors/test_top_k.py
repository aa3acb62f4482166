"""The running top K against sorting everything."""

import numpy as np
import pytest

from pronas.predictors import Observed, TopK, compose, make_predictor, native
from pronas.space import StateSpace

SPACE = StateSpace(3, ["3x3 dconv", "3x3 maxpool", "identity"])
PARENTS = SPACE.sample(30, 2, np.random.default_rng(0))
BLOCKS = SPACE.extensions(3)


def by_sorting(scores, k, excluded=(), feasible=None):
    rows = compose(PARENTS, BLOCKS)
    keys = [key.tobytes() for key in SPACE.keys(rows)]
    kept, taken = [], set(excluded)
    for i in np.argsort(-scores.ravel(), kind="stable"):
        if keys[i] in taken:
            continue
        taken.add(keys[i])
        if feasible is None or feasible(SPACE.decode(rows[i : i + 1]))[0]:
            kept.append(scores.ravel()[i])
        if len(kept) == k:
            break
    return np.array(kept)


def offered(top, scores, tile=4):
    for start in range(0, len(PARENTS), tile):
        top.offer(PARENTS[start : start + tile], BLOCKS, scores[start : start + tile])
    return top.best()


@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("tile", [1, 30])
def test_keeps_the_best_classes_exactly(k, tile):
    scores = np.random.default_rng(k).random((len(PARENTS), len(BLOCKS)))
    best = offered(TopK(SPACE, k), scores, tile)
    np.testing.assert_allclose(best.scores, by_sorting(scores, k), atol=1e-9)
    keys = [key.tobytes() for key in SPACE.keys(best.rows)]
    assert len(set(keys)) == len(keys) == k


def test_excluded_and_infeasible_cells_never_enter():
    scores = np.random.default_rng(1).random((len(PARENTS), len(BLOCKS)))
    first = offered(TopK(SPACE, 5), scores)
    excluded = {key.tobytes() for key in SPACE.keys(first.rows)}

    def feasible(cells):
        return ["identity" not in str(cell) for cell in cells]

    best = offered(TopK(SPACE, 20, excluded=excluded, feasible=feasible), scores)
    np.testing.assert_allclose(best.scores, by_sorting(scores, 20, excluded, feasible), atol=1e-9)
    assert all("identity" not in str(cell) for cell in SPACE.decode(best.rows))


def test_ties_are_broken_by_the_seed():
    scores = np.zeros((len(PARENTS), len(BLOCKS)))

    def chosen(seed):
        return offered(TopK(SPACE, 5, seed=seed), scores).rows.tolist()

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)


def test_fewer_cells_than_k():
    top = TopK(SPACE, 1000)
    top.offer(PARENTS[:1], BLOCKS[:3], np.array([[0.1, 0.3, 0.2]]))
    np.testing.assert_allclose(top.best().scores, [0.3, 0.2, 0.1], atol=1e-9)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("form", ["tokens", "halves"])
def test_shared_scoring_agrees_with_plain_scoring(form, compiled, monkeypatch):
    if compiled and native.library() is None:
        pytest.skip("the scorer is not compiled here")
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
    predictor = make_predictor("lstm-ensemble", SPACE, form=form, steps=20, cells=20, embedding=8)
    rng = np.random.default_rng(0)
    predictor.fit([Observed(SPACE.level1(), rng.random(21)), Observed(PARENTS, rng.random(30))], 0)
    for scale in (1.0, 30.0):  # large weights open and shut the gates fully
        predictor.parameters["recurrent"] *= scale
        got = np.concatenate([np.stack(part) for _, part in predictor.extension_scores(PARENTS, BLOCKS)], axis=1)
        plain = np.stack(predictor.predict(compose(PARENTS, BLOCKS))).reshape(got.shape)
        np.testing.assert_allclose(got, plain, rtol=0, atol=1e-6 if scale == 1 else 1e-5)
