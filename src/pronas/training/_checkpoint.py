"""Checkpoints of a training in progress: one file, replaced as a whole after every epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from pronas.errors import ModelFileError
from pronas.files import replacing
from pronas.training._tensor_files import digest_of, write_tensors

VERSION = 1
_FORMAT = "pronas-checkpoint"


def write_checkpoint(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], values: Mapping[str, Any], config: Mapping[str, Any]
) -> None:
    """Write a safetensors file whose header holds the plain values as JSON: there is no pair of files to fall apart.

    Args:
        path: the file.
        tensors: the state's tensors.
        values: its plain values.
        config: what the training is, to be recognised when it is continued.
    """
    kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = {"format": _FORMAT, "version": str(VERSION), "values": json.dumps(values), "config": _text(config)}
    header["digest"] = digest_of(kept, header["values"])
    with replacing(path) as temporary:
        write_tensors(kept, temporary, header)


def read_checkpoint(
    path: str | os.PathLike[str], config: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read a checkpoint of the training ``config``, or None when there is none.

    Raises:
        ModelFileError: the file is not a checkpoint, is of another version, or of another training.
    """
    if not Path(path).exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path}: not a checkpoint ({error}); delete it to start afresh") from error
    if (header.get("format"), header.get("version")) != (_FORMAT, str(VERSION)):
        raise ModelFileError(
            f"{path}: not a checkpoint of version {VERSION} (it says {header.get('format')!r}, "
            f"version {header.get('version')!r}); delete it to start afresh"
        )
    try:
        old, values = json.loads(header["config"]), json.loads(header["values"])
        whole = "digest" not in header or header["digest"] == digest_of(tensors, header["values"])  # 0.1 wrote none
    except (KeyError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if not (isinstance(old, dict) and isinstance(values, dict) and whole):
        raise damaged(path, "its content does not match its digest")
    _check_same(path, old, json.loads(_text(config)))
    return tensors, values


def damaged(path: str | os.PathLike[str], why: object) -> ModelFileError:
    """The error of a checkpoint that cannot be gone on from."""
    return ModelFileError(f"{path}: is damaged ({why}); delete it to start afresh")


def _check_same(path: str | os.PathLike[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    different = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if different:
        raise ModelFileError(
            f"{path}: is a checkpoint of another training (different: {', '.join(different)}); "
            "continue with the same settings, or delete it to start afresh"
        )


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
