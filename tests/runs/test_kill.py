"""``kill -9`` at any moment: the search goes on and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

TINY = [
    *("--space", "flat", "--operators", "3x3 maxpool,3x3 dconv", "--filters", "4,4", "--limit", "200"),
    *("--blocks", "2", "--children", "2", "--first", "all", "--epochs", "1", "--final-epochs", "3", "--threads", "1"),
]

# A process that has imported everything and forks a search for each line it is given: torch takes seconds to import,
# and a dozen starts would. What is killed is a whole process with its own files and locks all the same.
# benchmarks/torture.py kills many more.
STABLE = """
import os, signal, sys, time
import pronas.runs, pronas.cli, torch._dynamo, tensorboardX, scipy.stats, sklearn.datasets, sklearn.model_selection
from pronas.cli import main
print("ready", flush=True)
for line in sys.stdin:
    arguments, delay, told = eval(line)
    child = os.fork()
    if child == 0:
        sys.argv = ["pronas", *arguments]
        os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT), 1)
        main()
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)  # not waited for yet, so the number is still its own
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Stable:
    """Starts searches; each call runs one until it ends, or kills it after ``delay`` seconds. Returns its exit code.

    What a search prints goes to the file ``told``.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-c", STABLE]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.read() == "ready"

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def run(self, arguments: list[str], delay: float | None = None, told: str | Path = os.devnull) -> int:
        assert self.process.stdin is not None
        print((arguments, delay, str(told)), file=self.process.stdin, flush=True)
        return int(self.read())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def stable():
    stable = Stable()
    yield stable
    stable.close()


def outcome(folder: Path) -> dict:
    """Everything of a run that must not depend on what happened to it."""
    with closing(sqlite3.connect(folder / "store.sqlite")) as store:
        columns = "id, level, round, cell, status, reward, predicted, spread, epochs, images, metrics"
        children = store.execute(f"SELECT {columns} FROM children ORDER BY id").fetchall()
        fits = [json.loads(text) for (text,) in store.execute("SELECT report FROM fits ORDER BY id")]
        (final,) = store.execute("SELECT value FROM meta WHERE key = 'final'").fetchone()
    files = ["train_history.csv", "scores_2.csv", "architectures/digits.txt", "config.toml"]
    files += ["weights/best.json", "weights/best.safetensors"]
    return {
        "children": children,
        "fits": [{key: value for key, value in fit.items() if key != "seconds"} for fit in fits],
        "final": {key: value for key, value in json.loads(final).items() if key != "seconds"},
        **{name: (folder / name).read_bytes() for name in files},
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dozen_kills_change_nothing(stable, tmp_path):
    def command(number: int) -> list[str]:
        return ["search", *TINY, "--execution", "inline", "--out", str(tmp_path / str(number))]

    start = time.monotonic()
    assert stable.run(command(0)) == 0
    length = time.monotonic() - start
    expected = outcome(tmp_path / "0")
    assert len(expected["children"]) == 5
    moments, kills, folder = random.Random(7), 0, 1
    while kills < 12:
        code = stable.run(command(folder), delay=moments.uniform(0, 0.7 * length))
        if code == 0:
            assert outcome(tmp_path / str(folder)) == expected
            folder += 1
        else:
            assert code == -signal.SIGKILL
            kills += 1
    assert stable.run(command(folder)) == 0
    assert outcome(tmp_path / str(folder)) == expected


def processes_with(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if mark.encode() in environment and (entry / "status").exists():
            found.append(entry.name)
    return found


def wait_until_gone(mark: str) -> None:
    deadline = time.monotonic() + 100
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_with(mark) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_local_workers_end_with_their_driver(stable, tmp_path, signal_):
    out, mark = tmp_path / "run", f"PRONAS_TEST_MARK={tmp_path}"
    command = [sys.executable, "-m", "pronas", "search", *TINY, "--json", "--workers", "2", "--out", str(out)]
    environment = {**os.environ, "PRONAS_TEST_MARK": str(tmp_path)}
    # a shell's background job ignores Ctrl-C, and so would what it starts
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    process.send_signal(signal_)
    _, errors = process.communicate(timeout=200)
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
    assert process.returncode == expected[signal_]
    words = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    if signal_ in words:  # by now a child may have been trained: then Ctrl-C says what else can be done
        expected = rf"error: {words[signal_]}; run the same command again to go on(, or train the best so far: \S.*)?\n"
        assert re.fullmatch(expected, errors), errors
    wait_until_gone(mark)
    assert stable.run([*command[3:], "--execution", "inline"], told=tmp_path / "told") == 0
    last = json.loads((tmp_path / "told").read_text().splitlines()[-1])
    assert last["event"] == "done"
    assert 0 < last["test_accuracy"] < 1
