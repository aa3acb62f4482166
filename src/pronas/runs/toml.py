"""Writing TOML: the standard library only reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def dumps(tables: Mapping[str, Any]) -> str:
    """Return ``tables`` as TOML text: plain values first, then one ``[table]`` per mapping. ``None`` is left out."""
    return "\n".join(_table("", tables)).strip() + "\n"


def _table(prefix: str, table: Mapping[str, Any]) -> Iterable[str]:
    for key, value in table.items():
        if value is not None and not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            name = f"{prefix}{_key(key)}"
            yield from ("", f"[{name}]")
            yield from _table(f"{name}.", value)


def _key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    return key if bare else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # inf and nan are spelled the same in TOML
    if isinstance(value, str):
        # JSON's escapes are TOML's, except that TOML wants the delete character escaped too
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    raise TypeError(f"{type(value).__name__} has no form in TOML")
