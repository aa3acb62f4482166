"""Predictors by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from pronas.errors import ModelFileError, UsageError, nearest, wrong_arguments
from pronas.predictors._auto import AutoPredictor
from pronas.predictors._checkpoint import predictor_values, read_checkpoint, write_checkpoint
from pronas.predictors._predictor import Predictor
from pronas.space import Space, space_from_dict

_PAPER: dict[str, Any] = {"later_rate": 0.002, "decay": False}
#: Where each is, imported when it is made: what needs SciPy or scikit-learn costs memory and time.
_MAKERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lstm": ("_lstm", "LSTMPredictor", {}),
    "lstm-ensemble": ("_lstm", "LSTMPredictor", {"ensemble": 5}),
    "mlp": ("_mlp", "MLPPredictor", {"ensemble": 1}),
    "mlp-ensemble": ("_mlp", "MLPPredictor", {"ensemble": 5}),
    # as the paper fits them (arXiv 1712.00559, section 4.2 and appendix): Adam at 0.01 on level 1, 0.002 from there on
    "paper-lstm": ("_lstm", "LSTMPredictor", _PAPER),
    "paper-lstm-ensemble": ("_lstm", "LSTMPredictor", {"ensemble": 5, **_PAPER}),
    "paper-mlp": ("_mlp", "MLPPredictor", {"ensemble": 1, **_PAPER}),
    "paper-mlp-ensemble": ("_mlp", "MLPPredictor", {"ensemble": 5, **_PAPER}),
    "gp": ("_gp", "GaussianProcess", {}),
    "forest": ("_forest", "ForestPredictor", {}),
}

#: Settings that files of version 0.1 call otherwise.
_RENAMED = {"members": "ensemble"}

#: Names that `make_predictor` knows.
PREDICTORS = (*_MAKERS, "auto")


def make_predictor(name: str, space: Space, **settings: Any) -> Predictor:
    """Make an unfitted predictor for cells of ``space``.

        >>> import numpy as np
        >>> from pronas.predictors import Observed
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> predictor = make_predictor("gp", space)
        >>> predictor.fit([Observed(space.level1(), np.array([0.9, 0.8, 0.7]))])
        >>> mean, std = predictor.predict(space.level1())
        >>> bool(mean[0] > mean[2]), std.shape
        (True, (3,))

    Args:
        name: one of ``PREDICTORS``.
        space: of the cells to be predicted.
        **settings: of that predictor: ``ensemble`` (members), ``steps``, ``cells``, …

    Returns:
        The predictor; fit it before it predicts.

    Raises:
        UsageError: the name or a setting is unknown, or a value makes no sense.
    """
    if name not in PREDICTORS:
        raise UsageError(f"unknown predictor {name!r}{nearest(name, PREDICTORS)}; there are {', '.join(PREDICTORS)}")
    try:
        if name == "auto":
            return AutoPredictor(space, make_predictor, **settings)
        module, kind_name, defaults = _MAKERS[name]
        kind: type[Predictor] = getattr(importlib.import_module(f"pronas.predictors.{module}"), kind_name)
        return kind(space, **(defaults | settings))
    except TypeError as error:
        raise UsageError(f"predictor {name!r}: {wrong_arguments(error)}") from None


def save_predictor(predictor: Predictor, path: str | Path) -> None:
    """Write ``path.safetensors`` and ``path.json``; the files know their space.

        >>> import pathlib, tempfile
        >>> from pronas.space import named_space
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "predictor"
        >>> save_predictor(make_predictor("gp", named_space("flat")), path)
        >>> sorted(file.name for file in path.parent.iterdir())
        ['predictor.json', 'predictor.safetensors']

    Args:
        predictor: fitted or not.
        path: without suffix, or with either file's.

    Raises:
        OSError: they cannot be written.
    """
    tensors, head = predictor_values(predictor)
    write_checkpoint(path, tensors, {"space": predictor.space.to_dict(), "predictor": head})


def load_predictor(path: str | Path, space: Space | None = None) -> Predictor:
    """Read a predictor from its own files or from a controller's; ``space`` is only needed for spaces of your own.

        >>> import pathlib, tempfile
        >>> from pronas.space import named_space
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "predictor"
        >>> save_predictor(make_predictor("gp", named_space("flat")), path)
        >>> load_predictor(path).name
        'gp'

    Args:
        path: without suffix, or either file.
        space: of its cells; None: as the file says.

    Returns:
        The predictor, fitted as it was.

    Raises:
        ModelFileError: missing, malformed, or of another kind.
    """
    tensors, document = read_checkpoint(path)
    return restore_predictor(tensors, document, space)


def restore_predictor(tensors: dict[str, Any], document: dict[str, Any], space: Space | None) -> Predictor:
    """Make the predictor of a checkpoint that was read.

        >>> from pronas.space import named_space
        >>> tensors, head = predictor_values(make_predictor("mlp", named_space("flat")))
        >>> restore_predictor(tensors, {"predictor": head}, named_space("flat")).name
        'mlp'

    Args:
        tensors, document: from `read_checkpoint`.
        space: theirs; None: as the document says.

    Returns:
        The predictor, fitted as it was.

    Raises:
        ModelFileError: the document describes no predictor.
    """
    try:
        head = document["predictor"]
        settings = {_RENAMED.get(key, key): value for key, value in head["settings"].items()}
        predictor = make_predictor(head["name"], space or space_from_dict(document["space"]), **settings)
        if head["fitted"]:
            predictor.set_state(tensors, head["values"])
    except (KeyError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, MemoryError) as error:
        raise ModelFileError(f"the checkpoint's predictor cannot be read: {str(error)[:300]}") from None
    return predictor
