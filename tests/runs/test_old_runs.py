"""Runs that version 0.1.0 (commit c2d12d6) made still open and go on. Their stores are kept as SQL.

Made by ``pronas.search("digits", **OLD)``, one to its end, one killed with SIGKILL when four children were done.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import pronas
from pronas.errors import FolderTakenError
from pronas.runs.store import Store

OLD = {
    "space": "flat",
    "operators": "3x3 maxpool,3x3 dconv",
    "filters": (4, 4),
    "limit": 200,
    "blocks": 2,
    "children": 2,
    "first": "all",
    "epochs": 1,
    "final_epochs": 2,
    "threads": 1,
    "workers": 1,
    "execution": "inline",
    "seed": 1,
}


@pytest.fixture
def old(tmp_path):
    """Make the folder of an old run."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        with closing(sqlite3.connect(folder / "store.sqlite")) as store:
            store.execute("PRAGMA journal_mode=WAL")
            store.executescript((Path(__file__).parent / "old" / f"{name}.sql").read_text("utf-8"))
            store.execute("PRAGMA user_version = 1")
        if name == "finished":  # where the winner's file is missing, it is trained again
            (folder / "weights").mkdir()
            (folder / "weights" / "best.safetensors").touch()
        return folder

    return make


def facts(run):
    return [(child.id, child.level, str(child.cell), child.status) for child in run.children()]


def test_a_finished_run_is_read_and_given_back(old):
    run = pronas.Experiment(old("finished"))
    assert (run.state, len(run.children())) == ("done", 5)
    events: list[dict] = []
    again = pronas.search("digits", out=run.path, on_event=events.append, **OLD)
    assert [event["event"] for event in events] == ["note", "done"]
    assert again.children() == run.children()
    assert (run.path / "train_history.csv").read_text().count("\n") == 5


def test_a_killed_run_goes_on_to_the_same_end(old):
    folder, events = old("killed"), []
    before = pronas.Experiment(folder).children()
    run = pronas.search(resume=folder, on_event=events.append)
    assert run.state == "done"
    assert [event["known"] for event in events if event["event"] == "child"].count(False) == 1
    assert facts(run) == facts(pronas.Experiment(old("finished")))
    assert run.children()[:4] == before[:4]


def test_an_old_run_is_no_other_search(old):
    with pytest.raises(FolderTakenError, match=r"differs in search.children \(2 there, 3 here\)"):
        pronas.search("digits", out=old("killed"), **{**OLD, "children": 3})


def test_a_child_says_which_processor_and_kernels_trained_it(old):
    folder, events = old("killed"), []
    run = pronas.search(resume=folder, on_event=events.append)
    machines = [child.machine for child in run.children()]
    assert machines[:4] == [None] * 4  # version 0.1 did not say
    assert re.fullmatch(r".+, (PyTorch|kernels v\d)", machines[4])
    assert not [event for event in events if "last bit" in event.get("text", "")]


def test_going_on_on_another_machine_is_said_once(old):
    folder, events = old("killed"), []
    Store(folder).close()  # which adds the column
    with closing(sqlite3.connect(folder / "store.sqlite")) as store:
        store.execute("UPDATE children SET machine = 'Other CPU, kernels v9' WHERE status = 'done'")
        store.execute("UPDATE children SET status = 'proposed', reward = NULL, machine = NULL WHERE id > 2")
        store.commit()
    pronas.search(resume=folder, on_event=events.append)
    said = [event["text"] for event in events if "last bit" in event.get("text", "")]
    assert len(said) == 1
    assert "those before on Other CPU, kernels v9" in said[0]
