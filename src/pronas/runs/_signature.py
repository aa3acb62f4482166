"""The signature and docstring of a function that takes settings as keywords, made of their declarations."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, get_args, get_origin

from pronas.runs._setting import Setting

_F = TypeVar("_F", bound=Callable[..., Any])
_WIDTH = 116


def document(settings: Iterable[Setting], named: Callable[[Setting], str] = lambda one: one.name) -> Callable[[_F], _F]:
    """Give the decorated function, which takes ``**settings``, their names in its signature and in its docstring.

    In the docstring they stand where ``{settings}`` does. ``named`` gives a setting's keyword.
    """
    listed = [(named(one), one) for one in settings]

    def decorate(function: _F) -> _F:
        own = inspect.signature(function)
        kept = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=f"{types(one)} | None")
            for name, one in listed
            if name not in {parameter.name for parameter in kept} | {"data"}
        ]
        function.__signature__ = own.replace(parameters=[*kept, *more])  # type: ignore[attr-defined]
        lines = [_line(name, one) for name, one in listed if name != "data"]
        function.__doc__ = (function.__doc__ or "").replace("        {settings}", "\n".join(lines))
        return function

    return decorate


def types(one: Setting) -> str:
    """Return a setting's types as Python spells them."""
    return " | ".join([*(_type(kind) for kind in one.kinds), *(["str"] if one.declared.all_is_0 else [])])


def default_of(one: Setting) -> str:
    """Return in words what a setting is when nothing is said.

        >>> from pronas.runs import SETTINGS
        >>> default_of(SETTINGS["predictor"]), default_of(SETTINGS["skips"])
        ('gp', 'off')

    Args:
        one: of `SETTINGS`.

    Returns:
        Words, as the documentation has them.
    """
    if one.declared.chosen is not None:
        return one.declared.chosen
    if isinstance(one.default, bool):
        return "on" if one.default else "off"
    return ", ".join(one.default) if isinstance(one.default, tuple) else f"{one.default}"


def range_of(one: Setting) -> str:
    """Return in words what values a setting may have; empty where it may have any."""
    own = one.declared
    parts = [f"above {own.above:g}"] if own.above is not None else []
    parts += [f"at least {own.at_least:g}"] if own.at_least is not None else []
    return " and ".join(parts)


def _line(name: str, one: Setting) -> str:
    facts = ", ".join(part for part in (one.declared.unit, range_of(one)) if part)
    text = f"{name}{f' ({facts})' if facts else ''}: {one.declared.help}. Default: {default_of(one)}."
    return textwrap.fill(text, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 12, break_on_hyphens=False)


def _type(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"Sequence[{get_args(kind)[0].__name__}]"
    return str(getattr(kind, "__name__", kind))
