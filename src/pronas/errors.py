"""The errors pronas raises for what a user can mend: one clear line each, with the exit code the command line gives."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

#: Where the documentation explains errors that are not ours: a full disk, too little memory, a fault of pronas.
DISK_PAGE, MEMORY_PAGE, FAULT_PAGE = "docs/errors.md#disk", "docs/errors.md#memory", "docs/errors.md#faults"


class PronasError(Exception):
    """Something a user can mend. The message is one line: what was wrong, where, and the cure.

        >>> try:
        ...     raise DataError("photos.zip: no pictures in it")
        ... except PronasError as error:
        ...     error.exit_code, error.page
        (1, 'docs/errors.md#images')

    Attributes:
        exit_code: of the command line.
        page: the part of the documentation that explains such errors; the command line names it.
    """

    exit_code = 1
    page = "docs/errors.md"

    def __init__(self, message: str = "", setting: str | None = None) -> None:
        """Name the parameter that mends it as ``setting``, where there is one: the command line adds its flag."""
        super().__init__(message)
        self.setting = setting


class UsageError(PronasError, ValueError):
    """A bad argument: a cell, an option, a configuration value. The command line exits with 2."""

    exit_code = 2
    page = "docs/errors.md#arguments"


class SettingError(UsageError):
    """A setting with a value that makes no sense. ``setting`` is its name; the command line adds the flag."""

    page = "docs/errors.md#settings"

    def __init__(self, message: str, setting: str) -> None:
        super().__init__(message, setting)


class FolderTakenError(UsageError):
    """The folder named for a result holds something else. ``resumable``: it is a run that could be gone on with."""

    page = "docs/errors.md#folders"

    def __init__(self, message: str, folder: str, *, resumable: bool = False) -> None:
        super().__init__(message)
        self.folder, self.resumable = folder, resumable


class DataError(PronasError):
    """Images or labels that are missing, corrupt, truncated or mislabelled; the message names the file."""

    page = "docs/errors.md#images"


class RunError(PronasError):
    """A run folder that is missing, of another version, in use, or cannot be written."""

    page = "docs/errors.md#runs"


class ModelFileError(PronasError):
    """A model file (weights, packed network, predictor checkpoint) that is malformed or of another kind."""

    page = "docs/errors.md#model-files"


class MissingExtraError(PronasError, ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""

    page = "docs/errors.md#extras"


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

        >>> require("no_such_module", "hf")
        Traceback (most recent call last):
            ...
        pronas.errors.MissingExtraError: no_such_module is not installed (...): pip install 'pronas[hf]'

    Raises:
        MissingExtraError: it is not installed; the message gives the ``pip install`` line.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{module} is not installed ({error}): pip install 'pronas[{extra}]'") from error


def shown(value: object, most: int = 80) -> str:
    """Return a value as a message shows it: its ``repr``, cut where it has more than ``most`` characters.

    >>> shown("a" * 100, most=10)
    "'aaaaaaaa…"
    """
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def wrong_arguments(error: TypeError) -> str:
    """Return what Python says of arguments that a class does not take, in words for its user.

    >>> wrong_arguments(TypeError("Tree.__init__() got an unexpected keyword argument 'depth'"))
    "it has no setting 'depth'"
    """
    return str(error).split("__init__() ")[-1].replace("got an unexpected keyword argument", "it has no setting")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known name closest to ``name``, or the empty string.

    >>> nearest("focl", ["focal", "hinge"])
    "; did you mean 'focal'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
