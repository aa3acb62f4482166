"""A predictor's file with a digest that is right and values that are not: refused in one line, or usable; soon."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mutants import retyped
from pronas.errors import ModelFileError, PronasError, UsageError
from pronas.predictors import (
    PREDICTORS,
    Observed,
    load_predictor,
    make_predictor,
    predictor_values,
    save_predictor,
    write_checkpoint,
)
from pronas.space import StateSpace

SPACE = StateSpace(2, ["3x3 conv", "identity", "3x3 maxpool"], input_lookback_depth=0)
SMALL = {"lstm": {"cells": 8, "steps": 2}, "mlp": {"cells": 8, "steps": 2}, "forest": {"trees": 3}}


@pytest.fixture(scope="module")
def fitted():
    """Each predictor's arrays and document."""
    rows, found = SPACE.level1(), {}
    for name in PREDICTORS:
        predictor = make_predictor(name, SPACE, **SMALL.get(name.removesuffix("-ensemble"), {}))
        predictor.fit([Observed(rows, np.linspace(0.2, 0.9, len(rows)))])
        tensors, head = predictor_values(predictor)
        found[name] = tensors, {"space": SPACE.to_dict(), "predictor": head}
    return found


def bent(rng: random.Random, array: np.ndarray) -> np.ndarray:
    """An array of another shape or type, or with values of no use."""
    changes = [
        array[:-1], array[None], array.astype(np.float16), array.astype(np.int32), np.zeros(0),
        np.zeros((0, *array.shape)),
        np.full_like(array, -1), np.full_like(array, 2**30), np.zeros_like(array), np.repeat(array, 3, axis=0),
    ]  # fmt: skip
    return rng.choice(changes + ([np.full_like(array, np.nan)] if array.dtype.kind == "f" else []))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PREDICTORS)
def test_a_forged_predictor_is_refused_or_usable(fitted, tmp_path, name):
    tensors, document = fitted[name]
    for number in range(120):
        rng = random.Random(f"{name} {number}")
        forged, told = dict(tensors), dict(document)
        if rng.random() < 0.5:
            key = rng.choice(sorted(forged))
            forged[key] = bent(rng, forged[key])
        else:
            key = rng.choice(sorted(told))
            told[key] = retyped(rng, told[key])
        write_checkpoint(tmp_path / "forged", forged, told)
        said = refusal(tmp_path / "forged")
        assert len(said.splitlines()) <= 1
        assert len(said) < 1000


def refusal(path) -> str:
    """What is said of a file where it is refused, by whatever reads it; all else that it raises is wrong."""
    try:
        loaded = load_predictor(path)
        rows = loaded.space.level1()[:50]
        loaded.predict(rows)
        loaded.ensemble(rows)
        if loaded.space.B > 1:
            list(loaded.extension_scores(rows[:3], loaded.space.extensions(2)[:50]))
    except PronasError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("lstm", {"cells": 10**9}),
        ("mlp", {"ensemble": 10**7}),
        ("lstm", {"cells": 9_000, "ensemble": 9}),
        ("gp", {"draws": 10**12}),
        ("forest", {"trees": 10**9}),
        ("mlp", {"rate": float("nan")}),
        ("lstm", {"steps": 1e308}),
    ],
)
def test_huge_settings_are_refused_before_anything_of_their_size_is_made(tmp_path, name, setting):
    with pytest.raises(UsageError, match="predictor"):
        make_predictor(name, SPACE, **setting)
    tensors, head = predictor_values(make_predictor(name, SPACE))
    head["settings"] |= setting
    write_checkpoint(tmp_path / "one", tensors, {"space": SPACE.to_dict(), "predictor": head})
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_predictor(tmp_path / "one")


@pytest.mark.parametrize("size", [{"B": 10**9}, {"input_lookback_depth": -(10**9)}])
def test_a_space_is_no_larger_than_anybody_can_search(size):
    with pytest.raises(UsageError, match="1,000"):
        StateSpace(**({"B": 2} | size))


@pytest.mark.parametrize("name", ["lstm", "mlp"])
def test_a_predictor_of_many_blocks_reads_cells_of_a_smaller_space(tmp_path, name):
    large, small = StateSpace(5, SPACE.operators), StateSpace(2, SPACE.operators)
    predictor = make_predictor(name, large, **SMALL[name])
    rows = large.level1()
    predictor.fit([Observed(rows, np.linspace(0.2, 0.9, len(rows)))])
    save_predictor(predictor, tmp_path / "one")
    assert np.allclose(load_predictor(tmp_path / "one", small).predict(rows)[0], predictor.predict(rows)[0])
