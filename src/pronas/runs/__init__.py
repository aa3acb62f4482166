"""A search as a run folder: settings, the progressive loop, the store, ``Experiment``."""

from __future__ import annotations

from pronas.runs._api import load_images, search
from pronas.runs._config import Config
from pronas.runs._experiment import Experiment
from pronas.runs._level_scorer import Estimate, LevelScorer, Request
from pronas.runs._settings import Settings
from pronas.runs._store import Child
from pronas.runs._train import Plan, plan_training, train_planned

__all__ = [
    "Child",
    "Config",
    "Estimate",
    "Experiment",
    "LevelScorer",
    "Plan",
    "Request",
    "Settings",
    "load_images",
    "plan_training",
    "search",
    "train_planned",
]
