"""Settings as options of a command, made of their declarations in `pronas.runs`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

import typer

from pronas.cli._flags import with_flags
from pronas.runs import Setting, default_of


def with_settings(settings: Mapping[str, Setting]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give the decorated command, which takes ``**settings``, an option for each; those not typed are left out.

    Its own parameters come last. Errors about a setting name its flag.

    Args:
        settings: by the names of their flags.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        first = [one for one in own if one.default is inspect.Parameter.empty and one.kind is not one.VAR_KEYWORD]
        rest = [one for one in own if one not in first and one.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters = [*first, *(_parameter(name, one) for name, one in settings.items()), *rest]
        flags = {one.name: f"--{name.replace('_', '-')}" for name, one in settings.items()}

        @functools.wraps(command)
        def run(**values: Any) -> None:
            typed = {name: value for name, value in values.items() if name not in settings or value is not None}
            with_flags(flags, lambda: command(**typed))

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _parameter(name: str, one: Setting) -> inspect.Parameter:
    flags = [f"--{name.replace('_', '-')}", *([f"-{one.declared.short}"] if one.declared.short else [])]
    listed = " (separated by commas)" if one.is_list else ""
    help = f"{one.declared.help}{listed}. Default: {default_of(one)}."
    option = typer.Option(*flags, help=help, rich_help_panel=one.panel)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[_type(one) | None, option]
    )


def _type(one: Setting) -> Any:
    """Whole numbers and numbers are read by the command line; what may be a word or a list is text."""
    kind = one.kinds[0]
    if (
        len(one.kinds) > 1
        or one.declared.all_is_0
        or one.declared.thousand is not None
        or get_origin(kind) is tuple
        or get_args(kind)
    ):
        return str
    return kind
