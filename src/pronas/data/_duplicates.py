"""Images that occur on both sides of a split, to the bit or nearly: results on them flatter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.data._cache import remembered
from pronas.data._notes import printable
from pronas.data._types import Dataset, Split

_SIDE = 8  # of the signature: a thumbnail of 8x8 means
_SURE = 0.05  # distance of two thumbnails, as a share of the one's contrast, below which they are twins in any set …
_MOST = 0.25  # … and above which they never are; in between, if it is less than a share of this set's usual distance
_OF_USUAL = 0.35
_AXES = 10  # principal axes that are searched
_CANDIDATES = 8
_CHUNK = 1 << 24
_PAIRS = (("test", "training"), ("test", "validation"), ("validation", "training"))

Pairs = NDArray[np.int64]


@final
@dataclass(frozen=True)
class Duplicates:
    """Twins of a split's images in another split.

    Attributes:
        split: name of the one, such as ``test``.
        other: name of the other, such as ``training``.
        exact: int64 (m, 2): index in the one, index of a twin in the other, equal in every pixel; each image once.
        near: the same, for images that have no exact twin and whose thumbnails hardly differ.
    """

    split: str
    other: str
    exact: Pairs
    near: Pairs


def find_duplicates(dataset: Dataset) -> tuple[Duplicates, ...]:
    """Twins of test images among training and validation images, and of validation among training images.

    Near is: thumbnails of 8x8 means, brightness removed, differ by less than a twentieth of their contrast, or by less
    than a quarter if that is also less than a third of what is usual for an image of this set and its nearest
    neighbour (pictures of simple shapes all look alike). This finds copies that were saved again, scaled or made
    brighter; it does not find mirrored, turned or far shifted ones.

        >>> from pronas.data import load_dataset
        >>> [(one.split, one.other, len(one.exact)) for one in find_duplicates(load_dataset("digits", limit=100))]
        [('test', 'training', 0), ('test', 'validation', 0), ('validation', 'training', 0)]

    Args:
        dataset: images uint8 (n, C, H, W) of any size.

    Returns:
        An entry for each of the three pairs of splits, remembered in the cache for data sets that have a key.
    """
    found = remembered(dataset.key, "duplicates", lambda: _plain(dataset))
    return tuple(
        Duplicates(split, other, _pairs(exact), _pairs(near))
        for (split, other), (exact, near) in zip(_PAIRS, found, strict=True)
    )


def duplicate_notes(dataset: Dataset) -> tuple[str, ...]:
    """A line of text for each pair of splits that share images; see :func:`find_duplicates`."""
    splits = dict(dataset.splits())
    notes = []
    for entry in find_duplicates(dataset):
        count = len(entry.exact) + len(entry.near)
        if count:
            one, other = splits[entry.split], splits[entry.other]
            kinds = " and ".join(
                f"{len(pairs):,} {how}"
                for pairs, how in ((entry.exact, "to the bit"), (entry.near, "nearly"))
                if len(pairs)
            )
            twins = np.concatenate([entry.exact, entry.near])
            wrong = int((one.labels[twins[:, 0]] != other.labels[twins[:, 1]]).sum())
            labels = f", {wrong:,} of them with another label" if wrong else ""
            notes.append(
                f"{count:,} of {len(one):,} {entry.split} images are among the {entry.other} images too ({kinds})"
                f"{labels}{_example(one, other, twins)}; accuracy on them flatters"
            )
    return tuple(notes)


def _example(one: Split, other: Split, twins: Pairs) -> str:
    if one.names is None or other.names is None:
        return ""
    return printable(f", such as {one.names[twins[0, 0]]} and {other.names[twins[0, 1]]}")


def _plain(dataset: Dataset) -> list[list[list[list[int]]]]:
    splits = dict(dataset.splits())
    digests = {name: _digests(split.images) for name, split in splits.items()}
    thumbnails = {name: _thumbnails(split.images) for name, split in splits.items()}
    axes = _principal_axes(thumbnails["training"])
    nearest = {pair: _nearest(thumbnails[pair[0]], thumbnails[pair[1]], axes) for pair in _PAIRS}
    usual = float(np.median(nearest["validation", "training"][1]))
    limit = min(max(_OF_USUAL * usual, _SURE), _MOST)
    result = []
    for pair in _PAIRS:
        exact = _equal(digests[pair[0]], digests[pair[1]])
        twins, distance = nearest[pair]
        near = np.stack([np.flatnonzero(distance < limit), twins[distance < limit]], 1)
        result.append([exact.tolist(), near[~np.isin(near[:, 0], exact[:, 0])].tolist()])
    return result


def _pairs(rows: list[list[int]]) -> Pairs:
    return np.array(rows, np.int64).reshape(-1, 2)


def _digests(images: NDArray[np.uint8]) -> list[bytes]:
    return [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]


def _equal(one: list[bytes], other: list[bytes]) -> Pairs:
    where: dict[bytes, int] = {}
    for index, digest in enumerate(other):
        where.setdefault(digest, index)
    return _pairs([[index, where[digest]] for index, digest in enumerate(one) if digest in where])


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails without their brightness: float32 (n, C * 8 * 8)."""
    _, channels, height, width = images.shape
    down, across = _means(height), _means(width).T
    parts = [(down @ (chunk.astype(np.float32) @ across)).reshape(len(chunk), -1) for chunk in _chunks(images)]
    small = np.concatenate(parts) if parts else np.empty((0, channels * _SIDE * _SIDE), np.float32)
    return np.asarray(small - small.mean(1, keepdims=True), np.float32)


def _means(side: int) -> NDArray[np.float32]:
    """The matrix (8, side) that takes means of parts of a side, shared pixels by their share."""
    edges = np.linspace(0, side, _SIDE + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(side)
    overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return np.asarray(overlap / overlap.sum(1, keepdims=True), np.float32)


def _chunks(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    step = max(1, _CHUNK // max(1, images[:1].nbytes))
    return (images[start : start + step] for start in range(0, len(images), step))


def _principal_axes(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    sample = thumbnails[:: max(1, len(thumbnails) // 5000)]
    return np.asarray(np.linalg.eigh(np.cov(sample.T))[1][:, -_AXES:], np.float32)


def _nearest(
    one: NDArray[np.float32], other: NDArray[np.float32], axes: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each of the one's thumbnails the nearest of the other's, and its distance as a share of the contrast."""
    from scipy.spatial import cKDTree

    tree: Any = cKDTree(other @ axes)
    # approximate: a twin is many times nearer than what is usual, so it is not missed
    ranks = [*range(1, 1 + min(_CANDIDATES, len(other)))]
    candidates = tree.query(one @ axes, k=ranks, eps=1.0, workers=-1)[1]
    distance = np.stack([np.linalg.norm(one - other[column], axis=1) for column in candidates.T], 1)
    rows, nearest = np.arange(len(one)), distance.argmin(1)
    contrast = np.linalg.norm(one, axis=1)
    contrast[contrast < np.sqrt(one.shape[1])] = 1e-6  # under one pixel value: flat images are nobody's twins
    return candidates[rows, nearest], np.asarray((distance[rows, nearest] + 1e-6) / contrast, np.float32)
