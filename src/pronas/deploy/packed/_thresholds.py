"""Batch norm and sign as integer thresholds, exactly.

A closed form (solve gamma (z - mean) / sqrt(var + eps) + beta >= 0 for z) rounds differently from the float operations
that it stands for, and flips bits where a mean lands on an integer. So the real layers are run on every integer that
can reach them, channel by channel; the signs must be monotone in z, and where they change is the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pronas.deploy.packed._graph import Logits
from pronas.errors import UsageError

_CHUNK = 1 << 22  # elements evaluated at once


def after(z: Tensor, scale: Tensor | None, layers: list[nn.Module]) -> Tensor:
    """What the layers make of integers ``z`` (rows, channels), evaluated as on maps (rows, channels, 1, 1)."""
    flat = any(isinstance(layer, nn.BatchNorm1d) for layer in layers)
    x = z.contiguous() if flat else z.contiguous()[:, :, None, None]
    if scale is not None:
        x = x * (scale if flat else scale[:, None, None])
    for layer in layers:
        x = layer(x)
    return x.reshape(z.shape)


@torch.no_grad()
def thresholds(
    limit: int, channels: int, scale: Tensor | None, layers: list[nn.Module], where: str
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Thresholds of ±1 outputs as a function of the integers -limit … limit.

    Args:
        limit: the largest \\|z\\| that can occur.
        channels: how many.
        scale: XNOR scale of each channel, or None.
        layers: what follows the sum, the sign included, in evaluation mode.
        where: how messages call the place.

    Returns:
        (t, turned): channel c is +1 where z >= t[c], or, where turned[c], where -z >= t[c].

    Raises:
        UsageError: the layers' outputs are not ±1, or not monotone in z.
    """
    found, turned = np.empty(channels, np.int32), np.empty(channels, np.bool_)
    z = torch.arange(-limit, limit + 1, dtype=torch.float32)
    rows = max(1, _CHUNK // channels)
    positive = np.concatenate(
        [_positive(part[:, None].expand(-1, channels), scale, layers, where) for part in torch.split(z, rows)]
    )
    rises = (positive[1:] > positive[:-1]).any(0)
    falls = (positive[1:] < positive[:-1]).any(0)
    if (rises & falls).any():
        raise UsageError(f"{where}: the sign of channel {int(np.argmax(rises & falls))} is not monotone in its sum")
    count = positive.sum(0, dtype=np.int64)
    turned[:] = falls
    found[:] = limit + 1 - count  # the last `count` integers are positive, counted from the end where they rise
    return found, turned


def _positive(z: Tensor, scale: Tensor | None, layers: list[nn.Module], where: str) -> NDArray[np.bool_]:
    values = after(z, scale, layers)
    if not bool((values.abs() == 1).all()):
        raise UsageError(f"{where}: its outputs are not -1 and +1, so it cannot be packed")
    return (values > 0).numpy()


@torch.no_grad()
def logit_form(inputs: int, classes: int, scale: Tensor | None, layers: list[nn.Module]) -> Logits:
    """The float operations that give PyTorch's logits bit for bit on every reachable integer; at worst a table.

    Args:
        inputs: of the last dense layer: z is one of -inputs, -inputs + 2, …, inputs.
        classes: how many.
        scale: XNOR scale of each class, or None.
        layers: what follows the sums, in evaluation mode.
    """
    z = torch.arange(-inputs, inputs + 1, 2, dtype=torch.float32)[:, None].expand(-1, classes)
    table = after(z, scale, layers).numpy().astype(np.float32)
    integers, factors = z.numpy().astype(np.int32), None if scale is None else scale.numpy().astype(np.float32)
    chosen: dict[int, NDArray[np.float32]] = {}  # for each form the first candidate that fits, class by class
    fits = {form: np.zeros(classes, np.bool_) for form in (0, 1)}
    for a, b in _affine(layers, classes):
        for form, done in fits.items():
            values = np.stack([a, b] if factors is None else [factors, a, b], 1)
            good = (Logits(form + 3 * (factors is not None), values)(integers) == table).all(0) & ~done
            chosen.setdefault(form, values.copy())[good] = values[good]
            done |= good
            if done.all():
                return Logits(form + 3 * (factors is not None), chosen[form])
    return Logits(2, np.ascontiguousarray(table.T))


def _affine(layers: list[nn.Module], classes: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Candidates of a and b in a z + b: what batch norm comes down to, with every way its last bits may round."""
    if not layers:
        yield np.ones(classes, np.float32), np.zeros(classes, np.float32)
    norm = layers[0] if len(layers) == 1 else None
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_var is None or norm.running_mean is None:
        return
    mean, variance = norm.running_mean.double().numpy(), norm.running_var
    gamma = 1.0 if norm.weight is None else norm.weight.detach().numpy()
    beta = np.zeros(classes) if norm.bias is None else norm.bias.detach().double().numpy()
    middle = (1 / torch.sqrt(variance + norm.eps)).numpy() * gamma
    for a in _neighbours(middle.astype(np.float32)):
        for b in _neighbours((beta - mean * a.astype(np.float64)).astype(np.float32)):
            yield a, b


def _neighbours(x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf))]
