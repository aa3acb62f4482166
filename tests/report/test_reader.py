"""The read-only view of a store."""

import sqlite3

import pytest

from pronas.errors import RunError
from pronas.report import RunReader


def test_reads_all_and_then_what_changed(tmp_path, runs):
    run = runs.make_run(tmp_path / "r", 50)
    with RunReader(run) as reader:
        everything = reader.read()
        assert len(everything.children) == 50
        assert everything.revision == 50
        assert everything.meta["state"] == "done"
        assert [fit["level"] for fit in everything.fits] == [1, 2, 3, 4, 5]
        assert len(reader.read(since=48).children) == 2
        assert reader.read(since=50).children == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"net.c": {"file": "net.c", "ram": "1,078 bytes"}}', [{"file": "net.c", "ram": "1,078 bytes"}]),
        ('{"net.c": 5, "o": {"n": 3}}', [{"n": "3"}]), ("[1]", []), ("{", []),
    ],
)  # fmt: skip
def test_exports_are_read_as_far_as_they_are_some(tmp_path, runs, content, expected):
    run = runs.make_run(tmp_path / "r", 5)
    with RunReader(run) as reader:
        assert reader.read().exports == []
        (run / "exports.json").write_text(content)
        assert reader.read().exports == expected


def test_changed_notices_other_writers_only_once(tmp_path, runs):
    run = runs.make_run(tmp_path / "r", 5)
    writer = runs.open_store(run)
    with RunReader(run) as reader:
        assert reader.changed()
        assert not reader.changed()
        writer.execute("UPDATE children SET reward = 0.5 WHERE id = 1")
        assert not reader.changed()
        writer.commit()
        assert reader.changed()
        assert not reader.changed()
    writer.close()


def test_never_writes_and_never_waits_for_a_writer(tmp_path, runs, sqlite_connections):
    run = runs.make_run(tmp_path / "r", 5)
    writer = runs.open_store(run)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM children")
    with RunReader(run) as reader:
        assert len(reader.read().children) == 5
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            sqlite_connections[-1].execute("DELETE FROM children")
    writer.rollback()
    writer.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look like one" * 50])
def test_what_is_no_store_is_refused(tmp_path, content):
    (tmp_path / "store.sqlite").write_bytes(content)
    with pytest.raises(RunError, match=r"store\.sqlite"):
        RunReader(tmp_path)


def test_another_layout_is_refused(tmp_path, runs):
    run = runs.make_run(tmp_path / "r", 1)
    store = runs.open_store(run)
    store.execute("PRAGMA user_version = 2")
    store.commit()
    store.close()
    with pytest.raises(RunError, match="layout 2"):
        RunReader(run)


def test_reads_what_a_search_writes(tmp_path):
    from pronas.runs.store import Store

    with_fields = {"level": 1, "round": 1, "cell": "-1:identity + -1:3x3 dconv", "canonical": "x", "predicted": 0.5}
    store = Store(tmp_path)
    store.set_meta(created="now", state="searching")
    first, second = store.propose([with_fields, with_fields])
    store.progress(second, 1, 5, 0.25, 1.0)
    store.finish(first, status="done", reward=0.75, metrics={"validation_accuracy": [0.5, 0.75]})
    with RunReader(tmp_path) as reader:
        snapshot = reader.read()
    assert snapshot.best_cell() == with_fields["cell"]
    assert [(r["child"], r["epoch"], r["accuracy"]) for r in snapshot.running] == [(second, 1, 0.25)]
    assert snapshot.metrics == {"validation_accuracy": [0.5, 0.75]}
    assert snapshot.revision > 0
    store.close()
