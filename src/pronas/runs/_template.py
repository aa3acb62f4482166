"""A commented ``pronas.toml`` with every setting, made of their declarations."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from pronas.runs._config import SETTINGS
from pronas.runs._reading import plain
from pronas.runs._setting import Setting
from pronas.runs._signature import default_of, range_of
from pronas.runs.toml import dumps

_WIDTH = 100
_HEAD = """\
# Settings of a search: pronas search --config pronas.toml
# Each line with a # in front is one that may be set: take the # away. What is not set is chosen.
"""


def template(settings: Iterable[Setting] = SETTINGS.values()) -> str:
    """Return the text of a ``pronas.toml`` in which every setting is explained and none is set.

        >>> text = template()
        >>> "[search]" in text, '# budget = "10m"' in text
        (True, True)

    Args:
        settings: of `SETTINGS`.

    Returns:
        TOML; as it is, it says nothing.
    """
    tables: dict[str, list[Setting]] = {}
    for one in settings:
        tables.setdefault(one.key.rpartition(".")[0], []).append(one)
    ordered = sorted(tables.items(), key=lambda item: item[0] != "")  # what is in no table must come first
    return _HEAD + "".join(_table(name, entries) for name, entries in ordered)


def _table(name: str, entries: Iterable[Setting]) -> str:
    return (f"\n[{name}]\n" if name else "") + "".join(f"\n{_entry(one)}" for one in entries)


def _entry(one: Setting) -> str:
    bounds = f" ({range_of(one)})" if range_of(one) else ""
    text = f"{one.declared.help}{bounds}. Default: {default_of(one)}."
    comment = textwrap.fill(text, _WIDTH, initial_indent="## ", subsequent_indent="## ", break_on_hyphens=False)
    return f"{comment}\n# {dumps({one.key.rpartition('.')[2]: _example(one)})}"


def _example(one: Setting) -> Any:
    """A value to begin with: the default, or what its declaration shows, or the first of its names."""
    if one.default not in (None, ()):
        return plain(one.default)
    if one.declared.example is not None:
        return plain(one.declared.example)
    names = one.choices
    return None if names is None else ([names[0]] if one.is_list else names[0])
