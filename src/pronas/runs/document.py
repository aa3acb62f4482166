"""The tables of ``docs/cli.md`` that list the settings, made of their declarations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pronas.errors import RunError
from pronas.runs._config import SETTINGS
from pronas.runs._setting import Setting
from pronas.runs._signature import default_of, range_of

__all__ = ["written"]

BEGIN, END = "<!-- settings: written by `python -m pronas.runs docs/cli.md` -->", "<!-- end of settings -->"


def tables(settings: Iterable[Setting] = SETTINGS.values()) -> str:
    """Return the tables as Markdown, one for each panel of the command line's help."""
    panels: dict[str, list[Setting]] = {}
    for one in settings:
        panels.setdefault(one.panel, []).append(one)
    return "\n\n".join(_table(panel, rows) for panel, rows in panels.items())


def written(text: str) -> str:
    """Return a document with the tables between its two marks written anew.

    Raises:
        RunError: it has no such marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RunError(f"the document has no place for settings, marked by {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def write(path: Path) -> None:
    """Write the tables of a document anew."""
    path.write_text(written(path.read_text("utf-8")), "utf-8")


def _table(panel: str, rows: Iterable[Setting]) -> str:
    head = [f"**{panel}**", "", "| flag | in TOML | what | default |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *(_row(one) for one in rows)])


def _row(one: Setting) -> str:
    short = f", `-{one.declared.short}`" if one.declared.short else ""
    listed = "; separated by commas" if one.is_list else ""
    bounds = f"; {range_of(one)}" if range_of(one) else ""
    return f"| `{one.flag}`{short} | `{one.key}` | {one.declared.help}{listed}{bounds} | {default_of(one)} |"
