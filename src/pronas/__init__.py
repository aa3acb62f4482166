"""Progressive neural architecture search that ends in a network you can ship.

The public names below are imported when first used, so that ``import pronas`` stays light (no torch).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from pronas.controller import ControllerManager
    from pronas.data import Augmentation, Dataset, Split, augmentation, load_dataset
    from pronas.deploy import export, load_packed
    from pronas.networks import describe, operator, register_quantizer, register_skeleton, skeleton
    from pronas.runs import Experiment, baseline, plan, search
    from pronas.sharing import from_pretrained
    from pronas.space import Block, Cell, StateSpace
    from pronas.training import (
        NetworkManager,
        Recipe,
        load_model,
        recipe,
        register_loss,
        register_optimizer,
        register_schedule,
        save_model,
        train_network,
    )

__all__ = [
    "Augmentation",
    "Block",
    "Cell",
    "ControllerManager",
    "Dataset",
    "Experiment",
    "NetworkManager",
    "Recipe",
    "Split",
    "StateSpace",
    "augmentation",
    "baseline",
    "describe",
    "export",
    "from_pretrained",
    "load_dataset",
    "load_model",
    "load_packed",
    "operator",
    "plan",
    "recipe",
    "register_loss",
    "register_optimizer",
    "register_quantizer",
    "register_schedule",
    "register_skeleton",
    "save_model",
    "search",
    "skeleton",
    "train_network",
]

_HOMES = {
    "ControllerManager": "controller",
    "Augmentation": "data",
    "Dataset": "data",
    "Split": "data",
    "augmentation": "data",
    "load_dataset": "data",
    "export": "deploy",
    "load_packed": "deploy",
    "describe": "networks",
    "operator": "networks",
    "register_quantizer": "networks",
    "register_skeleton": "networks",
    "skeleton": "networks",
    "Experiment": "runs",
    "baseline": "runs",
    "plan": "runs",
    "search": "runs",
    "from_pretrained": "sharing",
    "Block": "space",
    "Cell": "space",
    "StateSpace": "space",
    "NetworkManager": "training",
    "Recipe": "training",
    "load_model": "training",
    "recipe": "training",
    "register_loss": "training",
    "register_optimizer": "training",
    "register_schedule": "training",
    "save_model": "training",
    "train_network": "training",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("pronas.version").installed_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'pronas' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pronas.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
