"""A search under fire: whatever dies, hangs, eats memory or fills the disk, the result is that of a quiet day."""

from __future__ import annotations

import os
import random
import signal
from multiprocessing import forkserver
from pathlib import Path

import pytest

from pronas.errors import RunError
from pronas.execution import Executor
from pronas.runs import Experiment, search
from small_disk import fill, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def small(small):
    return small | {"epochs": 2, "limit": 500}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, small, facts):
    return facts(search("digits", out=tmp_path_factory.mktemp("quiet") / "run", execution="inline", **small))


class Killer:
    """Kills a random worker with SIGKILL at every epoch that is reported, six in all, among them the fork server."""

    def __init__(self) -> None:
        self.kills, self._choice = 0, random.Random(0)
        self._orphans: list[int] = []

    def __call__(self, event: dict) -> None:
        if event["event"] == "progress" and self.kills < 6:
            server = forkserver._forkserver._forkserver_pid
            workers = [*_children_of(server), *filter(_alive, self._orphans)]  # they outlive their server
            if self.kills == 3:
                self._orphans, workers = workers, [server]
            if workers:
                self.kills += _kill(self._choice.choice(workers))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children_of(pid: int | None) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_killing_workers_all_the_time_changes_nothing(tmp_path, small, facts, quiet, monkeypatch):
    # a child that is hit three times would count as failed: here only the result of those that live on is looked at
    monkeypatch.setattr(Executor, "attempts", 1000)
    killer = Killer()
    experiment = search("digits", out=tmp_path / "run", execution="local", workers=2, on_event=killer, **small)
    assert killer.kills == 6
    assert facts(experiment) == quiet
    assert sum((child.attempts or 1) - 1 for child in experiment.children()) > 0


ODD = """
import time
import numpy as np
from torch import nn
from pronas.networks import operator


class Odd(nn.Module):
    def forward(self, images):
        if self.training:
            {action}
        return images


@operator("test odd {name}")
def odd(context):
    return nn.Sequential(Odd(), context.factory.convolution(context, 1))
"""
ACTIONS = {
    "raise": ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    "hang": ("time.sleep(3600)", "time limit of 8 s"),
    "eat": ("self.eaten = np.ones(2**28); time.sleep(3600)", "memory limit of 1200 MiB"),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_odd_child_fails_alone(tmp_path, small, quiet, monkeypatch, name):
    action, words = ACTIONS[name]
    (tmp_path / f"pronas_odd_{name}.py").write_text(ODD.format(action=action, name=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = small | {
        "operators": f"identity,3x3 maxpool,test odd {name}",
        "blocks": 1,
        "first": "all",
        "final_epochs": 0,
        "modules": f"pronas_odd_{name}",
    }
    limits = {"timeout": 8} if name == "hang" else {"timeout": 120, "memory": 1200}
    children = search("digits", out=tmp_path / "run", execution="local", workers=2, **limits, **settings).children()
    assert len(children) == 6
    known = {cell: reward for _, cell, _, reward, *_ in quiet[0]}
    for child in children:
        if "test odd" in str(child.cell):
            assert child.status == "failed"
            assert words in child.error
            assert child.reward == 0
        else:
            assert child.status == "done"
            assert child.reward == known.get(str(child.cell), child.reward) > 0
    assert sum(child.status == "done" for child in children) == 3


@pytest.mark.parametrize("moment", ["child", "final", "epoch"])
def test_a_full_disk_stops_the_search_and_room_lets_it_go_on(tmp_path, small, facts, quiet, moment):
    """While children are trained, when the winner begins, and while it is trained and saved."""
    seen, filler = [], []

    def on_event(event):
        if event["event"] == moment:
            seen.append(event)
            if len(seen) == (3 if moment == "child" else 1):
                filler.append(fill(disk))

    with small_disk(tmp_path / "disk") as disk:
        out = disk / "run"
        with pytest.raises(RunError, match="make room and run the same command again"):
            search("digits", out=out, execution="inline", on_event=on_event, **small)
        recorded = {child.id for child in Experiment(out).children() if child.settled}
        assert len(recorded) >= (3 if moment == "child" else 10)
        assert Experiment(out).state == ("searching" if moment == "child" else "training")
        filler[0].unlink()
        again = []
        experiment = search("digits", out=out, execution="inline", on_event=again.append, **small)
        assert facts(experiment) == quiet
        assert {event["id"] for event in again if event["event"] == "child" and event["known"]} >= recorded or (
            moment != "child"
        )
        assert not [path for path in out.rglob(".*") if path.name != ".lock"]  # nothing half written is left
