"""Bounds on what compressed files may unfold to."""

from __future__ import annotations

import os

from pronas.errors import DataError

MIB = 1 << 20
MAX_RATIO = 100  # photographs reach 1, drawings 10; a bomb 1000
MAX_TOTAL = 1 << 36  # 64 GiB
_UNSUSPICIOUS = 64 * MIB  # below this any ratio is harmless


def check_expansion(path: str | os.PathLike[str], stored: int, unfolded: int) -> None:
    """Refuse a file of ``stored`` bytes that unfolds to suspiciously many.

    Raises:
        DataError: over 64 GiB, or over 64 MiB at more than 100 times the stored size.
    """
    if unfolded > MAX_TOTAL or (unfolded > _UNSUSPICIOUS and unfolded > MAX_RATIO * stored):
        raise DataError(
            f"{path}: {stored} bytes would unfold to {unfolded}: refused as corrupt or a decompression bomb"
        )
