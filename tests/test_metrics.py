"""Metrics of a confusion matrix, against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as theirs

from pronas.data import class_weights
from pronas.errors import DataError, UsageError
from pronas.metrics import METRICS, class_figures, confusion_matrix, metric

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(pairs)
@pytest.mark.filterwarnings("ignore")
def test_against_scikit_learn(pairs):
    labels, predicted = np.array(pairs).T
    matrix = confusion_matrix(labels, predicted, 5)
    assert np.array_equal(matrix, theirs.confusion_matrix(labels, predicted, labels=range(5)))
    there = np.unique(labels)
    assert metric("accuracy")(matrix) == pytest.approx(theirs.accuracy_score(labels, predicted))
    assert metric("balanced-accuracy")(matrix) == pytest.approx(
        theirs.recall_score(labels, predicted, labels=there, average="macro", zero_division=0)
    )
    assert metric("macro-f1")(matrix) == pytest.approx(
        theirs.f1_score(labels, predicted, labels=there, average="macro", zero_division=0)
    )
    figures = class_figures(matrix)
    precision, recall, f1, support = theirs.precision_recall_fscore_support(
        labels, predicted, labels=range(5), zero_division=0
    )
    for ours, wanted in ((figures.precision, precision), (figures.recall, recall), (figures.f1, f1)):
        assert np.allclose(ours, wanted)
    assert np.array_equal(figures.support, support)


def test_nothing_and_nonsense():
    assert [score(np.zeros((3, 3), int)) for score in METRICS.values()] == [0, 0, 0]
    with pytest.raises(UsageError, match="did you mean 'macro-f1'"):
        metric("macro-f")
    with pytest.raises(UsageError, match="must lie in 0…2"):
        confusion_matrix([0, 1], [0, 3], 3)
    with pytest.raises(UsageError, match="each is needed"):
        confusion_matrix([0, 1], [0], 3)


def test_class_weights():
    weights = class_weights([6, 3, 0, 3])
    assert weights.dtype == np.float32
    assert weights.tolist() == pytest.approx([12 / 18, 12 / 9, 0, 12 / 9])
    assert (weights * [6, 3, 0, 3]).sum() == pytest.approx(12)
    with pytest.raises(DataError, match="no class"):
        class_weights([0, 0])
