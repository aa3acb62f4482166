"""Early stopping across children: who goes on, what the others count as, and that nothing else changes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronas.runs.planning import estimate, promoted, rungs

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("epochs", "factor", "lengths"),
    [(5, None, [5]), (1, 4, [1]), (5, 5, [1, 5]), (20, 4, [1, 5, 20]), (9, 3, [1, 3, 9]), (5, 3, [1, 2, 5])],
)
def test_rungs(epochs, factor, lengths):
    assert rungs(epochs, factor) == lengths


@given(st.integers(1, 500), st.integers(2, 20))
def test_rungs_rise_to_the_whole_training(epochs, factor):
    lengths = rungs(epochs, factor)
    assert lengths[-1] == epochs
    assert lengths[0] >= 1
    assert all(short < long for short, long in itertools.pairwise(lengths))


@given(st.dictionaries(st.integers(1, 99), shares, min_size=1), st.integers(2, 9))
def test_the_best_go_on(accuracies, factor):
    chosen = promoted(accuracies, factor)
    assert (len(accuracies) - 1) // factor + 1 == len(chosen)
    assert min(accuracies[one] for one in chosen) >= max(
        (accuracies[one] for one in accuracies if one not in chosen), default=0
    )


def test_of_equals_the_first_goes_on():
    assert promoted({4: 0.5, 2: 0.5, 3: 0.5}, 3) == [2]


@given(shares, shares, st.lists(st.tuples(shares, shares), min_size=1))
def test_estimates_keep_order_and_stay_below_the_best(one, other, finished):
    first, second = estimate(min(one, other), finished), estimate(max(one, other), finished)
    assert first <= second
    best = max(final for _, final in finished)
    assert second < best or best < 1e-6


def test_an_estimate_adds_what_the_others_gained():
    assert estimate(0.3, [(0.5, 0.7), (0.4, 0.5), (0.5, 0.9)]) == pytest.approx(0.5)
    assert estimate(0.3, []) == 0.3
