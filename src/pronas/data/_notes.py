"""What a user should know about a data set, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_NAMED = 3
_TINY = 20  # training images of a class below which its accuracy is mostly luck
_UNBALANCED = 5.0  # times that the largest class has the images of the smallest


def printable(text: str) -> str:
    """The text in one line that any terminal takes: a file's name may hold a line break, or bytes that are no text."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def few_of(names: Iterable[str], one: str, many: str) -> tuple[str, ...]:
    """A note that counts and names (the first three): none, or one."""
    listed = list(names)
    if not listed:
        return ()
    more = ", …" if len(listed) > _NAMED else ""
    return (f"{len(listed)} {one if len(listed) == 1 else many}: {printable(', '.join(listed[:_NAMED]))}{more}",)


def class_notes(counts: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, ...]:
    """Notes on classes with few training images, and on classes of very different sizes.

    Args:
        counts: int64 (classes,), training images.
        classes: their names.
    """
    tiny = [f"{classes[i]} ({counts[i]})" for i in np.argsort(counts, kind="stable") if counts[i] < _TINY]
    text = f"{'has' if len(tiny) == 1 else 'have'} fewer than {_TINY} training images"
    notes = few_of(tiny, f"class {text}", f"classes {text}")
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[least] and counts[most] >= _UNBALANCED * counts[least]:
        notes += (
            f"classes are unbalanced: {classes[most]} has {counts[most] / counts[least]:.0f} times the training images "
            f"of {classes[least]} ({counts[most]:,} and {counts[least]:,}); balanced accuracy or macro F1 tell more "
            "than accuracy",
        )
    return notes
