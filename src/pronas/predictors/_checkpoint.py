"""Predictors and controllers on disk: ``PATH.safetensors`` (arrays) and ``PATH.json`` (everything else)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pronas.errors import ModelFileError
from pronas.files import write_atomic
from pronas.predictors._predictor import Arrays, Predictor

FORMAT = "pronas controller 1"


def write_checkpoint(path: str | Path, tensors: Arrays, values: dict[str, Any]) -> None:
    """Write both files, each whole or not at all; the JSON, written last, has the digest of the arrays.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "predictor"
        >>> write_checkpoint(path, {"weights": np.ones(3)}, {"level": 2})
        >>> tensors, document = read_checkpoint(path)
        >>> tensors["weights"].tolist(), document["level"]
        ([1.0, 1.0, 1.0], 2)

    Args:
        path: without suffix, or with either file's.
        tensors: arrays by name.
        values: JSON values.

    Raises:
        OSError: they cannot be written.
    """
    stem = _stem(path)
    data = save({name: np.ascontiguousarray(array) for name, array in tensors.items()})
    document = {"format": FORMAT, "sha256": hashlib.sha256(data).hexdigest(), **json.loads(json.dumps(values))}
    document["whole"] = _digest(document)
    write_atomic(stem.with_name(stem.name + ".safetensors"), data)
    write_atomic(stem.with_name(stem.name + ".json"), json.dumps(document, indent=1) + "\n")


def read_checkpoint(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """Read both files.

        >>> read_checkpoint("nowhere")
        Traceback (most recent call last):
            ...
        pronas.errors.ModelFileError: no controller checkpoint: [Errno 2] No such file or directory: 'nowhere.json'

    Args:
        path: without suffix, or with either file's.

    Returns:
        Arrays by name, and the JSON's object.

    Raises:
        ModelFileError: missing, malformed, of another kind, or the two do not belong together.
    """
    stem = _stem(path)
    text, arrays = stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".safetensors")
    try:
        document, data = json.loads(text.read_text("utf-8")), arrays.read_bytes()
    except OSError as error:
        raise ModelFileError(f"no controller checkpoint: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{text} is not a controller checkpoint: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelFileError(f"{text} is not a controller checkpoint of this version (it should say {FORMAT!r})")
    if document.get("sha256") != hashlib.sha256(data).hexdigest():
        raise ModelFileError(
            f"{arrays} does not belong to {text.name}: one of the two is from another moment or damaged"
        )
    if "whole" in document and document.pop("whole") != _digest(document):  # version 0.1 wrote none
        raise ModelFileError(f"{text} was changed, or is damaged: restore a copy, or search again")
    try:
        return load(data), document
    except SafetensorError as error:
        raise ModelFileError(f"{arrays} is damaged: {error}") from None


def predictor_values(predictor: Predictor) -> tuple[Arrays, dict[str, Any]]:
    """A predictor as arrays and JSON values.

        >>> from pronas.predictors import make_predictor
        >>> from pronas.space import named_space
        >>> predictor_values(make_predictor("gp", named_space("flat")))[1]["fitted"]
        False

    Args:
        predictor: fitted or not.

    Returns:
        Arrays by name (none where it is not fitted); and its name, settings and state.
    """
    tensors, values = predictor.state() if predictor.fitted else ({}, {})
    head = {"name": predictor.name, "settings": predictor.settings(), "fitted": predictor.fitted, "values": values}
    return tensors, head


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _stem(path: str | Path) -> Path:
    stem = Path(path)
    return stem.with_suffix("") if stem.suffix in (".safetensors", ".json") else stem
