"""What became of a child: plain data, as it crosses processes and is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pronas.space import Cell


@dataclass(frozen=True)
class ChildResult:
    """A child that was trained, or why it was not.

    Attributes:
        cell: the cell that was asked for.
        status: ``done`` or ``failed``.
        reward: validation accuracy (0 to 1) with the best epoch's weights; 0 for a failed child.
        error: one line, if it failed.
        seconds: wall time on its worker.
        epochs: epochs finished.
        images: images it learnt from, each as often as it was seen.
        metrics: curves, one number an epoch: ``loss``, ``accuracy``, ``rate``, ``validation_loss``,
            ``validation_accuracy``, and of another metric of the recipe ``validation_balanced_accuracy`` or
            ``validation_macro_f1``.
        parameters: trained numbers of the network.
        macs: multiply-accumulates of one image in full precision.
        binary_macs: multiply-accumulates of one image between ±1.
        weight_bits: size of the weights as deployed, in bits.
        activation_bytes: most memory that activations of one image hold at a time.
        worker: where it was trained.
        attempts: how often it was tried (more than once when a worker died).
        machine: processor and kernels (or the GPU) that trained it: on others the last bits are others.
        weights: its best epoch's weights, as the content of a safetensors file, if they were asked for.
    """

    cell: Cell
    status: Literal["done", "failed"]
    reward: float
    error: str | None = None
    seconds: float = 0.0
    epochs: int = 0
    images: int = 0
    metrics: dict[str, list[float]] = field(default_factory=dict)
    parameters: int = 0
    macs: int = 0
    binary_macs: int = 0
    weight_bits: int = 0
    activation_bytes: int = 0
    worker: str = ""
    attempts: int = 1
    machine: str = ""
    weights: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ChildProgress:
    """One epoch of a child in training.

    Attributes:
        cell: the child's.
        epoch: the number of those that are over.
        epochs: of the whole training.
        accuracy: 0 to 1, on the validation images: accuracy, or the recipe's metric.
        loss: mean over the steps of the epoch.
        worker: where it trains.
    """

    cell: Cell
    epoch: int
    epochs: int
    accuracy: float
    loss: float
    worker: str
