"""Where a named set is: the data folder, the user's cache, its home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pronas.data._cache import cache_dir
from pronas.data._cifar import find_cifar, load_cifar
from pronas.data._download import download
from pronas.data._folder import load_folder, load_zip
from pronas.data._idx import read_idx
from pronas.data._idx_set import find, is_idx_folder, load_idx_folder
from pronas.data._named import NamedSet
from pronas.data._npz import load_npz
from pronas.data._source import ReadOptions, Source
from pronas.errors import DataError, UsageError


def load_named(named: NamedSet, data_dir: Path | None, options: ReadOptions) -> Source:
    """A named set from ``data_dir``, else from the cache, else from its home by way of the cache.

    Raises:
        DataError: ``data_dir`` is missing, what is found is not the published content, or it cannot be downloaded.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(
            f"{data_dir}: no such folder; data_dir names one that holds the files of {named.name}", "data_dir"
        )
    cache = cache_dir() / named.name
    for place in places(named, data_dir):
        source = _load_from(place, named, options, cached=place == cache)
        if source is not None:
            return _known(source, named)
    _fetch(named, cache)
    source = _load_from(cache, named, options, cached=True)
    if source is None:
        raise DataError(f"{cache}: {named.name} vanished after its download: is another process clearing the cache?")
    return _known(source, named)


def places(named: NamedSet, data_dir: Path | None) -> Iterator[Path]:
    """Where a named set is looked for, in order; the last is the cache."""
    if data_dir is not None:
        yield data_dir / named.name
        yield data_dir
    yield cache_dir() / named.name


def _load_from(place: Path, named: NamedSet, options: ReadOptions, *, cached: bool) -> Source | None:
    if named.archive:
        found = find_cifar(place, named)
        if found is not None:
            return load_cifar(found, named)
    elif is_idx_folder(place) and (not cached or all(find(place, stem) for stem in named.files)):
        # of an interrupted download the rest is fetched; in a folder of the user's own a missing file is an error
        return load_idx_folder(place, named.name, named.classes, named.files)
    if (place / f"{named.name}.zip").is_file():
        return load_zip(place / f"{named.name}.zip", options)
    if (place / f"{named.name}.npz").is_file():
        return load_npz(place / f"{named.name}.npz", options)
    if place.name == named.name and any(child.is_dir() for child in _children(place)):
        return load_folder(place, options)
    return None


def _children(place: Path) -> list[Path]:
    return list(place.iterdir()) if place.is_dir() else []


def _known(source: Source, named: NamedSet) -> Source:
    # 5,000 of a copy cut down to a few thousand images would be too many
    held_out = named.held_out if len(source.train) >= 5 * named.held_out else source.held_out
    return replace(source, name=named.name, held_out=held_out)


def _fetch(named: NamedSet, cache: Path) -> None:
    files = {named.archive: ""} if named.archive else {f"{name}.gz": sha for name, sha in named.files.items()}
    for file, sha256 in files.items():
        urls = [home + file for home in _homes(named)]

        def check(path: Path, sha256: str = sha256) -> None:
            if named.archive:
                load_cifar(path, named)
            else:
                read_idx(path, sha256)

        if not (cache / file).is_file():
            download(urls, cache / file, check, named.size)


def _homes(named: NamedSet) -> tuple[str, ...]:
    mirror = os.environ.get("PRONAS_MIRROR")
    if not mirror:
        return named.homes
    if not mirror.startswith(("http://", "https://")):
        raise UsageError(f"PRONAS_MIRROR={mirror!r}: an http or https address is needed, holding {named.name}/FILE")
    return (f"{mirror.rstrip('/')}/{named.name}/",)
