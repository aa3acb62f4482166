"""How well predicted classes agree with true ones: figures of a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.errors import UsageError, nearest

Confusion = NDArray[np.int64]


@final
@dataclass(frozen=True)
class ClassFigures:
    """Figures of each class, float64 (classes,) with 0 where a figure is 0 / 0, and how many images it has.

    Attributes:
        recall: share of the class's images that were given it.
        precision: share of the images given the class that are of it.
        f1: harmonic mean of the two.
        support: int64 (classes,), images of the class.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> Confusion:
    """Count pairs of classes: int64 (classes, classes), rows true, columns predicted.

        >>> confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], classes=2).tolist()
        [[1, 1], [0, 2]]

    Args:
        labels: whole numbers (n,) in 0…classes-1.
        predicted: the same.
        classes: how many there are.

    Raises:
        UsageError: counts that differ, or a number that is no class.
    """
    true, given = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    if true.shape != given.shape or true.ndim != 1:
        raise UsageError(f"labels of shape {true.shape}, predictions of shape {given.shape}: (n,) each is needed")
    for values in (true, given):
        if len(values) and not (values.min() >= 0 and values.max() < classes):
            raise UsageError(f"labels and predictions must lie in 0…{classes - 1}, not {values.min()}…{values.max()}")
    return np.bincount(true * classes + given, minlength=classes * classes).reshape(classes, classes)


def class_figures(confusion: ArrayLike) -> ClassFigures:
    """Recall, precision, F1 and support of each class of a confusion matrix (rows true, columns predicted).

    >>> class_figures([[1, 1], [0, 2]]).recall.tolist()
    [0.5, 1.0]
    """
    matrix = np.asarray(confusion, np.int64)
    hits, support, given = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    return ClassFigures(_ratio(hits, support), _ratio(hits, given), _ratio(2 * hits, support + given), support)


def accuracy(confusion: ArrayLike) -> float:
    """Share of the images whose class was found, 0 to 1; 0 of no images.

    >>> accuracy([[1, 1], [0, 2]])
    0.75
    """
    matrix = np.asarray(confusion, np.int64)
    return float(_ratio(matrix.trace(), matrix.sum()))


def standard_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy over so many images, not 0 where all or none are right (Agresti & Coull
    1998).

        >>> round(standard_error(0.9, 100), 4)
        0.031
    """
    share = (accuracy * images + 1) / (images + 2)
    return math.sqrt(share * (1 - share) / images)


def balanced_accuracy(confusion: ArrayLike) -> float:
    """Mean recall of the classes that have images, 0 to 1: every class counts the same however rare it is.

    >>> balanced_accuracy([[90, 0], [10, 0]])
    0.5
    """
    return _mean(confusion, class_figures(confusion).recall)


def macro_f1(confusion: ArrayLike) -> float:
    """Mean F1 of the classes that have images, 0 to 1; unlike balanced accuracy it minds false alarms.

    >>> round(macro_f1([[90, 0], [10, 0]]), 3)
    0.474
    """
    return _mean(confusion, class_figures(confusion).f1)


METRICS: dict[str, Callable[[ArrayLike], float]] = {
    "accuracy": accuracy,
    "balanced-accuracy": balanced_accuracy,
    "macro-f1": macro_f1,
}


def metric(name: str) -> Callable[[ArrayLike], float]:
    """The metric of that name: a function of a confusion matrix (rows true, columns predicted), 0 to 1.

        >>> metric("balanced-accuracy")([[90, 0], [10, 0]])
        0.5

    Raises:
        UsageError: there is none; the message gives the nearest.
    """
    if name not in METRICS:
        raise UsageError(f"no metric is called {name!r}{nearest(name, METRICS)} (there are {', '.join(METRICS)})")
    return METRICS[name]


def _mean(confusion: ArrayLike, figures: NDArray[np.float64]) -> float:
    there = np.asarray(confusion).sum(1) > 0
    return float(figures[there].mean()) if there.any() else 0.0


def _ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    total = np.asarray(whole, np.float64)
    return np.divide(part, total, out=np.zeros_like(total), where=total > 0)
