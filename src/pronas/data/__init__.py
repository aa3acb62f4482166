"""Labelled images: where they come from, how they are split, checked and augmented."""

from pronas.data._arrays import dataset_from_arrays
from pronas.data._augment import AUGMENTATIONS, Augmentation, augmentation, augmentation_names, default_augmentation
from pronas.data._cache import cache_dir
from pronas.data._classes import class_weights
from pronas.data._divided import divided
from pronas.data._duplicates import Duplicates, find_duplicates
from pronas.data._expand import expand
from pronas.data._hugging import from_hugging
from pronas.data._idx import read_idx
from pronas.data._images import each_image_file, load_images, load_named_images
from pronas.data._kept import prune_cache
from pronas.data._load import NAMES, is_named, load_dataset
from pronas.data._named import NAMED, NamedSet
from pronas.data._probe import ImageSizes, probe_images, suggest_image_size
from pronas.data._rows import Rows
from pronas.data._scale import PixelScale, scale_of
from pronas.data._tree import Tree, sort_out
from pronas.data._types import Dataset, Split, joined

__all__ = [
    "AUGMENTATIONS",
    "NAMED",
    "NAMES",
    "Augmentation",
    "Dataset",
    "Duplicates",
    "ImageSizes",
    "NamedSet",
    "PixelScale",
    "Rows",
    "Split",
    "Tree",
    "augmentation",
    "augmentation_names",
    "cache_dir",
    "class_weights",
    "dataset_from_arrays",
    "default_augmentation",
    "divided",
    "each_image_file",
    "expand",
    "find_duplicates",
    "from_hugging",
    "is_named",
    "joined",
    "load_dataset",
    "load_images",
    "load_named_images",
    "probe_images",
    "prune_cache",
    "read_idx",
    "scale_of",
    "sort_out",
    "suggest_image_size",
]
