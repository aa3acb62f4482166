"""Trackers, each with a store of its own on this machine: a search's children are nested runs."""

import json
import logging
import sqlite3
import subprocess
import sys
import time

import pytest

import pronas
from pronas.errors import MissingExtraError, UsageError
from pronas.runs import train
from pronas.tracking import TRACKERS, Feeder, Tracker, check_tracker, make_tracker


def feed(name):
    """What a search of two children tells."""
    feeder = Feeder(lambda: make_tracker(name), "my-run", {"seed": 7, "space.kind": "flat"})
    facts = {"cell": "0:identity + 0:3x3 conv", "level": 1}
    feeder.child("child 1", facts, {"accuracy": [0.25, 0.5]}, {"reward": 0.5}, failed=False)
    feeder.log({"best": 0.5}, 1)
    feeder.child("child 2", facts, {}, {"reward": 0.0, "seconds": float("nan")}, failed=True)
    feeder.curves({"final/loss": [2.0, 1.0]}, start=2)
    feeder.close()


def test_mlflow_has_nested_runs(monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # its database takes seconds to make
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tmp_path.as_uri())
    feed("mlflow")
    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("pronas").experiment_id])
    named = {run.info.run_name: run for run in runs}
    assert sorted(named) == ["child 1", "child 2", "my-run"]
    parent = named["my-run"].info.run_id
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs} == {None, parent}
    assert named["my-run"].data.params == {"seed": "7", "space.kind": "flat"}
    assert named["child 1"].data.params["cell"] == "0:identity + 0:3x3 conv"
    curve = client.get_metric_history(named["child 1"].info.run_id, "accuracy")
    assert [(point.step, point.value) for point in curve] == [(1, 0.25), (2, 0.5)]
    assert [named[name].info.status for name in sorted(named)] == ["FINISHED", "FAILED", "FINISHED"]
    assert named["my-run"].data.metrics == {"best": 0.5, "final/loss": 1.0}


def test_trackio_has_a_group(monkeypatch, tmp_path, capfd):
    pytest.importorskip("trackio")
    # it reads its folder when it is imported
    code = "import sys; sys.path.insert(0, 'tests'); from tracking.test_trackers import feed; feed('trackio')"
    environment = {"TRACKIO_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    with sqlite3.connect(tmp_path / "pronas.db") as store:
        rows = store.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
        configs = {name: json.loads(text) for name, text in store.execute("SELECT run_name, config FROM configs")}
    found = [(name, step, json.loads(values)) for name, step, values in rows]
    assert ("child 1", 1, {"accuracy": 0.25}) in found
    assert ("child 1", 2, {"accuracy": 0.5, "reward": 0.5}) in found
    assert ("my-run", 1, {"best": 0.5}) in found
    assert ("my-run", 4, {"final/loss": 1.0}) in found
    assert {name: one["_Group"] for name, one in configs.items()} == dict.fromkeys(
        ("child 1", "child 2", "my-run"), "my-run"
    )
    assert configs["my-run"]["seed"] == 7


@pytest.mark.slow
def test_wandb_offline(monkeypatch, tmp_path, capfd):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    feed("wandb")
    wanted = (b"my-run", b"child 1", b"child 2", b"0:identity + 0:3x3 conv", b"final/loss")
    for _ in range(100):  # a process of its own writes the files, sometimes after the end
        files = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
        records = [record for file in files for record in logged(file.read_bytes())]
        missing = [text for text in wanted if not any(text in record for record in records)]
        if not missing:
            break
        time.sleep(0.2)
    assert (len(files), missing) == (3, [])
    assert capfd.readouterr().out == ""


def logged(content):
    """The records of wandb's file: blocks of 32 KiB hold parts of them, each behind a head of seven bytes."""
    place, record = 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def test_a_tracker_that_fails_costs_nothing_but_a_line(caplog):
    class Broken(Tracker):
        def begin(self, name, facts, parent=None):
            raise OSError("no\nserver")

        def log(self, run, values, step):
            raise AssertionError

        def end(self, run, *, failed=False):
            raise AssertionError

    with caplog.at_level(logging.WARNING, "pronas"):
        feeder = Feeder(Broken, "my-run", {})
        feeder.log({"a": 1}, 1)
        feeder.log({"a": 1}, 2)
        feeder.close()
    assert [record.getMessage() for record in caplog.records] == ["tracking ends here, the search goes on: no server"]


def test_a_tracker_that_is_not_here_is_told_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match=r"wandb is not installed: pip install 'pronas\[wandb\]'"):
        check_tracker("wandb")
    with pytest.raises(MissingExtraError):
        pronas.search("digits", out=tmp_path / "run", track="wandb")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def told(monkeypatch):
    """What a tracker is told, in order."""
    told = []

    class Told(Tracker):
        def begin(self, name, facts, parent=None):
            told.append(("begin", name, parent))
            return name

        def log(self, run, values, step):
            told.append(("log", run, step, sorted(values)))

        def end(self, run, *, failed=False):
            told.append(("end", run))

    monkeypatch.setattr("pronas.tracking.make_tracker", lambda name: Told())
    return told


def test_a_search_tells_its_children_and_its_winner(told, tmp_path):
    pronas.search(
        "digits", out=tmp_path / "run", track=TRACKERS[0], space="flat", operators="3x3 maxpool,3x3 dconv", filters=4,
        limit=200, blocks=1, first=2, epochs=1, final_epochs=1, threads=1, execution="inline",
    )  # fmt: skip
    assert [event for event in told if event[0] != "log"] == [
        ("begin", "run", None),
        *(("begin", "child 1", "run"), ("end", "child 1"), ("begin", "child 2", "run"), ("end", "child 2")),
        ("end", "run"),
    ]
    steps = [event[2] for event in told if event[:2] == ("log", "run")]
    assert steps == sorted(steps) == [1, 2, 3, 4]
    assert "final/test_accuracy" in told[-2][3]


def test_a_training_tells_its_epochs_and_its_result(told, tmp_path):
    settings = {"filters": 4, "limit": 200, "epochs": 2, "threads": 1, "out": tmp_path / "net"}
    train("0:3x3 maxpool + 0:identity", "digits", track=TRACKERS[0], **settings)
    assert told == [
        ("begin", "net", None),
        *(("log", "net", epoch, ["accuracy", "best", "loss", "seconds"]) for epoch in (1, 2)),
        ("log", "net", 2, ["macs", "parameters", "seconds", "test_accuracy", "validation_accuracy", "weight_bits"]),
        ("end", "net"),
    ]
    told.clear()
    train("0:3x3 maxpool + 0:identity", "digits", **settings)  # the same training, whoever is told
    assert told == []
    with pytest.raises(UsageError, match="mlflow"):
        train("0:3x3 maxpool + 0:identity", track="mlfow", out=tmp_path / "other")
    assert not (tmp_path / "other").exists()
