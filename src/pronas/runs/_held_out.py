"""How many images of a small set are held out to compare children within a budget."""

from __future__ import annotations

_ENOUGH = 500  # images, whose accuracy has a standard error of two points or less
_MOST = 0.3


def validation_share(images: int, usual: float) -> float:
    """Return the share of ``images`` to hold out: as many as a comparison needs, at most three tenths.

    The winner learns from them, too, so that they cost it nothing; with a tenth of a few hundred images, children and
    augmentations would be chosen by luck.

        >>> [round(validation_share(images, 0.1), 2) for images in (150, 2000, 4000, 50_000)]
        [0.3, 0.25, 0.12, 0.1]
    """
    return max(usual, min(_MOST, _ENOUGH / images))
