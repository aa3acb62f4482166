"""What a budget of time becomes: lengths of time, plans, sizes of networks, who is trained to the end."""

from pronas.runs._config import LimitConfig
from pronas.runs._constraints import Constraints
from pronas.runs._duration import problem_with, seconds_of, spelled
from pronas.runs._halving import STOPPED, estimate, promoted, rungs
from pronas.runs._image_size import affordable_pixels
from pronas.runs._pace import slowing, until
from pronas.runs._plan import Plan, epochs_of, make_plan
from pronas.runs._signal import is_luck, signal
from pronas.runs._sizing import WIDTHS, Sizer, training_cost
from pronas.runs._trials import best_shape

__all__ = [
    "STOPPED",
    "WIDTHS",
    "Constraints",
    "LimitConfig",
    "Plan",
    "Sizer",
    "affordable_pixels",
    "best_shape",
    "epochs_of",
    "estimate",
    "is_luck",
    "make_plan",
    "problem_with",
    "promoted",
    "rungs",
    "seconds_of",
    "signal",
    "slowing",
    "spelled",
    "training_cost",
    "until",
]
