"""Spaces by name, or written down: in TOML files, or as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pronas.space._catalogue import SPACES, named_arguments
from pronas.space._state_space import StateSpace


def space_names() -> tuple[str, ...]:
    """Return the names that `named_space` knows.

        >>> space_names()
        ('pnas', 'flat', 'residual', 'binary')

    Returns:
        The names, the paper's first.
    """
    return tuple(SPACES)


def named_space(name: str, B: int | None = None) -> StateSpace:  # noqa: N803 - the paper's name
    """Return a space by name: ``pnas`` (the paper's), ``flat`` (the old small search), ``residual`` (flat cells in
    which the hand-made small networks are points) or ``binary`` (flat, binarized).

        >>> named_space("flat", 2).level1().shape
        (21, 4)

    Args:
        name: one of `space_names`.
        B: blocks; ``None``: 5 for ``pnas``, 3 for the others.

    Returns:
        The space.

    Raises:
        UsageError: no space has that name (the nearest is given), or B < 1.
    """
    return StateSpace(**named_arguments(name, B))


def space(name_or_path: str | Path, B: int | None = None) -> StateSpace:  # noqa: N803
    """Return `named_space`, or the space of a TOML file where the text ends in ``.toml`` or names a file.

        >>> space("pnas").B
        5

    Args:
        name_or_path: one of `space_names`, or a file.
        B: blocks; ``None``: what the name or the file says.

    Returns:
        The space.

    Raises:
        UsageError: as `named_space` and `StateSpace.from_toml`.
    """
    if str(name_or_path) in SPACES:
        return named_space(str(name_or_path), B)
    path = Path(name_or_path)
    return space_from_toml(path, B) if path.suffix == ".toml" or path.is_file() else named_space(str(name_or_path), B)


def space_from_toml(path: str | Path, B: int | None = None) -> StateSpace:  # noqa: N803
    """Read a space from a TOML file; see `StateSpace.from_toml`.

        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "space.toml"
        >>> _ = path.write_text('operators = ["3x3 conv", "identity"]')
        >>> space_from_toml(path, B=2).operators
        ('3x3 conv', 'identity')

    Args:
        path: the file.
        B: overrides the file's number of blocks.

    Returns:
        The space.

    Raises:
        UsageError: the file cannot be read, is no TOML, or an entry is unknown or wrong; the message names the file.
    """
    return StateSpace.from_toml(path, B)


def space_from_dict(data: Mapping[str, Any]) -> StateSpace:
    """Make the space that `StateSpace.to_dict` wrote.

        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> space_from_dict(space.to_dict()) == space
        True

    Args:
        data: ``B`` and perhaps ``kind``, ``operators``, ``input_lookback_depth``, ``input_lookforward_depth``.

    Returns:
        The space; equal to the one that was written.

    Raises:
        UsageError: an entry is unknown, missing or wrong.
    """
    return StateSpace.from_dict(data)
