"""Checkpoints of a training in progress: one file, replaced as a whole after every epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pronas.errors import ModelFileError
from pronas.files import replacing

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
    header = {"format": _FORMAT, "version": str(VERSION), "values": json.dumps(values), "config": _text(config)}
    with replacing(path) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary, header)


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
    _check_same(path, json.loads(header["config"]), json.loads(_text(config)))
    return tensors, json.loads(header["values"])


def _check_same(path: str | os.PathLike[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    different = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if different:
        raise ModelFileError(
            f"{path}: is a checkpoint of another training (different: {', '.join(different)}); "
            "continue with the same settings, or delete it to start afresh"
        )


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
