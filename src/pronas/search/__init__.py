"""The search: configuration, the progressive loop, the run folder, ``Experiment``.

``pronas.search`` is this package and can also be called: ``pronas.search("digits")`` calls its function ``search``.
"""

from __future__ import annotations

import sys
from types import ModuleType

from pronas.search._api import load_images, search
from pronas.search._config import Config
from pronas.search._experiment import Experiment
from pronas.search._settings import Settings
from pronas.search._store import Child
from pronas.search._train import Plan, plan_training, train_planned

__all__ = [
    "Child",
    "Config",
    "Experiment",
    "Plan",
    "Settings",
    "load_images",
    "plan_training",
    "search",
    "train_planned",
]


class _CallableModule(ModuleType):
    """A module that is also the function ``search``: the package and the call share the name that reads best."""

    __call__ = staticmethod(search)


sys.modules[__name__].__class__ = _CallableModule
