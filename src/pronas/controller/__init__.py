"""Which cells to train next: ask and tell, strategies, acquisition, and the history of what was measured."""

from pronas.controller._acquisition import ACQUISITIONS, log_expected_improvement
from pronas.controller._batch import BATCHES, choose_batch
from pronas.controller._fit_report import FitReport
from pronas.controller._manager import ControllerManager
from pronas.controller._options import OBJECTIVES, check_objectives
from pronas.controller._pareto import non_dominated, select_front
from pronas.controller._strategies import POPULATION, STRATEGIES

__all__ = [
    "ACQUISITIONS",
    "BATCHES",
    "OBJECTIVES",
    "POPULATION",
    "STRATEGIES",
    "ControllerManager",
    "FitReport",
    "check_objectives",
    "choose_batch",
    "log_expected_improvement",
    "non_dominated",
    "select_front",
]
