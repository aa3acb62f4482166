"""Which class and split a picture belongs to, by its path: ``CLASS/NAME`` or ``train/CLASS/NAME``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from pronas.data._pictures import SUFFIXES
from pronas.errors import DataError

_SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip
ORDER = ("train", "validation", "test")


@final
@dataclass(frozen=True)
class Tree:
    """Pictures by split, in order of class and path; ``names[split]`` pairs with ``labels[split]``.

    Attributes:
        others: files that are no pictures, hidden ones not counted.
    """

    classes: tuple[str, ...]
    names: dict[str, list[str]]
    labels: dict[str, list[int]]
    others: tuple[str, ...] = ()


def sort_out(paths: Iterable[str], where: str) -> Tree:
    """Find splits and classes in the paths (with ``/``) of an archive or folder.

    Files that are no pictures and hidden ones are passed over, and folders that hold everything are looked into.

        >>> tree = sort_out(["pets/cat/1.png", "pets/dog/1.jpg", "pets/dog/notes.txt"], "pets.zip")
        >>> tree.classes, tree.labels["train"], tree.others
        (('cat', 'dog'), [0, 1], ('pets/dog/notes.txt',))

    Raises:
        DataError: no pictures, a picture outside a class folder, a test class without training pictures.
    """
    seen = [path for path in paths if not _is_hidden(path)]
    parts = {path: tuple(path.split("/")) for path in seen if is_picture(path)}
    if not parts:
        raise DataError(f"{where}: no pictures in it ({', '.join(sorted(SUFFIXES))})")
    others = tuple(path for path in seen if path not in parts)
    skip = _wrapping(list(parts.values()))
    inner = {path: names[skip:] for path, names in parts.items()}
    split_of = _splits({names[0] for names in inner.values()}, inner, where)
    grouped: dict[str, dict[str, list[str]]] = {}
    for path, names in inner.items():
        split, label = ("train", names[0]) if split_of is None else (split_of[names[0]], names[1])
        grouped.setdefault(split, {}).setdefault(label, []).append(path)
    return _tree(grouped, others, where)


def is_picture(path: str) -> bool:
    """Whether the name is a picture's."""
    return path[path.rfind(".") :].lower() in SUFFIXES


def _is_hidden(path: str) -> bool:
    return path.startswith((".", "__MACOSX")) or "/." in path or "/__MACOSX" in path


def _wrapping(parts: list[tuple[str, ...]]) -> int:
    skip, deepest = 0, min(len(names) for names in parts) - 2  # leave CLASS/NAME
    while skip < deepest and len({names[skip] for names in parts}) == 1 and parts[0][skip].lower() not in _SPLITS:
        skip += 1
    return skip


def _splits(tops: set[str], inner: dict[str, tuple[str, ...]], where: str) -> dict[str, str] | None:
    named = {top: _SPLITS[top.lower()] for top in tops if top.lower() in _SPLITS}
    # a class may be called "train": it is a split where it holds folders
    nested = any(len(names) > 2 and named.get(names[0]) == "train" for names in inner.values())
    if not nested:
        _check_depth(inner, 2, where)
        return None
    if odd := sorted(tops - set(named)):
        raise DataError(f"{where}: {odd[0]!r} beside {sorted(named)} is neither training nor test images: move it away")
    _check_depth(inner, 3, where)
    return named


def _check_depth(inner: dict[str, tuple[str, ...]], depth: int, where: str) -> None:
    strays = [path for path, names in inner.items() if len(names) < depth]
    if strays:
        more = f" (like {len(strays) - 1} others)" if len(strays) > 1 else ""
        raise DataError(f"{where}: {strays[0]} is in no class folder{more}: put it into the folder of its class")


def _tree(grouped: dict[str, dict[str, list[str]]], others: tuple[str, ...], where: str) -> Tree:
    known = grouped["train"]
    digits = all(label.isdecimal() for label in known)
    classes = tuple(sorted(known, key=(lambda label: (int(label), label)) if digits else str))
    for split, folders in grouped.items():
        if odd := sorted(set(folders) - set(classes)):
            raise DataError(f"{where}: the {split} class {odd[0]!r} has no training pictures: misspelt?")
    names: dict[str, list[str]] = {}
    labels: dict[str, list[int]] = {}
    for split in (split for split in ORDER if split in grouped):
        ordered = [(path, i) for i, label in enumerate(classes) for path in sorted(grouped[split].get(label, ()))]
        names[split] = [path for path, _ in ordered]
        labels[split] = [index for _, index in ordered]
    return Tree(classes, names, labels, others)
