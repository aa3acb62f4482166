"""Packed networks: loading a file and classifying images with it. Needs NumPy alone."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.deploy.packed._core import Native, kernels, library
from pronas.deploy.packed._format import MAGIC, read_info, unpack
from pronas.deploy.packed._graph import Graph
from pronas.deploy.packed._reference import Reference
from pronas.errors import ModelFileError, UsageError


@final
class PackedNetwork:
    """A binary network of one bit a weight, run in exact integers; make one with `load_packed`.

    Attributes:
        name: what messages call it.
        info: what the file says of it: ``classes``, ``cell``, ``parameters``.
        input_shape: (C, H, W) of an image.
        kernel: the kernel set that runs it: ``avx512``, ``avx2``, ``neon``, ``portable`` or ``numpy``.
        n_threads: how many threads share a batch.
    """

    def __init__(
        self, data: bytes, name: str, *, kernel: str | None = None, n_threads: int = 1, memory: str = "fast"
    ) -> None:
        if memory not in ("fast", "small"):
            raise UsageError(f"memory is {memory!r}: choose 'fast' or 'small'")
        if n_threads < 1:
            raise UsageError(f"n_threads is {n_threads}: give 1 or more")
        self.name, self.n_threads = name, n_threads
        self.info: dict[str, Any] = read_info(data, name)
        self.graph: Graph = unpack(data, name)
        self.size = len(data)
        self.input_shape = self.graph.input_shape
        self._runner = _runner(data, name, kernel, memory == "small", self.graph)
        self.kernel = self._runner.name

    @property
    def classes(self) -> list[str]:
        """Class names; their numbers where the file gives none."""
        names = self.info.get("classes", [])
        return list(names) if len(names) == self.graph.classes else [str(i) for i in range(self.graph.classes)]

    @property
    def weight_bytes(self) -> int:
        """Bytes that the weights take in memory."""
        if isinstance(self._runner, Native):
            return self._runner.weight_bytes
        return sum(op.weights.nbytes for op in self.graph.ops if op.weights is not None)

    def __call__(self, images: ArrayLike) -> NDArray[np.int64]:
        """Class numbers (n,) of uint8 images (n, C, H, W); the first of equal logits wins.

        Raises:
            UsageError: another type or shape.
        """
        return self._run(images)[2].astype(np.int64)

    def logits(self, images: ArrayLike) -> NDArray[np.float32]:
        """Logits (n, classes), equal to the PyTorch network's to the last bit."""
        return self._run(images)[1]

    def integers(self, images: ArrayLike) -> NDArray[np.int32]:
        """The last layer's sums (n, classes), before they become float logits."""
        return self._run(images)[0]

    def maps(self, images: ArrayLike) -> list[NDArray[np.uint8]]:
        """Every map of the network, (n, C, H, W): the image, then bits as 0 and 1. For tests and for looking inside."""
        checked = self._checked(images)
        if isinstance(self._runner, Native):
            return self._runner.maps(checked, [m.shape for m in self.graph.maps])
        return self._runner.maps(checked)

    def _run(self, images: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        checked = self._checked(images)
        if isinstance(self._runner, Native):
            return self._runner.run(checked, self.n_threads)
        return self._runner.run(checked)

    def _checked(self, images: ArrayLike) -> NDArray[np.uint8]:
        array = np.asarray(images)
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1:] != self.input_shape:
            shape = ", ".join(map(str, self.input_shape))
            raise UsageError(
                f"{self.name} reads uint8 images of shape (n, {shape}); these are {array.dtype} of shape {array.shape}"
            )
        return array


def _runner(data: bytes, name: str, kernel: str | None, small: bool, graph: Graph) -> Native | Reference:
    if kernel == "numpy":
        return Reference(graph)
    if library() is not None:
        return Native(data, name, kernel, small)
    if kernel is not None:
        raise UsageError(f"there is no compiled core here, so the kernel set {kernel!r} cannot run: use 'numpy'")
    warnings.warn(
        "pronas was installed without its compiled core (no C compiler?): packed networks run in NumPy, "
        "a hundred times slower; install a wheel, or a C compiler and pronas again",
        RuntimeWarning,
        stacklevel=3,
    )
    return Reference(graph)


def load_packed(
    path: str | os.PathLike[str], *, kernel: str | None = None, n_threads: int = 1, memory: str = "fast"
) -> PackedNetwork:
    """Read a packed file that `export` wrote; everything in it is checked before use.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> from pronas.training import ModelSpec, save_model
        >>> binary = skeleton("binary", filters=(8,)).to_dict()
        >>> spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", binary, (1, 8, 8), ("even", "odd"))
        >>> path = save_model(spec.build(seed=1), pathlib.Path(tempfile.mkdtemp()) / "model", spec)
        >>> import numpy as np
        >>> from pronas.deploy import export
        >>> packed = load_packed(export(path, "packed"))
        >>> packed(np.zeros((3, 1, 8, 8), np.uint8)).shape, packed.classes
        ((3,), ['even', 'odd'])

    Args:
        path: the file.
        kernel: a kernel set of `available_kernels`, or None for the fastest this processor runs.
        n_threads: split each batch among so many threads.
        memory: "fast" keeps up to 256 KiB of look-up tables, "small" one bit a weight and no more.

    Returns:
        The network, ready to classify uint8 images (n, C, H, W).

    Raises:
        ModelFileError: no such file, or not a packed network, of another version, truncated, altered or malformed.
        UsageError: an unknown kernel set or option.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{file}: cannot be read ({error.strerror})") from error
    return PackedNetwork(data, str(file), kernel=kernel, n_threads=n_threads, memory=memory)


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins as a packed network does.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> from pronas.training import ModelSpec, save_model
        >>> binary = skeleton("binary", filters=(8,)).to_dict()
        >>> spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", binary, (1, 8, 8), ("even", "odd"))
        >>> path = save_model(spec.build(seed=1), pathlib.Path(tempfile.mkdtemp()) / "model", spec)
        >>> is_packed(path)
        False

    Args:
        path: of any file; what cannot be read is no packed network.

    Returns:
        True by the first eight bytes alone; `load_packed` checks the rest.
    """
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def available_kernels() -> list[str]:
    """Kernel sets that run here, fastest first; "numpy" is always among them.

        >>> "numpy" in available_kernels()
        True

    Returns:
        Names for `load_packed`: of ``avx512``, ``avx2``, ``neon``, ``portable`` and ``numpy`` those that run.
    """
    return [*kernels(), "numpy"]
