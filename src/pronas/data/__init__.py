"""Labelled images: where they come from, how they are split, checked and augmented."""

from pronas.data._load import load_dataset
from pronas.data._types import Dataset, Split

__all__ = ["Dataset", "Split", "load_dataset"]
