"""The user's cache: downloads, decoded images, and facts about data sets."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pronas.files import write_atomic


def cache_dir() -> Path:
    """Where downloads and decoded images are kept: ``$PRONAS_CACHE``, else ``pronas`` in the XDG cache folder.

        >>> cache_dir().name != ""
        True

    Returns:
        The path; it need not be there yet.
    """
    if own := os.environ.get("PRONAS_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pronas"


def remembered(key: str | None, what: str, compute: Callable[[], Any]) -> Any:
    """The fact (plain data) ``what`` of the content ``key`` (hex), else computed and kept; ``None``: never kept.

    The cache is never needed: what cannot be read is computed again, what cannot be written is not kept.
    """
    if key is None:
        return compute()
    path = cache_dir() / "facts" / f"{key}.json"
    facts = _read(path)
    if what not in facts:
        value = compute()
        facts = _read(path) | {what: json.loads(json.dumps(value))}
        with contextlib.suppress(OSError):
            write_atomic(path, json.dumps(facts))
    return facts[what]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
