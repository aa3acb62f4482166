"""The compiled training kernels (csrc/), through ctypes; there may be none, and then PyTorch does the work.

They serve training on a processor only: what is evaluated or exported runs on PyTorch's own operators. Each call runs
in the calling thread and sums in one order, so results are the same to the bit whatever the number of threads.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pronas.machine import compiled_library

#: Pixels of a map with its border that the kernels' buffers hold: beyond it PyTorch does the work.
_LARGEST = 8192
#: Kernel sizes of windows (square) that were compiled.
KERNELS = (3, 5, 7)
#: What follows a batch norm.
NOTHING, RELU, SIGN = 0, 1, 2

__all__ = ["NOTHING", "lanes", "library", "load_variant"]

_SIGNATURES = {  # pointers, then whole numbers, in the order of the arguments
    "pronas_level": "",
    "pronas_lanes": "",
    "pronas_convolution": "p" * 9 + "w" * 12 + "dd",
    "pronas_convolution_backward": "pww" + "p" * 10 + "w" * 12,
    "pronas_depthwise": "pwppp" + "w" * 6,
    "pronas_depthwise_backward": "ppwpppp" + "w" * 7,
    "pronas_max_pool": "ppp" + "w" * 6,
    "pronas_max_pool_backward": "pwwpp" + "w" * 7,
    "pronas_average_pool": "pp" + "w" * 7,
    "pronas_average_pool_backward": "pwwp" + "w" * 8,
    "pronas_scale": "pppp" + "www",
    "pronas_norm": "ppppppp" + "wwww" + "dd",
    "pronas_norm_backward": "p" + "wwww" + "ppppppp" + "ww",
    "pronas_norm_16": "ppppppp" + "wwww" + "dd",
    "pronas_norm_backward_16": "p" + "wwww" + "ppppppp" + "ww",
}
Argument = Tensor | float | Sequence[Tensor] | Sequence[int] | None
_observers = threading.local()
_TYPES = {"p": ctypes.c_void_p, "w": ctypes.c_int64, "d": ctypes.c_double}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, in the newest variant that this processor can run; or None."""
    plain = load_variant("")
    best = 0 if plain is None else plain.pronas_level()
    newer = (load_variant(f"_v{level}") for level in range(best, 0, -1))
    return next((found for found in newer if found is not None), plain)


def variant() -> str:
    """Which kernels train here: "kernels v0" (any processor) to "v5", or "PyTorch" where there are none.

    Returns:
        The name, as it stands in logs and stores.
    """
    found = library()
    if found is None:
        return "PyTorch"
    loaded = next((level for level in range(9, 0, -1) if f"_v{level}.so" in found._name), 0)
    return f"kernels v{loaded}"


def load_variant(suffix: str) -> ctypes.CDLL | None:
    """The kernels compiled for a generation of processors ("": any), or None where there are none."""
    path = compiled_library("pronas.kernels", f"libpronas_children{suffix}.so")
    if path is None:
        return None
    try:
        core = ctypes.CDLL(str(path))
        for name, signature in _SIGNATURES.items():
            getattr(core, name).argtypes = [_TYPES[letter] for letter in signature]
    except (OSError, AttributeError):
        return None
    return core


def usable(maps: Tensor, padding: int = 0, kind: torch.dtype = torch.float32) -> bool:
    """Whether the kernels can read these maps.

    There are kernels, gradients are wanted, and the maps (n, c, h, w) are of numbers of this kind, channels last, on a
    processor, and small enough with ``padding`` pixels on every side.
    """
    return (
        type(maps) in (Tensor, nn.Parameter)
        and maps.dtype is kind
        and maps.is_cpu
        and maps.dim() == 4
        and maps.numel() > 0
        and torch.is_grad_enabled()
        and maps.is_contiguous(memory_format=torch.channels_last)
        and (maps.shape[2] + 2 * padding) * (maps.shape[3] + 2 * padding) <= _LARGEST
        and library() is not None
    )


def scaled(images: Tensor, gain: Tensor, offset: Tensor) -> Tensor | None:
    """``gain * images + offset`` for each channel of uint8 images (n, c, h, w), float32, channels last.

    None where there is no kernel for them.
    """
    fits = images.dtype is torch.uint8 and images.is_cpu and type(images) is Tensor and images.is_contiguous()
    if not fits or library() is None:
        return None
    n, c, h, w = images.shape
    result = torch.empty(images.shape, memory_format=torch.channels_last)
    call("pronas_scale", images, gain, offset, result, n, h * w, c)
    return result


def call(name: str, *arguments: Argument) -> None:
    """Call a kernel: tensors by their address, sequences of them as arrays of addresses, None as no address.

    Raises:
        MemoryError: there was no memory for its buffers.
    """
    observer = getattr(_observers, "present", None)
    if observer is not None:
        observer(name, arguments)
    invoke(name, getattr(library(), name), [_plain(one) for one in arguments])


def invoke(name: str, kernel: Callable[..., int], plain: list[Any]) -> None:
    """Call a kernel of the library, all arguments being what ctypes takes.

    Raises:
        MemoryError: there was no memory for its buffers.
    """
    if kernel(*plain):
        raise MemoryError(f"no memory for the buffers of {name}")


def _plain(argument: Argument) -> Any:
    if isinstance(argument, Tensor):
        return argument.data_ptr()
    return array_of(argument) if isinstance(argument, Sequence) else argument


def array_of(values: Sequence[Tensor] | Sequence[int]) -> ctypes.Array[Any]:
    """An array of numbers, or of where tensors lie: keep them alive as long as it is used."""
    tensors = [one for one in values if isinstance(one, Tensor)]
    if tensors:
        return (ctypes.c_void_p * len(tensors))(*(one.data_ptr() for one in tensors))
    return (ctypes.c_int64 * len(values))(*(int(one) for one in values))


@contextmanager
def observed(observer: Callable[[str, tuple[Argument, ...]], None]) -> Iterator[None]:
    """Have this thread's calls told to ``observer``, with the kernel's name and the arguments, before they are made."""
    _observers.present = observer
    try:
        yield
    finally:
        _observers.present = None


def lanes() -> int:
    """How many floats a vector of the kernels holds; there must be kernels."""
    core = library()
    assert core is not None
    return int(core.pronas_lanes())


def units(n: int, c: int) -> int:
    """Lanes of all units that window kernels make of a pixel of n images of c channels (csrc/simd.h)."""
    width = lanes()
    return width * (n * -(-c // width) if c >= width else -(-n // (width // c)))


def channels_last(maps: Tensor) -> Tensor:
    """The same maps laid out channels last."""
    return maps.contiguous(memory_format=torch.channels_last)


def empty_maps(like: Tensor, stride: int = 1) -> Tensor:
    """Room for maps ``stride`` times smaller, channels last."""
    n, c, h, w = like.shape
    shape = (n, c, -(-h // stride), -(-w // stride))
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def spaced(maps: Tensor) -> tuple[Tensor, int, int]:
    """Maps whose channels stand together and whose pixels are evenly spaced.

    Slices of channels need no copy, nor do expanded maps.

    Returns:
        The maps, and the distances in floats from one image and from one pixel to the next (0: they share values).
    """
    _, c, h, w = maps.shape
    image, channel, row, column = maps.stride()
    pixel = column if w > 1 else row
    if (channel == 1 or c == 1) and (h == 1 or w == 1 or row == w * column):
        return maps, image, pixel
    return channels_last(maps), c * h * w, c
