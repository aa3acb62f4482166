"""Pictures that a winner gets wrong, of a run's ``mistakes.json``; whatever is not what it should be is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

MISTAKES = "mistakes.json"
_MOST_BYTES = 4 << 20
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")


def read_mistakes(folder: Path) -> dict[str, Any]:
    """Return the most confused classes with pictures, and the surest mistakes; empty where there is no such file."""
    path = folder / MISTAKES
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        found = json.loads(path.read_bytes())
        pairs = [
            {"true": str(pair["true"]), "said": str(pair["said"]), "count": int(pair["count"]), "images": _images(pair)}
            for pair in found["pairs"]
        ]
        return {"pairs": pairs, "surest": _images({"images": found["surest"]})}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _images(part: Any) -> list[dict[str, Any]]:
    return [
        {
            "true": str(one["true"]),
            "said": str(one["said"]),
            "share": float(one["share"]),
            "truth": float(one["truth"]),
            "picture": one["picture"],
        }
        for one in part["images"]
        if isinstance(one["picture"], str) and _PICTURE.fullmatch(one["picture"])
    ]
