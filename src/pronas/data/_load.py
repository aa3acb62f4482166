"""One way in: a name or a path becomes a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pronas.data._cifar import find_cifar, load_cifar
from pronas.data._digits import load_digits
from pronas.data._find import load_named
from pronas.data._folder import load_folder, load_zip
from pronas.data._hugging import load_hugging
from pronas.data._idx_set import is_idx_folder, load_idx_folder
from pronas.data._named import ALIASES, NAMED
from pronas.data._npz import load_npz
from pronas.data._resize import image_size_of
from pronas.data._source import ReadOptions, Source, no_file_names, resized, to_dataset
from pronas.data._types import Dataset
from pronas.errors import DataError, UsageError, nearest

#: The data sets that are known by name.
NAMES = ("digits", *NAMED)


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    validation: int | float | None = None,
    seed: int = 0,
    limit: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
    layout: str | None = None,
    group_by: str | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Load a data set, uint8 images (n, C, H, W) and int64 labels (n,), split for training, validation and test.

        >>> load_dataset("digits", limit=100, validation=50)
        Dataset('digits', 100 + 50 + 359 images of (1, 8, 8), 10 classes)

    Args:
        name_or_path: ``digits`` (bundled), ``mnist``, ``fashion-mnist``, ``cifar10``, ``cifar100``, ``hf:NAME``
            (``hf:NAME:CONFIGURATION``; extra ``hf``), or a path: a folder of class folders (perhaps under ``train``,
            ``test``, ``val``), a zip of one, a ``.npz`` (x_train, y_train, perhaps x_test, y_test, x_val, y_val,
            classes), a folder of idx files under MNIST's names, or CIFAR's binary version.
        data_dir: where a named set is looked for first, itself or in a subfolder of the set's name; then in the cache
            (``$PRONAS_CACHE``, else the XDG cache folder); then it is downloaded there from its home (or from
            ``$PRONAS_MIRROR``). Files of the original format must have the published SHA-256 when decompressed; copies
            as a zip, ``.npz`` or folder of pictures are taken as they are.
        validation: how many training images are held out for validation (int) or which fraction (float), every class in
            proportion; ``None``: the stored validation set (which a number leaves unused), else 5,000 of the
            named sets, a fifth of ``digits``, a tenth of others. A class with a single image keeps it for training.
        seed: of the validation split and of ``limit``. Where no test set is stored, a stratified fifth is held out
            first, the same whatever the seed.
        limit: most training images, every class in proportion, for quick runs; validation and test stay whole.
        image_size: resize all images to this side, or (height, width).
        classes: names of classes 0, 1, … for files that do not give them.
        layout: ``NHW``, ``NHWC`` or ``NCHW`` of a ``.npz``, where its shape does not tell.
        group_by: of a folder or zip, a regular expression searched for in each relative file name; images for which its
            first group (without one, all of it) matched the same text stay on one side of every split.
        skip_bad: leave out pictures of a folder or zip that cannot be read, and say so in ``Dataset.notes``.

    Raises:
        DataError: data that is missing, corrupt, truncated, mislabelled, empty or not the published one; the message
            names the file.
        UsageError: a bad argument.
        MissingExtraError: ``hf:`` without the extra ``hf``.
    """
    size = image_size_of(image_size)
    name = os.fspath(name_or_path)
    if is_named(name):
        no_file_names(group_by, name)
    options = ReadOptions(size, layout, group_by, skip_bad)
    source = _load_source(name, Path(data_dir) if data_dir is not None else None, options)
    if source.train.groups is None:
        no_file_names(group_by, source.name)
    if classes is not None:
        source = _renamed(source, classes)
    if size is not None:
        source = resized(source, size)
    return to_dataset(source, validation=validation, seed=seed, limit=limit)


def is_named(name: str) -> bool:
    """Whether ``load_dataset`` takes ``name`` as that of a data set, not as a path.

        >>> is_named("mnist"), is_named("photos/")
        (True, False)

    Args:
        name: in any case, for instance ``cifar10`` or ``hf:NAME``.

    Returns:
        False of paths and of unknown names.
    """
    return ALIASES.get(name.lower(), name.lower()) in NAMES or name.startswith("hf:")


def _load_source(name: str, data_dir: Path | None, options: ReadOptions) -> Source:
    known = ALIASES.get(name.lower(), name.lower())
    if known == "digits":
        return load_digits()
    if known in NAMED:
        return load_named(NAMED[known], data_dir, options)
    if name.startswith("hf:"):
        return load_hugging(name[3:], options.size)
    return _load_path(Path(name), options)


def _load_path(path: Path, options: ReadOptions) -> Source:
    if path.is_dir():
        return _load_dir(path, options)
    if not path.exists():
        hint = nearest(str(path), NAMES) or f"; known names: {', '.join(NAMES)}, hf:NAME"
        raise DataError(f"{path}: no such file or folder, and no named data set{hint}")
    if path.suffix == ".npz":
        return load_npz(path, options)
    if path.suffix == ".zip":
        return load_zip(path, options)
    for named in NAMED.values():
        if named.archive == path.name:
            return load_cifar(path, named, check=False)
    if "-idx" in path.name or ".idx" in path.name:
        return load_idx_folder(path.parent, path.resolve().parent.name)
    raise UsageError(f"{path}: not a data set; give a folder, a .zip, a .npz, or a folder of idx files")


def _load_dir(path: Path, options: ReadOptions) -> Source:
    if is_idx_folder(path):
        return load_idx_folder(path, path.resolve().name)
    for named in NAMED.values():
        found = find_cifar(path, named) if named.archive else None
        if found is not None and found.is_dir():
            return load_cifar(found, named, check=False)
    return load_folder(path, options)


def _renamed(source: Source, classes: Sequence[str]) -> Source:
    if len(set(classes)) < len(classes):
        raise UsageError("classes: two of one name")
    if len(classes) < len(source.classes):
        raise DataError(f"{source.name}: {len(source.classes)} classes, but {len(classes)} names were given")
    return replace(source, classes=tuple(classes))
