"""The bundled data set: scikit-learn's digits."""

from __future__ import annotations

import numpy as np

from pronas.data._source import Source
from pronas.data._types import Split


def load_digits() -> Source:
    """1,797 handwritten digits of 8x8 pixels, whose values 0…16 are scaled to 0…255 (rounded)."""
    from sklearn.datasets import load_digits as bundled

    data = bundled()
    images = np.rint(data.images * (255 / 16)).astype(np.uint8)[:, None]
    # a fifth for validation: of so few images a tenth would blur the rewards
    return Source("digits", Split(images, data.target.astype(np.int64)), tuple("0123456789"), held_out=0.2)
