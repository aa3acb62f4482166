"""A search as a run folder: settings, the progressive loop, the store, ``Experiment``.

The names below are imported when first used, so that the command line can ask for `SETTINGS` without waiting for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pronas.runs._api import search
    from pronas.runs._comparison import Comparison
    from pronas.runs._config import SETTINGS, Config
    from pronas.runs._experiment import Experiment
    from pronas.runs._forecast import Forecast, plan
    from pronas.runs._images import stored_dataset
    from pronas.runs._level_scorer import Estimate, LevelScorer, Request
    from pronas.runs._preset import PRESETS, preset
    from pronas.runs._setting import Setting
    from pronas.runs._signature import default_of
    from pronas.runs._template import template
    from pronas.runs._train import train
    from pronas.runs.baselines import baseline
    from pronas.runs.store import Child

__all__ = [
    "PRESETS",
    "SETTINGS",
    "Child",
    "Comparison",
    "Config",
    "Estimate",
    "Experiment",
    "Forecast",
    "LevelScorer",
    "Request",
    "Setting",
    "baseline",
    "default_of",
    "plan",
    "preset",
    "search",
    "stored_dataset",
    "template",
    "train",
]

_HOMES = {
    "PRESETS": "_preset",
    "SETTINGS": "_config",
    "Child": "store",
    "Comparison": "_comparison",
    "Config": "_config",
    "Estimate": "_level_scorer",
    "Experiment": "_experiment",
    "Forecast": "_forecast",
    "LevelScorer": "_level_scorer",
    "Request": "_level_scorer",
    "Setting": "_setting",
    "baseline": "baselines",
    "default_of": "_signature",
    "plan": "_forecast",
    "preset": "_preset",
    "search": "_api",
    "stored_dataset": "_images",
    "template": "_template",
    "train": "_train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pronas.runs' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pronas.runs.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
