"""The C core through ctypes: finding the library, loading a network, running it."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.errors import ModelFileError, UsageError
from pronas.machine import compiled_library

_POINTER = ctypes.c_void_p
_SMALL = 1


def _find() -> Path | None:
    """The library: where PRONAS_CORE says, else where this package's was compiled to."""
    named = os.environ.get("PRONAS_CORE")
    if named is None:
        return compiled_library("pronas.deploy.packed", "libpronas.so")
    return Path(named) if Path(named).is_file() else None


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled core, or None where there is none (PRONAS_CORE set to nothing switches it off)."""
    path = _find()
    if path is None:
        return None
    try:
        core = ctypes.CDLL(str(path))
    except OSError:
        return None
    core.pn_kernels.restype = ctypes.POINTER(ctypes.c_char_p)
    core.pn_workspace_new.restype = _POINTER
    core.pn_workspace_new.argtypes = [_POINTER]
    core.pn_weight_bytes.restype = ctypes.c_size_t
    core.pn_tensor.restype = ctypes.c_int64
    core.pn_tensor.argtypes = [_POINTER, _POINTER, ctypes.c_uint32, _POINTER]
    core.pn_run.argtypes = [_POINTER, _POINTER, _POINTER, ctypes.c_size_t, _POINTER, _POINTER, _POINTER]
    core.pn_profile.argtypes = [_POINTER, _POINTER, _POINTER]
    for name in ("pn_free", "pn_workspace_free", "pn_classes", "pn_weight_bytes"):
        getattr(core, name).argtypes = [_POINTER]
    core.pn_free.restype = core.pn_workspace_free.restype = None
    return core


def kernels() -> list[str]:
    """Kernel sets that this processor runs, fastest first; empty without a compiled core."""
    core = library()
    if core is None:
        return []
    names = core.pn_kernels()
    found: list[str] = []
    while names[len(found)] is not None:
        found.append(names[len(found)].decode())
    return found


def _address(array: NDArray[Any]) -> int:
    """Where an array's data lies (quicker than ``array.ctypes.data``)."""
    place: int = array.__array_interface__["data"][0]
    return place


@final
class _Workspace:
    """A workspace, with places of known address for one image and its results: asking an array where it lies takes
    longer than copying a small image."""

    def __init__(self, core: ctypes.CDLL, network: ctypes.c_void_p, classes: int) -> None:
        space = core.pn_workspace_new(network)
        if not space:
            raise MemoryError("no memory for a packed network's workspace")
        self.space, self._free = int(space), core.pn_workspace_free
        self.image = np.empty((0,), np.uint8)
        results = np.zeros(2 * classes + 1, np.int32)
        self.integers, self.classes = results[:classes].reshape(1, classes), results[2 * classes :]
        self.logits = results[classes : 2 * classes].view(np.float32).reshape(1, classes)
        self._network, self._step, self._target = network, 4 * classes, _address(results)
        self.arguments: tuple[Any, ...] = ()

    def fit(self, shape: tuple[int, ...]) -> None:
        """Make the place for an image (1, C, H, W)."""
        self.image = np.empty(shape, np.uint8)
        places = (_address(self.image), 1, self._target, self._target + self._step, self._target + 2 * self._step)
        pointers = [ctypes.c_size_t(1) if place == 1 else _POINTER(place) for place in places]
        self.arguments = (self._network, _POINTER(self.space), *pointers)

    def __del__(self) -> None:
        if getattr(self, "space", None):
            self._free(self.space)


@final
class Native:
    """A packed network in the C core. Calls release Python's global lock.

    Args:
        data: a packed file's bytes; they are checked in full.
        name: how messages call it.
        kernel: a kernel set of `kernels`, or None for the best.
        small: keep one bit a weight in memory (a little slower: look-up tables are made on the way).

    Raises:
        ModelFileError: malformed bytes.
        UsageError: unknown kernel set.
    """

    def __init__(self, data: bytes, name: str, kernel: str | None = None, small: bool = False) -> None:
        core = library()
        assert core is not None, "there is no compiled core"
        known = kernels()
        if kernel is not None and kernel not in known:
            raise UsageError(f"the kernel set {kernel!r} does not run here: choose from {', '.join([*known, 'numpy'])}")
        self._core, self._network = core, _POINTER()
        message = ctypes.create_string_buffer(256)
        chosen = None if kernel is None else kernel.encode()
        code = core.pn_load(
            data, ctypes.c_size_t(len(data)), chosen, _SMALL if small else 0, ctypes.byref(self._network), message,
            ctypes.c_size_t(len(message)),
        )  # fmt: skip
        if code != 0:
            raise ModelFileError(f"{name}: {message.value.decode(errors='replace')}")
        self.name = kernel or known[0]
        self.classes: int = core.pn_classes(self._network)
        self._run = core.pn_run
        self._workspaces: list[_Workspace] = []
        self._workspaces.append(self._workspace())

    def _workspace(self) -> _Workspace:
        return _Workspace(self._core, self._network, self.classes)

    @property
    def weight_bytes(self) -> int:
        """Bytes that the weights take in memory."""
        return int(self._core.pn_weight_bytes(self._network))

    def run(
        self, images: NDArray[np.uint8], threads: int = 1
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        """Integer logits (n, classes), float logits (n, classes) and classes (n,) of uint8 images (n, C, H, W)."""
        count, k = len(images), self.classes
        if count == 1:
            return self._one(images)
        if not images.flags.c_contiguous:
            images = np.ascontiguousarray(images)
        results = np.empty(count * (2 * k + 1), np.int32)  # integers, then logits, then classes
        source, target = _address(images), _address(results)
        threads = max(1, min(threads, count))
        if threads == 1:
            self._part(source, target, count, 0, count)
        else:
            step = images[0].nbytes
            bounds = [count * i // threads for i in range(threads + 1)]
            with ThreadPoolExecutor(threads) as pool:
                jobs = [
                    pool.submit(self._part, source + step * first, target, count, first, last)
                    for first, last in itertools.pairwise(bounds)
                ]
            for job in jobs:
                job.result()
        logits = results[count * k : 2 * count * k].view(np.float32)
        return results[: count * k].reshape(count, k), logits.reshape(count, k), results[2 * count * k :]

    def _one(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        # list.pop and list.append are atomic: each call has a workspace to itself
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = self._workspace()
        if workspace.image.shape != image.shape:
            workspace.fit(image.shape)
        np.copyto(workspace.image, image)
        self._run(*workspace.arguments)
        results = workspace.integers.copy(), workspace.logits.copy(), workspace.classes.copy()
        self._workspaces.append(workspace)
        return results

    def _part(self, source: int, target: int, count: int, first: int, last: int) -> None:
        """Images [first, last) of ``count``: pixels from ``source``, results to their places behind ``target``."""
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = self._workspace()
        row, block = 4 * self.classes, 4 * self.classes * count
        integers = target + first * row
        self._run(
            self._network,
            workspace.space,
            source,
            last - first,
            integers,
            integers + block,
            target + 2 * block + 4 * first,
        )
        self._workspaces.append(workspace)

    def maps(self, images: NDArray[np.uint8], shapes: list[tuple[int, int, int]]) -> list[NDArray[np.uint8]]:
        """Every map, (n, C, H, W): bits as 0 and 1, images as pixels."""
        maps = [np.empty((len(images), *shape), np.uint8) for shape in shapes]
        for i in range(len(images)):
            space = self._workspaces[-1].space
            image = np.ascontiguousarray(images[i])
            self._core.pn_run(self._network, space, image.ctypes.data, 1, None, None, None)
            for index, target in enumerate(maps):
                self._core.pn_tensor(self._network, space, index, target[i].ctypes.data)
        return maps

    def profile(self) -> NDArray[np.uint64]:
        """Nanoseconds spent in each operation in calls of one thread; counting begins with the first call of this."""
        space = self._workspaces[-1].space
        count = self._core.pn_profile(self._network, space, None)
        times = np.zeros(count, np.uint64)
        self._core.pn_profile(self._network, space, times.ctypes.data)
        return times

    def __del__(self) -> None:
        getattr(self, "_workspaces", []).clear()  # workspaces before their network
        if getattr(self, "_network", None):
            self._core.pn_free(self._network)
