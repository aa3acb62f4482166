"""What a page says of each class: recall, precision and support of the winner on the test images."""

from __future__ import annotations

from typing import Any

import numpy as np

from pronas.metrics import class_figures

ClassRow = tuple[str, int, float, float, float]


def class_rows(final: Any) -> list[ClassRow]:
    """(name, support, recall, precision, F1) of every class; none where the store does not hold what is needed.

    Args:
        final: what the store keeps of the winner: ``confusion`` (rows true, columns predicted), perhaps ``classes``.
    """
    try:
        matrix = np.asarray(final["confusion"], dtype=np.int64)
        names = [str(name) for name in final.get("classes") or ()]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return []
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix < 0).any():
        return []
    found = class_figures(matrix)
    names += [str(number) for number in range(len(names), len(matrix))]
    columns = (found.support, found.recall, found.precision, found.f1)
    return list(zip(names, *(column.tolist() for column in columns), strict=False))
