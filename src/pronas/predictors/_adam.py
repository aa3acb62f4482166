"""Adam over all parameters as one flat vector.

PyTorch's own is as good, but the first one in a process imports a compiler: 1.2 seconds and 90 MB, more than fitting.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pronas.predictors import native

#: Kingma & Ba (arXiv 1412.6980), their defaults.
DECAY, SQUARED_DECAY, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam for float32 parameters, which become leaves that need gradients, in place in the dictionary.

    Their values and gradients are views of two flat vectors, so a step is a few operations however many there are.
    """

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.values = torch.cat([parameter.reshape(-1) for parameter in parameters.values()])
        self.gradient, self.first, self.second = (torch.zeros_like(self.values) for _ in range(3))
        self.steps = 0
        place = 0
        for name, parameter in parameters.items():
            part = slice(place, place := place + parameter.numel())
            leaf = self.values[part].view(parameter.shape).detach().requires_grad_(True)
            leaf.grad = self.gradient[part].view(parameter.shape)
            parameters[name] = leaf

    def step(self, loss: Tensor, rate: float, l2: float = 0.0) -> None:
        """Go one step down ``loss`` + ``l2`` · Σ p²."""
        loss.backward()  # type: ignore[no-untyped-call]
        self.steps += 1
        with torch.no_grad():
            if l2:
                self.gradient.add_(self.values, alpha=2 * l2)
            self._update(rate / (1 - DECAY**self.steps), 1 / math.sqrt(1 - SQUARED_DECAY**self.steps))

    def _update(self, rate: float, root: float) -> None:
        """Move; the gradient becomes zero."""
        if native.library() is not None:
            vectors = [vector.numpy() for vector in (self.values, self.gradient, self.first, self.second)]
            native.adam(vectors, (DECAY, SQUARED_DECAY), rate, root, EPSILON)
            return
        self.first.lerp_(self.gradient, 1 - DECAY)
        self.second.mul_(SQUARED_DECAY).addcmul_(self.gradient, self.gradient, value=1 - SQUARED_DECAY)
        self.values.addcdiv_(self.first, self.second.sqrt().mul_(root).add_(EPSILON), value=-rate)
        self.gradient.zero_()
