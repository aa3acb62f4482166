"""The recipes that have names."""

from __future__ import annotations

from pronas.errors import UsageError, nearest
from pronas.training._recipe import Recipe

#: What the old systems trained children with, carried over as they were meant (each child its own schedule).
_OLD = Recipe(name="old", epochs=5, batch=128, learning_rate=1e-3, schedule="cosine", final=0.1)
_OLD_BINARY = Recipe(
    name="old-binary", epochs=5, batch=128, amsgrad=True, learning_rate=1e-3,
    schedule="exponential", final=0.1, loss="squared-hinge",
)  # fmt: skip

#: How the paper trains children (arXiv 1712.00559, section 5.1, and NASNet, arXiv 1707.07012, appendix A, to which it
#: refers): the presets' recipes are it and what they say.
_PAPER = Recipe(
    name="paper", epochs=20, batch=128, optimizer="sgd", learning_rate=0.01, weight_decay=5e-4,
    schedule="cosine", final=0.0, clip_norm=5.0,
)  # fmt: skip

# Chosen by measurement: docs/experiments.md, "Recipes".
_SEARCH = Recipe(
    name="search", epochs=5, batch=128, optimizer="sgd", learning_rate=0.3, weight_decay=5e-4,
    schedule="linear", warmup=0.2, final=0.02,
)  # fmt: skip
_SEARCH_BINARY = Recipe(
    name="search-binary", epochs=5, batch=128, learning_rate=1e-2, schedule="linear", warmup=0.1, final=0.02,
)  # fmt: skip
_FULL = _SEARCH.replace(name="full", epochs=30, label_smoothing=0.05, augmentation="standard")
_FULL_BINARY = _SEARCH_BINARY.replace(name="full-binary", epochs=30, learning_rate=4e-3)

# For a training that must end in time, whatever the images: docs/experiments.md, "The answer".
_TIMED = Recipe(
    name="timed", epochs=20, batch=64, optimizer="sgd", learning_rate=0.2, weight_decay=5e-4,
    schedule="linear", warmup=0.15, final=0.01, average=0.1, augmentation="light",
)  # fmt: skip
_TIMED_BINARY = _FULL_BINARY.replace(name="timed-binary", epochs=20, batch=64)
# The winner's: it has several times a child's length, and nobody compares its loss with another network's.
_TIMED_FINAL = _TIMED.replace(name="timed-final", learning_rate=0.3, label_smoothing=0.1)
_TIMED_FINAL_BINARY = _TIMED_BINARY.replace(name="timed-final-binary")

_NAMED = {
    entry.name: entry
    for entry in (
        _SEARCH,
        _SEARCH_BINARY,
        _FULL,
        _FULL_BINARY,
        _TIMED,
        _TIMED_BINARY,
        _TIMED_FINAL,
        _TIMED_FINAL_BINARY,
        _OLD,
        _OLD_BINARY,
        _PAPER,
    )
}

#: Names that ``recipe`` knows.
RECIPES = tuple(_NAMED)


def recipe(name: str, *, binary: bool = False, epochs: int | None = None, batch: int | None = None) -> Recipe:
    """Give a recipe by name.

        >>> recipe("search", epochs=3).epochs, recipe("search", binary=True).name
        (3, 'search-binary')

    Args:
        name: ``search`` (few epochs, to compare children), ``full`` (to convergence), ``timed`` and ``timed-final``
            (for a budget of time: to compare, and for the winner), ``old`` (what the systems before pronas used) or
            ``paper``; with ``-binary`` behind, or with ``binary``, the one for binarized networks.
        binary: take the recipe for binarized networks.
        epochs: in place of the recipe's own; schedules stretch with it.
        batch: in place of the recipe's own.

    Returns:
        The recipe; frozen: `Recipe.replace` changes fields.

    Raises:
        UsageError: an unknown name, or numbers that make no sense.
    """
    key = f"{name}-binary" if binary and not name.endswith("-binary") else name
    if key not in _NAMED:
        raise UsageError(f"unknown recipe {name!r}{nearest(name, RECIPES)} (there are {', '.join(RECIPES)})")
    changes = {"epochs": epochs, "batch": batch}
    return _NAMED[key].replace(**{field: value for field, value in changes.items() if value is not None})
