"""Scales and zero points of maps, from what they hold on training images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from pronas.deploy.integer._builder import tied_values
from pronas.deploy.integer._float import run_float
from pronas.deploy.integer._graph import FloatGraph
from pronas.deploy.integer.even_scales import addition_scale, mean_scale
from pronas.errors import UsageError

METHODS = ("mse", "percentile", "minmax")
ENOUGH = 32
"""Fewer calibration images than this are refused: ranges would be luck."""

_BATCH = 64
_KEPT = 4096  # values that each map gives a batch
_SHRINK = np.linspace(0.3, 1.0, 36)
_TAIL = 0.01  # per cent that "percentile" cuts off at each end


@final
@dataclass(frozen=True)
class Scale:
    """How int8 numbers stand for real ones: real = scale (q - zero) (Jacob et al. 2018, section 2.1).

    Attributes:
        scale: what one step is worth; exactly a float32.
        zero: the q, -128 to 127, that stands for 0.
    """

    scale: float
    zero: int

    @classmethod
    def covering(cls, low: float, high: float) -> Scale:
        """The scale that covers [low, high], which holds 0; 0 is exactly one of its values.

        A zero between others is odd: runtimes round halves to even numbers, which then is away from zero for those next
        to it, as in the integer network.
        """
        step = max((high - low) / 255, 1e-9)
        zero = int(np.clip(round(-128 - low / step), -128, 127))
        if -127 < zero < 126 and zero % 2 == 0:
            zero += 1 if high / (126 - zero) < -low / (zero + 127) else -1
            step = max(high / (127 - zero), -low / (zero + 128))
        return cls(float(np.float32(step)), zero)


PIXELS = Scale(1.0, -128)
"""Of the image: q = pixel - 128."""


def calibrate(graph: FloatGraph, images: NDArray[np.uint8], method: str = "mse") -> tuple[Scale, ...]:
    """One scale a value; values that must share one do (`tied_values`).

        >>> import numpy as np
        >>> from pronas.deploy.integer import calibrate, lower, quantize, run_integer
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> images = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)
        >>> integers = quantize(graph := lower(network), calibrate(graph, images))
        >>> len(integers.scales) == len(graph.nodes) + 1, integers.scales[0]  # the image's: q = pixel - 128
        (True, Scale(scale=1.0, zero=-128))

    Args:
        graph: the network in floats.
        images: training images, uint8 (n, C, H, W), n of 32 or more; 256 to 1,000 do.
        method: "mse" takes the range that makes the smallest squared error, "percentile" cuts 0.01 % off at each end,
            "minmax" takes all. Logits always keep all of theirs, or large ones would become equal.

    Returns:
        The image's scale, then one for each node's result.

    Raises:
        UsageError: fewer than 32 images, of another shape, or an unknown method.
    """
    if method not in METHODS:
        raise UsageError(f"no calibration is called {method!r} (choose from {', '.join(METHODS)})")
    if len(images) < ENOUGH:
        raise UsageError(f"{len(images)} calibration images are too few: give {ENOUGH} or more (256 do)")
    if images.shape[1:] != graph.input_shape:
        raise UsageError(f"calibration images of shape {images.shape[1:]}; the network reads {graph.input_shape}")
    groups = tied_values(graph)
    samples = _samples(graph, images, groups)
    last = groups[-1]
    found = {g: _scale(values, "minmax" if g == last else method) for g, values in samples.items()}
    for number, node in enumerate(graph.nodes, 1):
        group, sources = groups[number], [PIXELS if s == 0 else found[groups[s]] for s in node.sources]
        if node.kind == "add":
            found[group] = _at_least(found[group], 2.0**-18 * max(source.scale for source in sources))
            held = [_frequencies(samples.get(groups[s]), scale) for s, scale in zip(node.sources, sources, strict=True)]
            step = addition_scale(found[group].scale, [source.scale for source in sources], held)
            found[group] = replace(found[group], scale=step)
        elif node.kind == "mean" and groups.count(group) == 1:
            step = mean_scale(found[group].scale, sources[0].scale, math.prod(node.kernel))
            found[group] = replace(found[group], scale=step)
    return tuple(PIXELS if value == 0 else found[group] for value, group in enumerate(groups))


def _at_least(scale: Scale, least: float) -> Scale:
    """Runtimes refuse sums whose scale is far below what is added: of a map that is always zero it is free."""
    return scale if scale.scale >= least else Scale(float(np.float32(least)), scale.zero)


def _frequencies(values: NDArray[np.float32] | None, scale: Scale) -> NDArray[np.float64]:
    """How often a map is so many steps, -255 to 255, from its zero point; alike for all pixels (None: the image)."""
    if values is None:
        return np.where(np.arange(-255, 256) < 0, 0.0, 1 / 256)
    q = np.clip(np.rint(values / scale.scale), -128 - scale.zero, 127 - scale.zero).astype(np.int64)
    return np.bincount(q + 255, minlength=511) / len(q)


@torch.inference_mode()
def _samples(graph: FloatGraph, images: NDArray[np.uint8], groups: list[int]) -> dict[int, NDArray[np.float32]]:
    """For each group some of its values, the extremes always among them."""
    rng, found = np.random.default_rng(0), dict[int, list[NDArray[np.float32]]]()
    for start in range(0, len(images), _BATCH):
        values = run_float(graph, torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH])))
        for group, value in zip(groups[1:], values[1:], strict=True):
            flat = value.reshape(-1).numpy()
            some = flat if flat.size <= _KEPT else flat[rng.integers(0, flat.size, _KEPT)]
            found.setdefault(group, []).append(np.concatenate([some, [flat.min(), flat.max()]]).astype(np.float32))
    return {group: np.concatenate(parts) for group, parts in found.items()}


def _scale(values: NDArray[np.float32], method: str) -> Scale:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if method == "percentile":
        cut = np.percentile(values, [_TAIL, 100 - _TAIL])
        low, high = min(float(cut[0]), 0.0), max(float(cut[1]), 0.0)
    if method == "mse":
        errors = [_error(values, Scale.covering(low * f, high * f)) for f in _SHRINK]
        best = float(_SHRINK[int(np.argmin(errors))])
        low, high = low * best, high * best
    return Scale.covering(low, high)


def _error(values: NDArray[np.float32], scale: Scale) -> float:
    q = np.clip(np.rint(values / scale.scale) + scale.zero, -128, 127)
    return float(np.mean(((q - scale.zero) * scale.scale - values) ** 2))
