"""Nested plain data, as TOML holds it, read into tables of settings and written from them."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from pronas.errors import UsageError, nearest, shown
from pronas.runs._setting import Setting, hints_of


def plain(value: Any) -> Any:
    """Return ``value`` with tuples as lists and mappings as dicts, all the way down."""
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` put over ``below``, table by table."""
    values = dict(below)
    for key, value in above.items():
        old = values.get(key)
        values[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return values


def flat(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give every entry of nested tables that is not ``None``, by its dotted key."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(f"{prefix}{key}.", value)
        elif value is not None:
            yield f"{prefix}{key}", value


def read(table: type, values: Any, where: str, settings: Mapping[str, Setting], prefix: str = "") -> Any:
    """Read a dataclass of settings, and those in it, from nested plain data.

    Args:
        table: the dataclass.
        values: what it is made of.
        where: begins every message.
        settings: by their keys.
        prefix: the key of the table, with a full stop.

    Raises:
        UsageError: an unknown key (the nearest known one is named), a wrong type, a value out of range.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: {prefix.rstrip('.')} must be a table, not {shown(values)}")
    hints = {name: hint for name, hint in hints_of(table).items() if name != "PANEL"}
    entries = {}
    for key, value in values.items():
        if key not in hints:
            raise UsageError(f"{where}: unknown key {shown(prefix + str(key))}{nearest(f'{prefix}{key}', settings)}")
        if is_dataclass(hints[key]):
            entries[key] = read(typing.cast(type, hints[key]), value, where, settings, f"{prefix}{key}.")
        elif value is not None:
            entries[key] = _value(f"{prefix}{key}", value, where, settings)
    return table(**entries)


def _value(key: str, value: Any, where: str, settings: Mapping[str, Setting]) -> Any:
    if key in settings:
        return settings[key].checked(value, where)
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: {key} must be a table, not {shown(value)}")
    for name, part in value.items():
        if f"{key}.{name}" in settings:
            settings[f"{key}.{name}"].checked(part, where)
    return dict(value)
