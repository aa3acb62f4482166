"""Lengths of time as people write them: ``90s``, ``10m``, ``2h``, ``1d``."""

from __future__ import annotations

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s?([smhd]?)")
LEAST, MOST = 10.0, 30 * 86400.0


def seconds_of(text: str) -> float:
    """Return the seconds that a text like ``90s``, ``10m``, ``2h``, ``1d`` or ``1.5h`` means; a bare number is seconds.

    Raises:
        ValueError: it is no such text.
    """
    found = _TEXT.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(text)
    return float(found[1]) * _UNITS[found[2] or "s"]


def problem_with(text: str) -> str | None:
    """Say what is wrong with a budget, or ``None``."""
    try:
        seconds = seconds_of(text)
    except ValueError:
        return f"must be a length of time such as 90s, 10m, 2h or 1d, not {text!r}"
    if not LEAST <= seconds <= MOST:
        return f"must be from {spelled(LEAST)} to {spelled(MOST)}, not {text!r}"
    return None


def spelled(seconds: float) -> str:
    """Return seconds as people write them, in two units at the most."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    days, hours = divmod(hours, 24)
    return f"{days} d" + (f" {hours} h" if hours else "")
