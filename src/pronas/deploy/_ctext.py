"""Pieces of C text that both kinds of exported source share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def fill(template: str, parts: dict[str, str]) -> str:
    """The template with each word between @ signs replaced by its part."""
    return re.sub(r"@([A-Z]+)@", lambda m: parts.get(m.group(1), m.group(0)), template)


def identifier(stem: str) -> str:
    """A C identifier from a file's name."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", stem) or "network"
    return f"n{name}" if name[0].isdigit() or name[0] == "_" else name


def numbers(values: Sequence[int], columns: int) -> str:
    """Numbers in lines of ``columns``."""
    lines = [values[i : i + columns] for i in range(0, len(values), columns)]
    return ",\n".join("  " + ", ".join(map(str, line)) for line in lines)


def facts(info: dict[str, Any]) -> str:
    """What a reader wants to know, with nothing that could end the comment."""
    lines = [f"{key}: {info[key]}" for key in ("cell", "parameters") if key in info]
    lines += [f"class {number}: {name}" for number, name in enumerate(info.get("classes", []))]
    return "".join(f"\n *   {clean(line)}" for line in lines)


def clean(text: str) -> str:
    """Up to 200 characters that can end neither a comment nor a string."""
    return re.sub(r"[^ -~]|[*/\\?\"]", "_", text)[:200]
