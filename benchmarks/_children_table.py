"""The table of trained children: one ``.npz`` a space and data set, loaded, saved and joined from shards.

What the arrays hold (n cells, m trainings, E epochs of the longest):

    cells       (n,)    canonical text, ``0:3x3 conv + 0:identity | …``; level = number of blocks
    origin      (n,)    ``level`` (all of a level), ``random`` or ``grown`` (extends one of the best below)
    parameters, macs, binary_macs, weight_bits, activation_bytes    (n,) int64, of the network, per image
    cell        (m,)    int32, index into the arrays above
    seed        (m,)    int8, 0 or 1
    epochs      (m,)    int16, what the schedule was made for: the full length or a quarter of it
    accuracy    (m, E)  float32, validation accuracy after each epoch, NaN beyond the last; all NaN: the child failed
    loss        (m, E)  float32, validation cross-entropy (binary: the recipe's loss) after each epoch
    train_loss  (m, E)  float32
    seconds     (m,)    float32, of one thread
    meta        ()      JSON: space, skeleton, recipe, data (name, fingerprint, images), versions

The file has no pickled objects: ``numpy.load(path)`` reads it anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pronas.space import Cell, StateSpace, space_from_dict

SIZES = ("parameters", "macs", "binary_macs", "weight_bits", "activation_bytes")
CURVES = ("accuracy", "loss", "train_loss")


@dataclass(frozen=True)
class Training:
    """One training of one cell: which, and its curves by name of `CURVES`, of one length (empty: it failed)."""

    cell: str
    origin: str
    sizes: tuple[int, ...]
    seed: int
    epochs: int
    seconds: float
    curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, int]:
        return self.cell, self.seed, self.epochs


@dataclass(frozen=True)
class ChildrenTable:
    """A table in memory, as the module's head describes it."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def space(self) -> StateSpace:
        return space_from_dict(self.meta["space"])

    def __len__(self) -> int:
        return len(self.arrays["cells"])

    def decoded(self) -> list[Cell]:
        return [Cell.parse(str(text)) for text in self.arrays["cells"]]

    def final(self, seed: int, epochs: int, curve: str = "accuracy", *, best: bool = False) -> np.ndarray:
        """The last (or best) epoch's value of each cell (n,), NaN where that training is not in the table."""
        result = np.full(len(self), np.nan)
        for i in np.flatnonzero((self.arrays["seed"] == seed) & (self.arrays["epochs"] == epochs)):
            values = self.arrays[curve][i]
            values = values[~np.isnan(values)]
            if len(values):
                chosen = values[-1] if not best else values.min() if "loss" in curve else values.max()
                result[self.arrays["cell"][i]] = chosen
        return result

    def lengths(self) -> list[int]:
        """The lengths of training that occur, ascending."""
        return sorted(set(self.arrays["epochs"].tolist()))

    def trainings(self) -> Iterable[Training]:
        a = self.arrays
        for i, c in enumerate(a["cell"].tolist()):
            count = int((~np.isnan(a["accuracy"][i])).sum())
            yield Training(
                str(a["cells"][c]),
                str(a["origin"][c]),
                tuple(int(a[name][c]) for name in SIZES),
                int(a["seed"][i]),
                int(a["epochs"][i]),
                float(a["seconds"][i]),
                {name: a[name][i, :count].tolist() for name in CURVES} if count else {},
            )


def make_table(meta: dict[str, Any], trainings: Iterable[Training]) -> ChildrenTable:
    """Arrays of trainings; of equal keys the last counts."""
    kept = list({training.key: training for training in trainings}.values())
    first = {training.cell: training for training in reversed(kept)}
    cells = sorted(first, key=lambda text: (text.count("|"), text))
    index = {text: i for i, text in enumerate(cells)}
    kept.sort(key=lambda t: (index[t.cell], t.seed, t.epochs))
    longest = max((len(t.curves.get("accuracy", ())) for t in kept), default=0)
    arrays = {
        "cells": np.array(cells, dtype=np.str_),
        "origin": np.array([first[text].origin for text in cells], dtype=np.str_),
        "cell": np.array([index[t.cell] for t in kept], dtype=np.int32),
        "seed": np.array([t.seed for t in kept], dtype=np.int8),
        "epochs": np.array([t.epochs for t in kept], dtype=np.int16),
        "seconds": np.array([t.seconds for t in kept], dtype=np.float32),
    }
    for place, name in enumerate(SIZES):
        arrays[name] = np.array([first[text].sizes[place] for text in cells], dtype=np.int64)
    for name in CURVES:
        arrays[name] = np.full((len(kept), longest), np.nan, dtype=np.float32)
        for row, training in zip(arrays[name], kept, strict=True):
            values = training.curves.get(name, [])
            row[: len(values)] = values
    return ChildrenTable(meta, arrays)


def save(path: Path, table: ChildrenTable) -> None:
    """Write a table, whole or not at all."""
    hidden = path.with_name(f".{path.name}.part")
    with hidden.open("wb") as file:
        np.savez_compressed(file, meta=np.array(json.dumps(table.meta)), **table.arrays)
    hidden.replace(path)


def load(path: Path) -> ChildrenTable:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file if name != "meta"}
        return ChildrenTable(json.loads(str(file["meta"])), arrays)


def shard_folder(path: Path) -> Path:
    """Where a table's shards lie until they are joined."""
    return path.with_name(path.stem + ".shards")


def load_with_shards(path: Path, meta: dict[str, Any]) -> ChildrenTable:
    """The table, if there is one, and its shards. Raises ValueError if one of them was made with other settings."""
    files = [path] if path.exists() else []
    files += sorted(shard_folder(path).glob("*.npz"))
    trainings: list[Training] = []
    for file in files:
        part = load(file)
        differing = [key for key in meta if key != "versions" and part.meta.get(key) != meta[key]]
        if differing:
            raise ValueError(f"{file} was made with other settings ({', '.join(differing)}); choose another file")
        trainings += part.trainings()
    return make_table(meta, trainings)


def append_shard(path: Path, meta: dict[str, Any], trainings: list[Training]) -> None:
    """Keep trainings as a new shard beside the table."""
    folder = shard_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    number = max((int(file.stem) for file in folder.glob("*.npz")), default=0) + 1
    save(folder / f"{number:05d}.npz", make_table(meta, trainings))


def join_shards(path: Path, meta: dict[str, Any]) -> ChildrenTable:
    """Write the table with all shards in it, and remove these."""
    table = load_with_shards(path, meta)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, table)
    for file in shard_folder(path).glob("*.npz"):
        file.unlink()
    if shard_folder(path).exists():
        shard_folder(path).rmdir()
    return table
