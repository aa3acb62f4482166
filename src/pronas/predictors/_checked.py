"""Settings and state of predictors, which may come from a file that anybody wrote, checked before they are used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.errors import UsageError, shown

#: Bytes of a predictor's own arrays, at most: the largest that is of any use has a hundredth of it.
MOST_BYTES = 2**30


def check_counts(owner: str, most: int, **values: object) -> None:
    """Raise a UsageError unless every value is a whole number from 1 to ``most``."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
            raise UsageError(f"{name} of the {owner} predictor is at least 1 and at most {most:,}, not {shown(value)}")


def check_size(owner: str, count: int) -> None:
    """Raise a UsageError where so many single-precision numbers are too many."""
    if 4 * count > MOST_BYTES:
        raise UsageError(f"the {owner} predictor would have {count:,} parameters, more than {MOST_BYTES // 4:,}")


def check_numbers(owner: str, **values: object) -> None:
    """Raise a UsageError unless every value is a finite number of at least 0."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise UsageError(f"{name} of the {owner} predictor is a number of at least 0, not {shown(value)}")


def check_arrays(tensors: Mapping[str, NDArray[Any]], shapes: Mapping[str, Sequence[int]], kind: str = "f") -> None:
    """Raise a ValueError unless the arrays have these names and shapes, finite numbers and a type of this ``kind``."""
    if tensors.keys() != shapes.keys():
        raise ValueError(f"it has {', '.join(sorted(tensors)) or 'nothing'}, not {', '.join(sorted(shapes))}")
    for name, shape in shapes.items():
        array = tensors[name]
        if array.shape != tuple(shape) or array.dtype.kind != kind:
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not of shape {tuple(shape)}")
        if kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
