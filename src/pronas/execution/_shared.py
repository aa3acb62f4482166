"""Arrays that worker processes see without a copy."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.mapped import MappedArray, map_array


@dataclass(frozen=True)
class ArrayHandle:
    """Where another process finds an array: a path it can map, and how to read it."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int = 0

    def open(self) -> NDArray[Any]:
        """Map the array (shared pages, nothing is copied)."""
        return map_array(self.path, self.dtype, self.shape, self.offset)


@final
class SharedArrays:
    """Puts the arrays of ``shared`` where other processes can map them; plain values stay as they are.

    On Linux the arrays lie in anonymous memory files, opened by workers through ``/proc/PID/fd``: nothing is left
    behind even when this process is killed. Elsewhere a temporary file is used.
    """

    def __init__(self, shared: Mapping[str, Any]) -> None:
        self._descriptors: list[int] = []
        self._paths: list[str] = []
        self.plain = {key: self._place(value) for key, value in shared.items()}

    def close(self) -> None:
        """Free the memory (mappings of workers stay valid until they end)."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        for path in self._paths:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._descriptors, self._paths = [], []

    def _place(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        if isinstance(value, MappedArray) and value.path is not None:  # it lies in a file already
            with contextlib.suppress(OSError):
                return ArrayHandle(self._held(value.path), value.dtype.str, value.shape, value.offset)
        array = np.ascontiguousarray(value)
        return ArrayHandle(self._write(array.reshape(-1).view(np.uint8).data), array.dtype.str, array.shape)

    def _held(self, path: str) -> str:
        """Where workers find a file even after somebody has removed it."""
        if not hasattr(os, "memfd_create"):
            return path
        descriptor = os.open(path, os.O_RDONLY)
        self._descriptors.append(descriptor)
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def _write(self, content: memoryview) -> str:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("pronas")
            path = f"/proc/{os.getpid()}/fd/{descriptor}"
        else:
            descriptor, path = tempfile.mkstemp(prefix="pronas-")
            self._paths.append(path)
        self._descriptors.append(descriptor)
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        return path


def open_shared(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the handles in ``plain`` back into arrays."""
    return {key: value.open() if isinstance(value, ArrayHandle) else value for key, value in plain.items()}
