"""The allocator of a process that calls the library stays as it is, unless it asks."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from pronas.networks import skeleton
from pronas.training import NetworkManager, Recipe, keep_freed_memory, train_network, worker

CELL, RECIPE = "0:3x3 conv + 0:identity", Recipe(epochs=1, batch=64)


def test_only_processes_of_their_own_are_tuned(digits, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: list[bool] = []
    real = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: real(name) if name else tuned.append(True))  # None: the C library
    monkeypatch.setattr(worker, "keep_freed_memory", keep_freed_memory.__wrapped__)
    made = skeleton("flat", filters=[4])
    with NetworkManager(digits, skeleton=made, recipe=RECIPE) as manager:
        assert manager.get_reward(CELL) > 0
    train_network(CELL, digits, made, RECIPE)
    assert not tuned
    shared = {"own_process": True, "threads": None, "modules": (), "kernels": "off", "recipe": RECIPE.to_dict()}
    shared |= {"skeleton": made.to_dict(), "classes": 10, "scale": None}
    for part in ("train", "validation"):
        split = getattr(digits, part)
        shared |= {f"{part}_images": split.images, f"{part}_labels": split.labels}
    worker.setup(shared)
    assert tuned == [True]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone can be told")
def test_who_asks_for_it_is_told_whether_it_could_be_done() -> None:
    code = "from pronas.training import keep_freed_memory; print(keep_freed_memory(), keep_freed_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["True", "True"], ["False", "False"])
