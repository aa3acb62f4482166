"""The steps of a search, each handing on one object: for programs that take them one by one."""

from pronas.runs._choose import choose, recipe_of, skeleton_of
from pronas.runs._lock import RunLock
from pronas.runs._parse import SearchRequest, asked, configuration, parse
from pronas.runs._resolve import Problem, executor_options, final_device, resolve

__all__ = [
    "Problem",
    "RunLock",
    "SearchRequest",
    "asked",
    "choose",
    "configuration",
    "executor_options",
    "final_device",
    "parse",
    "recipe_of",
    "resolve",
    "skeleton_of",
]
