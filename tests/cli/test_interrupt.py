"""Ctrl-C, sent to a real process: once ends a search within a budget early, with a winner; twice stops."""

import json
import os
import signal
import subprocess
import sys

import pytest

import pronas
from pronas.cli.interrupt import StoppedError, ending_early

TIMED = ("--budget", "90s", "--limit", "300", "--workers", "1", "--threads", "1", "--max-params", "9000")
NUMBERS = (
    *("--space", "flat", "--blocks", "2", "--first", "6", "--children", "60", "--epochs", "3"),
    *("--limit", "200"),
)


def begun(folder, *arguments):
    """A search that has trained its first child."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pronas", "search", "--json", "--out", "run", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for line in process.stdout:
        if json.loads(line)["event"] == "child":
            return process
    raise AssertionError(process.stderr.read())


def interrupt(process):
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of its processes get it


@pytest.mark.slow
def test_once_ends_the_search_and_trains_the_best_so_far(tmp_path):
    process = begun(tmp_path, *TIMED, "--final-epochs", "3")  # of a winner that would have some ten seconds
    interrupt(process)
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    assert "ending the search early" in error
    events = [json.loads(line) for line in out.splitlines()]
    assert any("the search ends early" in event.get("text", "") for event in events)
    assert events[-1]["event"] == "done"
    run = pronas.Experiment(tmp_path / "run")
    assert run.state == "done"
    assert run.test_accuracy is not None
    left = float(next(e["text"] for e in events if "the winner has" in e.get("text", "")).split()[3])
    assert left < 90  # no longer than the budget had it


@pytest.mark.slow
def test_twice_stops(tmp_path):
    process = begun(tmp_path, *TIMED)
    interrupt(process)
    for line in process.stderr:
        if "Ctrl-C again stops" in line:
            break
    interrupt(process)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error.strip().endswith("error: interrupted; run the same command again to go on")


@pytest.mark.slow
def test_by_numbers_it_stops_and_says_how_to_have_a_winner(tmp_path):
    process = begun(tmp_path, *NUMBERS)
    interrupt(process)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error.strip().splitlines()[-1].endswith("train the best so far: pronas train run")


def interrupted_after(*events):
    with ending_early() as wish:
        for event in events:
            wish.answer(event)
        signal.raise_signal(signal.SIGINT)


def test_before_the_search_and_after_it_ctrl_c_stops():
    with pytest.raises(StoppedError, match="run the same command again"):
        interrupted_after()
    with pytest.raises(StoppedError, match="run the same command again"):
        interrupted_after(START, {"event": "child", "status": "done"}, {"event": "final"})
    with pytest.raises(StoppedError, match="pronas train run"):
        interrupted_after({**START, "budget": None}, {"event": "child", "status": "done"})


def test_the_wish_is_answered_until_it_is_heard():
    with ending_early() as wish:
        assert wish.answer(START) is None
        signal.raise_signal(signal.SIGINT)
        assert wish.answer({"event": "progress"}) == "finish"
    assert signal.getsignal(signal.SIGINT) != wish.interrupt


START = {"event": "start", "settled": 0, "budget": "2m", "path": "run"}
