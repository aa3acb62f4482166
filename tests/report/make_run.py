"""Write a run folder as ARCHITECTURE.md documents it, with made-up but plausible results."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from pathlib import Path

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE children(id INTEGER PRIMARY KEY, level INTEGER, round INTEGER, cell TEXT, canonical TEXT, status TEXT,
    reward REAL, predicted REAL, spread REAL, parameters INTEGER, macs INTEGER, binary_macs INTEGER,
    weight_bits INTEGER, activation_bytes INTEGER, latency_us REAL, seconds REAL, epochs INTEGER, images INTEGER,
    worker TEXT, attempts INTEGER, error TEXT, metrics TEXT, started REAL, finished REAL, revision INTEGER);
CREATE TABLE progress(child INTEGER PRIMARY KEY, epoch INTEGER, epochs INTEGER, accuracy REAL, loss REAL, updated REAL);
CREATE TABLE fits(id INTEGER PRIMARY KEY, level INTEGER, round INTEGER, report TEXT, time REAL);
PRAGMA user_version = 1;
"""
OPERATORS = {
    "3x3 dconv": (0.9, 9),
    "5x5 dconv": (1.0, 25),
    "7x7 dconv": (0.85, 49),
    "1x7-7x1 conv": (0.7, 14),
    "identity": (0.3, 0),
    "3x3 maxpool": (0.45, 0),
    "3x3 avgpool": (0.25, 0),
    "3x3 dilated conv": (0.6, 9),
}
START = 1_763_700_000.0


def make_run(
    folder: Path, children: int = 2000, state: str = "done", operators: dict | None = None, seed: int = 0
) -> Path:
    """Make a run folder with so many finished children over five levels."""
    rng, folder = random.Random(seed), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    connection = open_store(folder, create=True)
    known = operators or OPERATORS
    rows, clock = [], START
    for index in range(children):
        level = 1 + min(4, index * 5 // children)
        row = child(index + 1, level, clock, rng, known)
        clock += row["seconds"] / 2
        rows.append(row)
    insert(connection, rows)
    for level in range(1, 6 if state == "done" else 4):
        report = {
            part: {
                "spearman": round(value - 0.03 * level, 3),
                "kendall": round(value - 0.2, 3),
                "n": children // 5 * level,
            }
            for part, value in (("in_sample", 0.96), ("cross_validated", 0.8), ("extrapolation", 0.72))
        }
        report |= {"predictor": "mlp", "seconds": 3.1 * level}
        connection.execute(
            "INSERT INTO fits(level, round, report, time) VALUES (?, 1, ?, ?)", (level, json.dumps(report), clock)
        )
    best = max((r for r in rows if r["status"] == "done"), key=lambda r: r["reward"], default=None)
    meta = {
        "created": START,
        "version": "0.1.0",
        "state": state,
        "revision": children,
        "dataset": {
            "name": "fashion-mnist",
            "classes": CLASSES,
            "input_shape": [1, 28, 28],
            "train": 55000,
            "validation": 5000,
            "test": 10000,
        },
        "config": {
            "seed": seed,
            "data": {"name": "fashion-mnist"},
            "space": {"kind": "pnas", "blocks": 5, "operators": list(known), "lookback": -2},
            "search": {"strategy": "progressive", "children": 256, "predictor": "mlp"},
            "children": {"epochs": 5, "batch": 128},
        },
    }
    if state == "done" and best:
        meta["final"] = final(best, rng)
        names = (("resnet8", "light", 0.921), ("ds-cnn", "standard", 0.894))
        known = [
            {"name": n, "recipe": r, "test_accuracy": a, "parameters": 77_946, "seconds": 5_000.0} for n, r, a in names
        ]
        text = "the search paid: +1.02 ± 0.37 points against resnet8"
        meta["comparison"] = {"baselines": known, "points": 1.02, "error": 0.37, "text": text}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in meta.items()])
    connection.commit()
    connection.close()
    with open(folder / "train_history.csv", "w", newline="") as file:
        for row in rows:
            if row["status"] == "done":
                parts = [
                    x for block in row["cell"].split(" | ") for half in block.split(" + ") for x in half.split(":", 1)
                ]
                file.write(",".join([str(row["reward"]), *parts]) + "\r\n")
    return folder


CLASSES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def open_store(folder: Path, create: bool = False) -> sqlite3.Connection:
    """Open the store for writing, as a search does."""
    connection = sqlite3.connect(folder / "store.sqlite")
    connection.execute("PRAGMA journal_mode=WAL")
    if create:
        connection.executescript(TABLES)
    return connection


def insert(connection: sqlite3.Connection, rows: list[dict]) -> None:
    if rows:
        names = list(rows[0])
        connection.executemany(
            f"INSERT OR REPLACE INTO children({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            [list(r.values()) for r in rows],
        )


def child(number: int, level: int, clock: float, rng: random.Random, operators: dict) -> dict:
    """Make one finished child; its id is also its revision."""
    names = list(operators)
    weights = [math.exp(2 * (level - 1) / 4 * operators[n][0]) for n in names]
    half = lambda b: (rng.randint(-2, b - 1), rng.choices(names, weights)[0])  # noqa: E731
    halves = [half(b) for b in range(level) for _ in range(2)]
    quality = sum(operators[name][0] for _, name in halves) / len(halves)
    latent = 0.62 + 0.2 * quality + 0.022 * level + (0.02 if any(v >= 0 for v, _ in halves) else 0)
    reward = min(0.99, max(0.1, latent + rng.gauss(0, 0.012)))
    parameters = int(4000 + sum(operators[name][1] * 48 + 900 for _, name in halves) * (1 + 0.1 * rng.random()))
    failed, seconds = rng.random() < 0.008, round(4 + 3 * level + 2 * rng.random(), 2)
    curve = [round(reward * (1 - 0.5 * math.exp(-e)), 4) for e in range(1, 6)]
    pairs = list(zip(halves[::2], halves[1::2], strict=True))
    cell = " | ".join(f"{a}:{n} + {b}:{m}" for (a, n), (b, m) in pairs)
    return {
        "id": number,
        "level": level,
        "round": 1,
        "cell": cell,
        "canonical": cell,
        "status": "failed" if failed else "done",
        "reward": 0.0 if failed else round(reward, 4),
        "predicted": None if level == 1 else round(latent + rng.gauss(0, 0.02), 4),
        "spread": None if level == 1 else round(0.01 + 0.01 * rng.random(), 4),
        "parameters": parameters,
        "macs": parameters * 390,
        "binary_macs": 0,
        "weight_bits": parameters * 32,
        "activation_bytes": 30000 + parameters // 3,
        "latency_us": None,
        "seconds": seconds,
        "epochs": 5,
        "images": 275000,
        "worker": f"local-{number % 2}",
        "attempts": 1,
        "error": "the worker ran out of memory (limit 2048 MiB)" if failed else None,
        "metrics": json.dumps({"validation_accuracy": curve, "train_loss": [round(2.3 * (1 - c), 4) for c in curve]}),
        "started": clock,
        "finished": clock + seconds,
        "revision": number,
    }


def final(best: dict, rng: random.Random) -> dict:
    """Make the record of the winner's training."""
    accuracy = [round(0.93 * (1 - 0.45 * math.exp(-e / 12)) + rng.gauss(0, 0.002), 4) for e in range(1, 61)]
    matrix = [[0] * 10 for _ in range(10)]
    for true in range(10):
        for _ in range(1000):
            said = true if rng.random() < 0.93 else rng.choice([0, 2, 4, 6] if true in (0, 2, 4, 6) else [5, 7, 9, 8])
            matrix[true][said] += 1
    curves = {
        "train_accuracy": [round(min(0.995, a + 0.002 * i / 3), 4) for i, a in enumerate(accuracy)],
        "validation_accuracy": accuracy,
        "train_loss": [round(1.8 * (1 - a), 4) for a in accuracy],
        "validation_loss": [round(1.9 * (1 - a) + 0.02, 4) for a in accuracy],
    }
    return {
        "cell": best["cell"],
        "test_accuracy": 0.9312,
        "validation_accuracy": 0.9304,
        "curves": curves,
        "confusion": matrix,
        "classes": CLASSES,
        "parameters": 2_731_402,
        "weight_bits": 87_404_864,
        "seconds": 5230.0,
    }
