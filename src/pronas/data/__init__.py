"""Labelled images: where they come from, how they are split, checked and augmented."""

from pronas.data._augment import Augmentation, default_augmentation
from pronas.data._expand import expand
from pronas.data._load import load_dataset
from pronas.data._scale import Scale, scale_of
from pronas.data._types import Dataset, Split

__all__ = ["Augmentation", "Dataset", "Scale", "Split", "default_augmentation", "expand", "load_dataset", "scale_of"]
