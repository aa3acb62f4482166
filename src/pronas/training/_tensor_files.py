"""Tensors in files: safetensors, the same bytes for the same content."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

_LENGTH = struct.Struct("<Q")


def write_tensors(tensors: Mapping[str, Tensor], path: Path, header: Mapping[str, str]) -> None:
    """Write a safetensors file.

    The library writes the entries of the header in an order that changes from process to process; here they are sorted,
    so that equal weights give equal files.

    Args:
        tensors: contiguous, on the processor.
        path: the file.
        header: text by name, kept beside the tensors.
    """
    # its own way to files has errors of its own for a full disk
    content = safetensors.torch.save(dict(tensors), dict(header))
    start = _LENGTH.size + _LENGTH.unpack_from(content)[0]
    found = json.loads(content[_LENGTH.size : start])
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % _LENGTH.size)  # so that the tensors are aligned
    with open(path, "wb") as file:
        file.write(_LENGTH.pack(len(text)) + text)
        file.write(memoryview(content)[start:])


def digest_of(tensors: Mapping[str, Tensor], content: str = "") -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, after the text ``content``."""
    digest = hashlib.sha256(content.encode("utf-8"))
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
