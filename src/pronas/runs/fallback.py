"""Never worse than its child: what a finalist learnt in its trial is kept until the winner has shown to know more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from pronas.data import Dataset
from pronas.files import write_atomic
from pronas.metrics import standard_error
from pronas.training import TrainedNetwork, evaluate

__all__ = ["FALLBACK", "Fallback", "keep_fallback"]

#: Where a run keeps them.
FALLBACK = Path("weights") / "finalist.safetensors"


def keep_fallback(folder: Path, weights: bytes) -> None:
    """Keep the best finalist's weights (content of a safetensors file) in a run folder, in place of the last."""
    (folder / FALLBACK).parent.mkdir(exist_ok=True)
    write_atomic(folder / FALLBACK, weights)


@dataclass(frozen=True)
class Fallback:
    """What the winner's cell had learnt in its trial.

    Attributes:
        accuracy: of validation images that it had not seen.
        weights: by name.
    """

    accuracy: float
    weights: Mapping[str, Tensor]

    @classmethod
    def read(cls, folder: Path, accuracy: float) -> Self | None:
        """Read what `keep_fallback` wrote; None where there is nothing, or nothing that can be read."""
        try:
            return cls(accuracy, load((folder / FALLBACK).read_bytes()))
        except (OSError, SafetensorError):
            return None

    def better(self, trained: TrainedNetwork, dataset: Dataset) -> tuple[TrainedNetwork, dict[str, Any]]:
        """Return the network to ship, and what to tell of it.

        The winner learnt from the validation images, so it should know them better than its child, which did not. One
        that knows them worse, by more than a standard error, is worse on any images.
        """
        learnt = evaluate(trained.network, dataset.validation).accuracy
        found = {"trial_accuracy": self.accuracy, "learnt_accuracy": learnt, "kept": "winner"}
        doubt = standard_error(self.accuracy, len(dataset.validation))
        if learnt >= self.accuracy - doubt or not self._fits(trained):
            return trained, found
        network = trained.spec.build()
        network.load_state_dict(dict(self.weights))
        kept = replace(trained, network=network.eval(), best_epoch=0, validation_accuracy=self.accuracy)
        return kept, found | {"kept": "child"}

    def _fits(self, trained: TrainedNetwork) -> bool:
        own = trained.network.state_dict()
        return {name: value.shape for name, value in own.items()} == {n: v.shape for n, v in self.weights.items()}
