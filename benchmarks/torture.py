"""Kills, broken files and a crowd: half an hour of what must never lose, crash, hang or answer wrongly; one table.

    python benchmarks/torture.py [--quick] [--seed 1] [--only store "commands on broken runs"]

Kills: searches are killed with SIGKILL at random moments, and must end as if nothing had been. Mutants: files of every
kind with bytes flipped, cut, or values of other types (model specifications with a digest that is right) are read, and
every command is run on broken run folders; each is read or refused in one line. Clients: browsers watch a live search,
lose their connections all the time, and must know at the end exactly what the store holds. ``--quick`` takes a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "runs")]
#: Mutants of each kind, of 50,000 in all.
SHARES = {
    "packed network": 24_000, "model": 10_000, "store": 5_000, "config.toml": 4_500, "checkpoint": 3_000,
    "controller": 1_500, "scores": 1_000, "onnx": 500, "tflite": 200, "commands on broken runs": 300,
}  # fmt: skip
LIMIT = 60  # seconds of the processor that one mutant may take, and ten times as many of the clock
SETTINGS: dict[str, Any] = {
    "space": "flat", "operators": "3x3 maxpool,3x3 dconv", "filters": "4,4", "limit": 200, "blocks": 2, "children": 2,
    "first": "all", "epochs": 1, "final_epochs": 1, "threads": 1, "execution": "inline",
}  # fmt: skip


class Hung(BaseException):
    """A mutant took too long."""


# -- what is broken


def make_files(folder: Path) -> None:
    """One of every kind."""
    import pronas
    from pronas.training import train_network

    run = pronas.search("digits", out=folder / "run", **SETTINGS)
    binary = {**SETTINGS, "space": "binary", "operators": None, "filters": "8,8", "blocks": 1, "first": 1}
    pronas.search("digits", out=folder / "binary", **binary)
    pronas.export(folder / "binary", "packed", folder / "net.packed")
    pronas.export(folder / "run", "onnx", folder / "net.onnx")
    pronas.export(folder / "run", "tflite", folder / "net.tflite", data=pronas.load_dataset("digits"))
    skeleton = pronas.skeleton("flat", filters=[4])
    recipe = pronas.recipe("search", epochs=1)
    train_network(
        run.cell, pronas.load_dataset("digits", limit=100), skeleton, recipe, checkpoint=folder / "checkpoint"
    )


def readers(folder: Path, work: Path) -> dict[str, Callable[[random.Random], None]]:
    """For each kind what breaks a file and reads it; what is refused properly raises a PronasError."""
    import numpy as np

    import pronas
    from mutants import broken_run, bytes_mutant, model_mutant, store_mutant
    from pronas.deploy import open_exported
    from pronas.predictors import load_predictor
    from pronas.report import RunReader, payload, read_scores
    from pronas.runs.steps import configuration
    from pronas.training import read_checkpoint

    kept = {name: (folder / name).read_bytes() for name in ("net.packed", "net.onnx", "net.tflite", "checkpoint")}
    kept |= {
        name: (folder / "run" / name).read_bytes() for name in ("config.toml", "train_history.csv", "store.sqlite")
    }
    weights = folder / "run" / "weights"
    models = [(folder / name / "weights/best.safetensors").read_bytes() for name in ("run", "binary")]
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)

    def broken(rng: random.Random, name: str, suffix: str = "") -> Path:
        path = work / f"mutant{suffix}"
        path.write_bytes(bytes_mutant(rng, kept[name]))
        return path

    def packed(rng: random.Random) -> None:
        pronas.load_packed(broken(rng, "net.packed"))(images)

    def model(rng: random.Random) -> None:
        path = work / "model.safetensors"
        path.write_bytes(model_mutant(rng, rng.choice(models)))
        pronas.load_model(path)

    def store(rng: random.Random) -> None:
        path = work / "store.sqlite"
        path.write_bytes(kept["store.sqlite"])
        store_mutant(rng, path)
        with contextlib.suppress(pronas.errors.PronasError), RunReader(work) as reader:
            payload(reader.read(), "x")
        run = pronas.Experiment(work)
        assert all(0 <= child.reward <= 1 for child in run.ranked())
        str(run.config), run.state, run.final

    def checkpoint(rng: random.Random) -> None:
        config = json.loads(_header(kept["checkpoint"])["config"])
        read_checkpoint(broken(rng, "checkpoint"), config)

    def controller(rng: random.Random) -> None:
        for name in ("controller.json", "controller.safetensors"):
            (work / name).write_bytes((weights / name).read_bytes())
        path = work / rng.choice(("controller.json", "controller.safetensors"))
        path.write_bytes(bytes_mutant(rng, path.read_bytes()))
        load_predictor(work / "controller")

    def onnx(rng: random.Random) -> None:
        opened = open_exported(broken(rng, "net.onnx", ".onnx"))
        assert opened is not None
        opened.score(images)

    return {
        "packed network": packed,
        "model": model,
        "store": store,
        "config.toml": lambda rng: configuration({}, broken(rng, "config.toml")),
        "checkpoint": checkpoint,
        "controller": controller,
        "scores": lambda rng: read_scores(broken(rng, "train_history.csv")),
        "onnx": onnx,
        "tflite": lambda rng: open_exported(broken(rng, "net.tflite", ".tflite")),
        "commands on broken runs": lambda rng: command_on(rng, broken_run, folder, work),
    }


def _header(data: bytes) -> dict[str, str]:
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]


def command_on(rng: random.Random, broken_run: Any, folder: Path, work: Path) -> None:
    """Run one command on a broken run as if it were typed."""
    from pronas.cli import main
    from pronas.errors import RunError

    run = work / "broken"
    broken_run(rng, folder / "run", run)
    commands = [
        ["show", run], ["show", run, "--json"], ["report", run, "--out", work / "r.html"],
        ["draw", run, "--out", work / "c.svg"], ["search", "--resume", run], ["score", run, "--top", "5"],
        ["card", run, "--out", work / "card"], ["baseline", run, "--only", "nobody"],
        ["rank", run, "--top", "3", "--save", work / "r.svg"], ["export", run, "--format", "pt2", "--out", work / "x"],
    ]  # fmt: skip
    sys.argv = ["pronas", *map(str, rng.choices(commands, [6, 6, 4, 4, 4, 4, 2, 1, 1, 0.3])[0])]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    text = err.getvalue()
    if code not in (0, 1, 2) or "unexpected" in text or "Traceback" in text:
        raise AssertionError(f"{sys.argv}: {code}, {text.strip()[-300:]}")
    if code:
        raise RunError(text)


def mutants(kind: str, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Try ``count`` mutants of a kind in this process."""
    from pronas.errors import PronasError

    def hung(number: int, frame: object) -> None:
        raise Hung

    for kind_of_time in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(kind_of_time, hung)
    found: dict[str, Any] = {"tried": count, "read": 0, "refused": 0, "wrong": 0, "slowest": 0.0, "examples": []}
    with tempfile.TemporaryDirectory() as work:
        act = readers(folder, Path(work))[kind]
        for number in range(count):
            start = time.perf_counter()
            signal.alarm(10 * LIMIT)
            signal.setitimer(signal.ITIMER_PROF, LIMIT)
            try:
                act(random.Random(f"{seed} {kind} {number}"))
                found["read"] += 1
            except PronasError as error:
                fine = len(str(error).strip().splitlines()) == 1 and len(str(error)) < 2000
                found["refused" if fine else "wrong"] += 1
                if not fine:
                    found["examples"].append(f"{kind} {number}: {len(str(error))} characters: {str(error)[:200]!r}")
            except (Exception, Hung) as error:
                found["wrong"] += 1
                found["examples"].append(f"{kind} {number}: {type(error).__name__}: {str(error)[:200]}")
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            found["slowest"] = max(found["slowest"], time.perf_counter() - start)
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def mutants_apart(kind: str, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """The same in a process of its own, so that a crash is a line of the table."""
    command = [
        sys.executable,
        __file__,
        "--kind",
        kind,
        "--count",
        str(count),
        "--seed",
        str(seed),
        "--in",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not done.stdout:
        reason = f"{kind}: ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        return {
            "tried": count,
            "read": 0,
            "refused": 0,
            "wrong": count,
            "slowest": 0.0,
            "memory": 0,
            "examples": [reason],
        }
    return dict(json.loads(done.stdout.splitlines()[-1]))


# -- kills


def kills(count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Searches killed at random moments end as one that was left alone."""
    from test_kill import TINY, Stable, outcome

    stable, moments, wrong, slowest, number = Stable(), random.Random(seed), [], 0.0, 0

    def command() -> list[str]:
        return ["search", *TINY, "--execution", "inline", "--out", str(folder / f"killed-{number}")]

    try:
        start = time.monotonic()
        assert stable.run(command()) == 0
        length, done, code = time.monotonic() - start, 0, 0
        expected, number = outcome(folder / "killed-0"), 1
        while done < count or code:
            start = time.monotonic()
            code = stable.run(command(), moments.uniform(0, 0.9 * length) if done < count else None)
            slowest = max(slowest, time.monotonic() - start)
            if code == -signal.SIGKILL:
                done += 1
            elif code or outcome(folder / f"killed-{number}") != expected:
                wrong.append(f"kill {done}: ended with {code}, or otherwise than the quiet search")
                code, number = 0, number + 1
            else:
                number += 1
    finally:
        stable.close()
    return {
        "tried": count, "read": number - 1, "refused": 0, "wrong": len(wrong), "slowest": slowest, "memory": 0,
        "examples": wrong,
    }  # fmt: skip


# -- a crowd


class Client:
    """A browser that watches a run: it keeps what it was told, loses its connection now and then, and comes back."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self.port, self.rng, self.last = port, rng, ""
        self.rows: dict[int, list[Any]] = {}
        self.connections = 0

    async def watch(self, until: asyncio.Event) -> None:
        """Watch until told to end."""
        while not until.is_set():
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                await asyncio.wait_for(self._connected(), self.rng.uniform(0.3, 4.0))

    async def catch_up(self) -> None:
        """Connect once more and take all there is."""
        with contextlib.suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(self._connected(), 5.0)

    async def _connected(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.connections += 1
        try:
            ask = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nLast-Event-ID: {self.last}\r\n\r\n"
            writer.write(ask.encode())
            name = ""
            while line := await reader.readline():
                text = line.decode().rstrip("\r\n")
                if text.startswith("id: "):
                    name = text[4:]
                elif text.startswith("data: "):
                    self._take(json.loads(text[6:]))
                    self.last = name
        finally:
            writer.close()

    def _take(self, message: dict[str, Any]) -> None:
        if message["reset"]:
            self.rows.clear()
        self.rows.update({row[0]: row for row in message["rows"]})


def crowd(count: int, seed: int, folder: Path) -> dict[str, Any]:
    """So many browsers watch a search from before its beginning to its end."""
    run, command = folder / "watched", [sys.executable, "-m", "pronas"]
    server = subprocess.Popen([*command, "watch", str(run), "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().partition("127.0.0.1:")[2].partition("/")[0])
        settings = {**SETTINGS, "operators": "3x3 maxpool,3x3 dconv,identity,3x3 conv", "children": 6, "epochs": 3}
        flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        search = subprocess.Popen([*command, "search", *flags, "--out", str(run)], stdout=subprocess.DEVNULL)
        clients = [Client(port, random.Random(f"{seed} {number}")) for number in range(count)]
        start = time.monotonic()
        asyncio.run(_watched(clients, search))
        alive = server.poll() is None
    finally:
        server.kill()
        server.wait()
    return _compared(run, clients, search.returncode, alive) | {"slowest": time.monotonic() - start, "memory": 0}


async def _watched(clients: list[Client], search: subprocess.Popen[bytes]) -> None:
    until = asyncio.Event()
    watching = [asyncio.create_task(client.watch(until)) for client in clients]
    while search.poll() is None:
        await asyncio.sleep(0.2)
    until.set()
    await asyncio.gather(*watching)
    await asyncio.gather(*(client.catch_up() for client in clients))


def _compared(run: Path, clients: list[Client], code: int | None, alive: bool) -> dict[str, Any]:
    import pronas

    known = {child.id: (child.status, child.reward) for child in pronas.Experiment(run).children()}
    wrong = [] if code == 0 and alive else [f"the search ended with {code}; the server runs: {alive}"]
    for number, client in enumerate(clients):
        told = {row[0]: (row[3], row[4]) for row in client.rows.values()}
        same = told.keys() == known.keys() and all(
            told[one][0] == known[one][0] and abs((told[one][1] or 0) - (known[one][1] or 0)) < 1e-5 for one in known
        )
        if not same:
            wrong.append(f"client {number} knows {len(told)} of {len(known)} children")
    return {
        "tried": len(clients), "read": len(clients) - len(wrong), "refused": 0, "wrong": len(wrong),
        "examples": wrong,
    }  # fmt: skip


# -- the table


def main() -> None:
    """Run everything and print the table; the exit code is 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute instead of half an hour")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", nargs="+", choices=["kills", "live clients", *SHARES], help="these lines of the table"
    )
    for name in ("--kind", "--in"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.kind:
        print(json.dumps(mutants(asked.kind, asked.count, asked.seed, Path(vars(asked)["in"]))))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(table(Path(folder), asked.seed, 40 if asked.quick else 1, asked.only))


def table(folder: Path, seed: int, part: int, only: list[str] | None) -> int:
    """Do a ``part``-th of everything (or ``only`` of some lines); print them; returns 1 where anything went wrong."""
    make_files(folder)
    print("| what | tried | as it should be | refused in one line | wrong | slowest, s | memory, MiB | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    jobs: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("kills", lambda: kills(max(2, 20 // part), seed, folder)),
        ("live clients", lambda: crowd(max(10, 60 // part), seed, folder)),
    ]
    for kind, count in SHARES.items():
        jobs.append((kind, lambda kind=kind, count=count: mutants_apart(kind, max(5, count // part), seed, folder)))
    wrong = False
    for name, job in jobs:
        if only is not None and name not in only:
            continue
        start = time.monotonic()
        found = job()
        wrong |= bool(found["examples"])
        print(*found["examples"][:20], sep="\n", end="\n" if found["examples"] else "", file=sys.stderr, flush=True)
        figures = [found["tried"], found["read"], found["refused"], found["wrong"]]
        row = [name, *(f"{one:,}" for one in figures), f"{found['slowest']:.1f}", str(found["memory"] or "")]
        print("| " + " | ".join([*row, f"{time.monotonic() - start:.0f}"]) + " |", flush=True)
    return int(wrong)


if __name__ == "__main__":
    main()
