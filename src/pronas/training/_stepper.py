"""One optimizer step after another: rates by the schedule, gradients clipped, latent binary weights kept in bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from pronas.kernels import Accelerated, accelerate
from pronas.networks import Network
from pronas.training._optimizers import make_optimizer
from pronas.training._recipe import Recipe
from pronas.training._schedules import rate_at


@final
class Stepper:
    """Takes the optimizer's steps, in our training loop or in one of your own; the schedule begins with the stepper.

    What a step does: rates by the recipe's schedule and each layer's own multiplier, gradients clipped, the optimizer's
    step, latent weights clipped to their bounds, gradients dropped.

        >>> import torch
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> from pronas.training import Recipe
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> stepper = Stepper(network, Recipe(optimizer="sgd", learning_rate=0.1, schedule="linear"), steps=10)
        >>> for _ in range(5):
        ...     images, labels = torch.randint(0, 256, (8, 1, 8, 8)), torch.arange(8) % 2
        ...     torch.nn.functional.cross_entropy(network(images.float()), labels).backward()
        ...     stepper.step()
        >>> stepper.progress, round(stepper.rate, 3)
        (0.5, 0.06)

    Args:
        network: whose parameters are changed.
        recipe: how: ``optimizer``, ``learning_rate``, ``momentum``, ``beta2``, ``epsilon``, ``amsgrad``,
            ``weight_decay``, ``schedule``, ``warmup``, ``final`` and ``clip_norm`` count.
        steps: steps of the whole training, over which the schedule is stretched.
        accelerated: how a step is computed; None: in plain PyTorch, and the network's drop path follows the steps.
    """

    def __init__(self, network: Network, recipe: Recipe, steps: int, accelerated: Accelerated | None = None) -> None:
        self._drops = accelerated is None
        accelerated = accelerated or accelerate(network, steps=steps, kernels="off")
        self._network, self._recipe, self._accelerated = network, recipe, accelerated
        self._steps: float = steps
        groups = [
            {
                "params": group["params"],
                "multiplier": group["lr_multiplier"],
                "weight_decay": recipe.weight_decay if group["decay"] else 0.0,
            }
            for group in network.parameter_groups()
        ]
        self._optimizer = make_optimizer(recipe, groups)
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self._latent = any(group["latent"] for group in network.parameter_groups())
        self._rates_in_tensors = accelerated.captures_update  # which are read anew when the update is repeated
        for group in self._optimizer.param_groups if self._rates_in_tensors else ():
            group["lr"] = torch.zeros((), dtype=torch.float64)
        self._done: float = 0

    @property
    def rate(self) -> float:
        """The learning rate of the last step taken (before a layer's multiplier)."""
        return rate_at(self._recipe, max(0, self._done - 1), self._steps)

    @property
    def progress(self) -> float:
        """Share of the schedule that is done, 0 to 1."""
        return self._done / self._steps

    @property
    def schedule(self) -> list[float]:
        """Steps done and steps in all, as the schedule counts them; may be set, to go on elsewhere."""
        return [self._done, self._steps]

    @schedule.setter
    def schedule(self, value: Sequence[float]) -> None:
        self._done, self._steps = value

    def reschedule(self, left: int) -> None:
        """Have ``left`` more steps cover what is left of the schedule."""
        if self._done < self._steps:
            self._steps = left * self._steps / (self._steps - self._done)
            self._done = self._steps - left

    def step(self) -> None:
        """Change the parameters by their gradients, and drop the gradients."""
        rate = rate_at(self._recipe, self._done, self._steps)
        for group in self._optimizer.param_groups:
            own = rate * group["multiplier"]
            group["lr"] = group["lr"].fill_(own) if self._rates_in_tensors else own
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        moved = (parameter.grad is not None for parameter in self._parameters)
        self._accelerated.update(self._change, gradients, self._state, *moved)
        for parameter in self._parameters:
            parameter.grad = None
        self._done += 1
        if self._drops:
            self._network.drop_path_progress = self.progress

    def _change(self) -> list[Tensor]:
        if self._recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.clip_norm, foreach=True)
        self._optimizer.step()
        if self._latent:
            self._network.clip_latent_weights_()
        return []

    def _state(self) -> list[Tensor]:
        """What a step reads and changes, but for the gradients."""
        moments = [value for state in self._optimizer.state.values() for value in state.values()]
        rates = [group["lr"] for group in self._optimizer.param_groups]
        return [*self._parameters, *rates, *(value for value in moments if isinstance(value, Tensor))]

    def state(self) -> dict[str, Tensor]:
        """Give the moments and the number of steps done, by name."""
        state = {"done": torch.tensor(round(self._done))}
        for number, parameter in enumerate(self._parameters):
            for name, value in self._optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    state[f"{number}.{name}"] = value
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` gave."""
        self._done = int(state["done"])
        for key, value in state.items():
            number, _, name = key.partition(".")
            if name:
                parameter = self._parameters[int(number)]
                self._optimizer.state[parameter][name] = _laid_out_like(parameter, value)
        self._accelerated.forget_update()


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Copy a moment into the parameter's memory format, which the fused step expects; counters stay as they are."""
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
