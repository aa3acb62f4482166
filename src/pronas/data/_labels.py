"""Labels as they are stored in files, turned into 0…classes-1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def names_of(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Class names where none are given: the numbers from 0 to the largest label."""
    return tuple(str(label) for label in range(int(labels.max(initial=-1)) + 1))
