"""Whether two searches are the same: what decides the outcome counts, where it runs and where images lie does not."""

from __future__ import annotations

from pathlib import Path

from pronas.errors import FolderTakenError
from pronas.runs._choose import completed
from pronas.runs._config import Config

#: Images are compared by their fingerprint, which says more than where they lie.
_ELSEWHERE = ("execution.", "data.name", "data.directory")


def differing(old: Config, new: Config) -> list[str]:
    """Return the keys that differ and matter."""
    before, after = completed(old).flat(), new.flat()
    keys = sorted({*before, *after})
    return [key for key in keys if before.get(key) != after.get(key) and not key.startswith(_ELSEWHERE)]


def say_differing(folder: Path, old: Config, new: Config, keys: list[str]) -> FolderTakenError:
    """Return the error that tells how two configurations differ."""
    before, after = completed(old).flat(), new.flat()
    parts = [f"{key} ({before.get(key, 'unset')!r} there, {after.get(key, 'unset')!r} here)" for key in keys[:6]]
    more = f" and {len(keys) - 6} more" if len(keys) > 6 else ""
    text = f"{folder} holds a search that differs in {', '.join(parts)}{more}"
    cure = "choose another folder, or go on with it as it is"
    return FolderTakenError(f"{text}; {cure}", str(folder), resumable=True)
