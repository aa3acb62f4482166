"""Checks of settings: each says what is wrong with a value, or nothing."""

from __future__ import annotations

import re


def share_or_number(value: float) -> str | None:
    """Say what is wrong with a number below which a share is meant, from 1 on a count."""
    whole = value < 1 or value == int(value)
    return None if whole else f"must be a share below 1 or a whole number, not {value!r}"


def regular_expression(value: str) -> str | None:
    """Say why a text is no regular expression."""
    try:
        re.compile(value)
    except re.error as error:
        return f"is no regular expression ({error}): {value!r}"
    return None
