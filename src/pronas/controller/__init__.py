"""Predictors of a cell's reward, fitting, streaming top-K scoring, and the controller that proposes cells."""

from pronas.controller._acquire import ACQUISITIONS
from pronas.controller._base import Observed, Predictor
from pronas.controller._manager import ControllerManager
from pronas.controller._metrics import FitReport, Ranking, ranking
from pronas.controller._options import OBJECTIVES, check_objectives
from pronas.controller._pareto import non_dominated, select_front
from pronas.controller._predictors import PREDICTORS, load_predictor, make_predictor, save_predictor
from pronas.controller._score import Best, TopK
from pronas.controller._scoring import Estimate, LevelScorer, Request
from pronas.controller._strategies import STRATEGIES
from pronas.controller._validate import cross_validate

__all__ = [
    "ACQUISITIONS",
    "OBJECTIVES",
    "PREDICTORS",
    "STRATEGIES",
    "Best",
    "ControllerManager",
    "Estimate",
    "FitReport",
    "LevelScorer",
    "Observed",
    "Predictor",
    "Ranking",
    "Request",
    "TopK",
    "check_objectives",
    "cross_validate",
    "load_predictor",
    "make_predictor",
    "non_dominated",
    "ranking",
    "save_predictor",
    "select_front",
]
