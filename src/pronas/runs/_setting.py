"""One setting of a search, declared once.

A setting is a field of one of the tables in `pronas.runs._config`, made by `setting`. From that one line come its flag
of ``pronas search`` (and of ``pronas train``), its keyword of ``pronas.search`` with signature and docstring, its place
in ``config.toml`` (table and field), what is refused, and its row in ``docs/cli.md``.

To add a setting, add a field to the table where it belongs, and use it where it acts::

    @dataclass(frozen=True)
    class LimitConfig:
        bits: int | None = setting("Bits of weights", flag="max_bits", chosen="none", at_least=1, unit="bits")

then ``python -m pronas.runs docs/cli.md`` writes the table anew. Read it as ``config.limits.bits``; choose what it
leaves open in `pronas.runs._choose`, refuse what does not go together in `pronas.runs._resolve`. The type says how it
is read: ``int``, ``float``, ``bool``, ``str``, ``tuple[str, ...]`` (typed with commas), each perhaps ``| None``:
open, to be chosen. A new setting needs a default under which everything is as it was before it, so that
older runs go on. Settings of ``[execution]`` decide no result and may change when a run is resumed.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import numbers
import os
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

from pronas.errors import SettingError, nearest, shown


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What `setting` was told; the rest of a `Setting` follows from where its field stands."""

    help: str
    flag: str | None = None
    short: str | None = None
    panel: str | None = None
    unit: str | None = None
    chosen: str | None = None
    example: Any = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    choices: Sequence[str] | str | None = None
    all_is_0: bool = False
    path: bool = False
    thousand: int | None = None
    train: bool | str = False
    check: Callable[[Any], str | None] | None = None
    kind: Any = None


def setting(help: str, default: Any = None, **options: Any) -> Any:
    """Declare a setting, as the value of a field of a frozen dataclass.

    Args:
        help: its meaning in a few words, without a full stop at the end.
        default: the field's default; ``None``: open, to be chosen.
        **options: fields of `Declaration`: ``flag`` and ``short`` (its name and letter; default: the field's name, no
            letter), ``panel`` (its group; default: its table's), ``unit`` (of numbers), ``chosen`` (in words: what an
            open one becomes), ``example`` (a value that ``pronas init`` shows where there is no default), ``at_least``,
            ``above``, ``at_most`` (its range), ``choices`` (names, or their place, ``"module:NAMES"``), ``all_is_0``
            (``all`` is a word for 0), ``path`` (made absolute), ``thousand`` (what the k means where it may be text
            such as ``64k``), ``train`` (``pronas train`` takes it too; perhaps its name there), ``check`` (a function
            from its value to what is wrong with it, or ``None``).
    """
    return dataclasses.field(default=default, metadata={"setting": Declaration(help=help, **options)})


def settings_in(**entries: Any) -> Any:
    """Declare a table of free form, in which the named entries are settings: ``name=entry(int, "…", …)``."""
    return dataclasses.field(default_factory=dict, metadata={"entries": entries})


def entry(kind: Any, help: str, **options: Any) -> Declaration:
    """Declare an entry of such a table; ``kind`` is its type, the rest as for `setting`."""
    return Declaration(help=help, kind=kind, **options)


@dataclass(frozen=True)
class Setting:
    """A setting and everything that is known of it.

        >>> from pronas.runs import SETTINGS
        >>> SETTINGS["filters"].key, SETTINGS["budget"].default
        ('children.skeleton.filters', None)

    Attributes:
        name: the keyword of ``pronas.search``; the flag is ``--name``, with hyphens.
        key: its place in ``config.toml``.
        kinds: the types that its value may have, ``None`` apart.
        default: of its field.
        panel: its group.
        declared: what was declared.
    """

    name: str
    key: str
    kinds: tuple[Any, ...]
    default: Any
    panel: str
    declared: Declaration

    @property
    def flag(self) -> str:
        """The flag as typed."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def train_name(self) -> str:
        """Its name in ``pronas train``, where everything is the winner's."""
        train = self.declared.train
        return train if isinstance(train, str) else self.name.removeprefix("final_")

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The names that it may have, or ``None``."""
        names = self.declared.choices
        if isinstance(names, str):
            module, _, attribute = names.partition(":")
            names = getattr(importlib.import_module(module), attribute)
        return None if names is None else tuple(names)

    @property
    def is_list(self) -> bool:
        """Whether it holds several values."""
        return any(get_origin(kind) is tuple for kind in self.kinds)

    def plain(self, value: Any) -> Any:
        """Return what was given, perhaps as text or as an object, as it stands in TOML; its check comes later.

        Raises:
            SettingError: text that cannot be read.
        """
        if self.declared.all_is_0 and value == "all":
            return 0
        if self.declared.all_is_0 and isinstance(value, str) and value.isdecimal():
            return int(value)
        if isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return int(value)
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if self.declared.thousand is not None:
            return _spelled_out(value, self.declared.thousand)
        if self.is_list and isinstance(value, str):
            return self._split(value)
        if self.declared.path and isinstance(value, str):
            return os.path.abspath(value)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self.plain(part) if isinstance(part, numbers.Integral) else part for part in value]
        return dict(value) if isinstance(value, Mapping) else value

    def checked(self, value: Any, where: str) -> Any:
        """Return a plain value as the field holds it.

        Raises:
            SettingError: a wrong type, out of range, or no known name; the message begins with ``where``.
        """
        thousand = self.declared.thousand
        converted = _converted(value if thousand is None else _spelled_out(value, thousand), self.kinds)
        if converted is _WRONG:
            raise self._error(where, f"must be {self._types()}, not {shown(value)}")
        for part in converted if isinstance(converted, tuple) else (converted,):
            problem = self._problem(part)
            if problem:
                raise self._error(where, problem)
        return converted

    def _split(self, text: str) -> Any:
        parts = [part.strip() for part in text.split(",")]
        if int not in self.kinds and not any(get_args(kind)[:1] == (int,) for kind in self.kinds):
            return parts
        try:
            values = [int(part) for part in parts]
        except ValueError:
            raise self._error("settings", f"takes whole numbers separated by commas, not {text!r}") from None
        return values[0] if len(values) == 1 and int in self.kinds else values

    def _problem(self, value: Any) -> str | None:
        own = self.declared
        if isinstance(value, str) and not _is_text(value):
            return f"must be text, not {shown(value)}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"must be a finite number, not {value!r}"
        if own.at_least is not None and value < own.at_least:
            return f"must be at least {own.at_least:g}, not {shown(value)}"
        if own.above is not None and value <= own.above:
            return f"must be above {own.above:g}, not {shown(value)}"
        if own.at_most is not None and value > own.at_most:
            return f"must be at most {own.at_most:g}, not {shown(value)}"
        choices = self.choices
        if choices is not None and value not in choices:
            return f"unknown {shown(value)}{nearest(str(value), choices)} (there are {', '.join(choices)})"
        return own.check(value) if own.check else None

    def _error(self, where: str, problem: str) -> SettingError:
        colon = ":" if problem.startswith("unknown") else ""
        return SettingError(f"{where}: {self.key}{colon} {problem}", self.name)

    def _types(self) -> str:
        words = " or ".join(_WORDS.get(get_origin(kind) or kind, str(kind)) for kind in self.kinds)
        if self.declared.thousand == 1024:
            return "a number of bytes such as 65536, 64k or 1M"
        if self.declared.thousand == 1000:
            return "a whole number such as 80000, 80k or 1.5M"
        return f"{words} or 'all'" if self.declared.all_is_0 else words


_WRONG = object()
_BYTES = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s?([kmg]?)(?:i?b)?")
_COUNT = re.compile(r"(\d{1,12}|\d{1,12}\.\d{1,6}(?=\s?[kmg]))\s?([kmg]?)")
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    tuple: "a list",
    Mapping: "a table",
}


def _converted(value: Any, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        origin = get_origin(kind) or kind
        if origin is tuple and isinstance(value, (list, tuple)):
            parts = tuple(_converted(part, (get_args(kind)[0],)) for part in value)
            return _WRONG if any(part is _WRONG for part in parts) else parts
        if origin is Mapping and isinstance(value, Mapping):
            return dict(value)
        if origin is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
            return _number(value)
        if type(value) is origin:
            return value
    return _WRONG


def _spelled_out(value: Any, thousand: int) -> Any:
    """The number that a text like ``64k`` or ``1.5 MB`` means, by a ``thousand`` a step; anything else as it is."""
    pattern = _BYTES if thousand == 1024 else _COUNT
    found = pattern.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    return value if found is None else round(float(found[1]) * thousand ** "_kmg".index(found[2] or "_"))


def _number(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _is_text(value: str) -> bool:
    """Whether a text says anything and can be written down: not a file name's stray bytes."""
    try:
        return bool(value.strip()) and b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Return the types that a field's annotation allows, ``None`` apart."""
    parts = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return tuple(kind for kind in parts if kind is not type(None))


def settings_of(table: type, prefix: str = "", panel: str = "") -> Iterator[Setting]:
    """Give the settings of a table and of the tables in it, in the order of declaration."""
    hints = typing.get_type_hints(table)
    panel = getattr(table, "PANEL", panel)
    for field in dataclasses.fields(table):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from settings_of(hints[field.name], f"{prefix}{field.name}.", panel)
        elif "setting" in field.metadata:
            own = field.metadata["setting"]
            yield _setting(f"{prefix}{field.name}", own, kinds_of(hints[field.name]), field.default, panel)
        for name, own in field.metadata.get("entries", {}).items():
            yield _setting(f"{prefix}{field.name}.{name}", own, kinds_of(own.kind), None, panel)


def _setting(key: str, own: Declaration, kinds: tuple[Any, ...], default: Any, panel: str) -> Setting:
    return Setting(own.flag or key.rpartition(".")[2], key, kinds, default, own.panel or panel, own)


@cache
def hints_of(table: type) -> dict[str, Any]:
    """Return the types of a table's fields, by name."""
    return typing.get_type_hints(table)
