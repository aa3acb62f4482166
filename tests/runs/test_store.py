"""The store and the lock: durable, whole, one writer."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from pronas.errors import RunError
from pronas.runs.steps import RunLock
from pronas.runs.store import STORE, Store, connect

CELL = "-2:3x3 dconv + -1:identity"


def row(cell: str = CELL, level: int = 1) -> dict:
    return {"level": level, "round": 1, "cell": cell, "canonical": cell}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def test_what_was_written_is_read_back_by_another_store(store, tmp_path):
    ids = store.propose([row(), row("-1:identity + -1:identity")])
    store.progress(ids[0], 1, 5, 0.5, 1.25)
    store.finish(ids[0], status="done", reward=0.75, metrics={"loss": [1.0, float("nan")]}, worker="w")
    store.set_meta(state="training", config={"seed": 1})
    other = Store(tmp_path)
    first, second = other.children()
    assert (first.status, first.reward, first.metrics, first.worker) == ("done", 0.75, {"loss": [1.0, None]}, "w")
    assert str(first.cell) == CELL
    assert (second.status, second.reward) == ("proposed", None)
    assert other.meta("state") == "training"
    assert other.meta("nothing") is None
    other.close()


def test_revisions_tell_what_changed_since(store):
    ids = store.propose([row(), row()])
    before = store.meta("revision")
    store.finish(ids[1], status="failed", reward=0.0, error="x")
    changed = [child.id for child in store.children() if child.revision > before]
    assert changed == [ids[1]]


def test_running_children_are_marked_and_forgotten(store):
    (number,) = store.propose([row()])
    store.progress(number, 1, 5, 0.5, 1.0)
    assert store.children()[0].status == "running"
    store.forget_running()
    assert store.children()[0].status == "proposed"


def test_proposals_are_all_or_none(store):
    with pytest.raises(RunError, match="NOT NULL"):
        store.propose([row(), {**row(), "cell": None}])
    assert store.children() == []
    assert store.propose([row()]) == [1]


def test_a_fit_is_recorded_once(store, tmp_path):
    store.add_fit(1, 1, {"predictor": "lstm"})
    store.add_fit(1, 1, {"predictor": "again"})
    connection = connect(tmp_path / STORE, read_only=True)
    assert [json for (json,) in connection.execute("SELECT report FROM fits")] == ['{"predictor": "lstm"}']


def test_a_full_disk_is_one_line_and_loses_nothing(sqlite_connections, store):
    (number,) = store.propose([row()])
    sqlite_connections[-1].execute("PRAGMA max_page_count = 8")  # as SQLite sees a disk without room
    with pytest.raises(RunError, match="database or disk is full; nothing recorded before is lost: make room"):
        store.propose([row("-1:identity + -1:identity | " * 50 + CELL)] * 500)
    assert [child.id for child in store.children()] == [number]
    sqlite_connections[-1].execute("PRAGMA max_page_count = 100000")
    store.finish(number, status="done", reward=0.5)
    assert store.children()[0].reward == 0.5


def test_other_layouts_and_other_files_are_refused(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        connect(tmp_path / STORE, read_only=True)
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / STORE) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(RunError, match="has layout 2, this pronas reads layout 1"):
        Store(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / STORE).write_bytes(b"not a database at all, but long enough to be looked at" * 10)
    with pytest.raises(RunError, match="cannot be read as a store"):
        Store(other)


def test_a_reader_does_not_disturb_the_writer(store, tmp_path):
    reader = connect(tmp_path / STORE, read_only=True)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM children").fetchone()[0] == 0
    store.propose([row()])
    assert reader.execute("SELECT count(*) FROM children").fetchone()[0] == 0
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM children").fetchone()[0] == 1
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM children")


def test_one_search_a_folder(tmp_path):
    with RunLock(tmp_path), pytest.raises(RunError, match=r"in use by another search \(process \d+\)"):
        RunLock(tmp_path)
    RunLock(tmp_path).close()


def test_the_lock_goes_with_its_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from pronas.runs.steps import RunLock;"
        "lock = RunLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=f"process {process.pid}"):
        RunLock(tmp_path)
    process.kill()
    process.wait()
    RunLock(tmp_path).close()


def test_whoever_closes_last_leaves_one_file(tmp_path):
    from pronas.report import RunReader
    from pronas.runs import Experiment

    def files():
        return sorted(path.name for path in tmp_path.iterdir())

    store = Store(tmp_path)
    store.set_meta(state="done", created=1)
    reader = RunReader(tmp_path)
    reader.read()
    store.close()
    assert len(files()) == 3  # the reader has it open
    reader.close()
    assert files() == [STORE]
    with RunReader(tmp_path) as reader:
        reader.read()
        assert Experiment(tmp_path).state == "done"
        assert files() == [STORE]  # reading makes none anew


def test_reading_a_killed_run_leaves_one_file(tmp_path):
    from pronas.runs import Experiment

    code = f"import os; from pathlib import Path; from pronas.runs.store import Store; \
Store(Path({str(tmp_path)!r})).set_meta(created=1); os._exit(9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / f"{STORE}-wal").exists()
    assert Experiment(tmp_path).meta("created") == 1
    assert [path.name for path in tmp_path.iterdir()] == [STORE]
