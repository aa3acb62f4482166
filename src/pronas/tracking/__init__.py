"""Experiment trackers: one thin adapter of three calls for each, and a thread that feeds it."""

from pronas.tracking._adapters import TRACKERS, Tracker, check_tracker, make_tracker
from pronas.tracking._feeder import Feeder

__all__ = ["TRACKERS", "Feeder", "Tracker", "check_tracker", "make_tracker"]
