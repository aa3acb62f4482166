"""Where children are trained: in this process, in local worker processes, on Ray. It does not know what is trained."""

from pronas.execution._base import ATTEMPTS, Executor, Job, Outcome, Progress
from pronas.execution._make import EXECUTORS, check_executor, make_executor
from pronas.execution._ray import prepare_ray
from pronas.execution._shared import SharedArrays, open_shared

__all__ = [
    "ATTEMPTS",
    "EXECUTORS",
    "Executor",
    "Job",
    "Outcome",
    "Progress",
    "SharedArrays",
    "check_executor",
    "make_executor",
    "open_shared",
    "prepare_ray",
]
