"""Errors of the library name parameters; the command line adds the flags."""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from pronas.errors import FolderTakenError, PronasError, UsageError


def with_flags(flags: Mapping[str, str], act: Callable[[], None]) -> None:
    """Call ``act``; where it complains of a setting or a folder, say which flag is meant."""
    try:
        act()
    except FolderTakenError as error:
        resume = f": pronas search --resume {shlex.quote(error.folder)}" if error.resumable else ""
        raise _same_page(UsageError(str(error).replace("another folder", "another --out") + resume), error) from error
    except PronasError as error:
        flag = flags.get(error.setting or "")
        if flag is None:
            raise
        kind = UsageError if isinstance(error, UsageError) else type(error)
        raise _same_page(kind(f"{error} ({flag})"), error) from error


def _same_page(error: PronasError, of: PronasError) -> PronasError:
    error.page = of.page
    return error


def naming_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command, whose errors name the flags of its own parameters."""
    flags = {name: f"--{name.replace('_', '-')}" for name in inspect.signature(command).parameters}

    @functools.wraps(command)
    def run(*values: Any, **named: Any) -> None:
        with_flags(flags, lambda: command(*values, **named))

    return run
