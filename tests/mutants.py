"""Files as a careless disk or a hostile hand leaves them: bytes flipped, cut, and values of other types."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

#: What stands in the place of a value: other types, other sizes, nothing.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 10**6, 10**7, 2**31, 2**63, 10**30, -(2**40), 0.5, -0.0, 1e308, float("nan")),
    *(float("inf"), "", "0", "x", "nan", "1e400", "0:3x3 dconv", "é\0", "x" * 5000, [], [[]], [None], [0] * 50, {}),
    *({"x": 1}, {"name": None}, [1e308, "y"], {"": {"": []}}),
)
GONE = object()


def flipped(rng: random.Random, data: bytes) -> bytes:
    """A few bytes are others."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if found:
            found[rng.randrange(len(found))] = rng.choice((0, 255, 127, 34, 91, 123, rng.randrange(256)))
    return bytes(found)


def cut(rng: random.Random, data: bytes) -> bytes:
    """Ends early, goes on, misses a part, or has one twice."""
    one, two = sorted(rng.randrange(len(data) + 1) for _ in range(2)) if data else (0, 0)
    return rng.choice(
        [data[:one], data[one:], data[:one] + data[two:], data[:two] + data[one:], data + data[one:two], b""]
    )


def retyped(rng: random.Random, value: Any) -> Any:
    """Plain data in which one value, at any depth, is another or gone."""
    if rng.random() < 0.15 or not isinstance(value, (dict, list)) or not value:
        return rng.choice(ODD)
    key = rng.choice(sorted(value)) if isinstance(value, dict) else rng.randrange(len(value))
    found = value.copy()
    kind = rng.random()
    if kind < 0.1:
        del found[key]
    elif kind < 0.15 and isinstance(found, dict):
        found[f"{key}x"] = found[key]
    elif kind < 0.2 and isinstance(found, list):
        found.append(found[key])
    else:
        found[key] = retyped(rng, value[key])
    return found


def json_mutant(rng: random.Random, text: str) -> str:
    """The same for text that is JSON; now and then nested deeper than anybody can read."""
    if rng.random() < 0.03:
        return "[" * 100_000
    return json.dumps(retyped(rng, json.loads(text)), ensure_ascii=False)


def bytes_mutant(rng: random.Random, data: bytes) -> bytes:
    """Any file."""
    if rng.random() < 0.4 and data[:1] in (b"{", b"["):
        return json_mutant(rng, data.decode()).encode("utf-8", "surrogatepass")
    return rng.choice((flipped, cut))(rng, data)


def model_mutant(rng: random.Random, data: bytes) -> bytes:
    """A model file: bytes, or its specification, sealed again with a digest that is right."""
    if rng.random() < 0.3:
        return bytes_mutant(rng, data)
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    return sealed(header, body, lambda spec: json_mutant(rng, spec))


def sealed(header: dict[str, Any], body: bytes, change: Callable[[str], str]) -> bytes:
    """A model file with another specification and the digest that belongs to it."""
    own = header["__metadata__"]
    spec = change(own["spec"])
    found = hashlib.sha256(spec.encode("utf-8", "surrogatepass"))
    for name in sorted(set(header) - {"__metadata__"}):
        entry = header[name]
        kind = {"F32": "torch.float32", "I64": "torch.int64"}[entry["dtype"]]
        found.update(f"\n{name} {kind} {tuple(entry['shape'])}\n".encode())
        found.update(body[slice(*entry["data_offsets"])])
    text = json.dumps({**header, "__metadata__": {**own, "spec": spec, "digest": found.hexdigest()}})
    raw = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw + body


def store_mutant(rng: random.Random, path: Path) -> None:
    """A run's store, in place: bytes, or one value of one row."""
    if rng.random() < 0.25:
        path.write_bytes(bytes_mutant(rng, path.read_bytes()))
        return
    with closing(sqlite3.connect(path)) as store:
        table = rng.choice(("meta", "meta", "children", "children", "fits"))
        columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
        column = "value" if table == "meta" else rng.choice(columns)
        rows = [row[0] for row in store.execute(f"SELECT rowid FROM {table}")]
        if not rows:
            return
        row = rng.choice(rows)
        (old,) = store.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()
        try:
            store.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_stored(rng, old), row))
        except (sqlite3.Error, OverflowError):  # a column that takes no such value
            return
        store.commit()


def _stored(rng: random.Random, old: Any) -> Any:
    if isinstance(old, str) and old[:1] in ("{", "[", '"') and rng.random() < 0.8:
        return json_mutant(rng, old)
    odd = rng.choice((*ODD, b"\xff\xfe", b""))
    return json.dumps(odd) if isinstance(odd, (list, dict)) else odd


def broken_run(rng: random.Random, run: Path, target: Path) -> str:
    """A copy of a run folder with one file broken, or gone, or a folder; returns which."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    weight = {"store.sqlite": 6, "best.safetensors": 3, "best.json": 2, "controller.json": 2}
    path = rng.choices(files, [weight.get(file.name, 1) for file in files])[0]
    how = rng.random()
    if how < 0.05:
        path.unlink()
    elif how < 0.1:
        path.unlink()
        path.mkdir()
    elif path.name == "store.sqlite":
        store_mutant(rng, path)
    elif path.name == "best.safetensors":
        path.write_bytes(model_mutant(rng, path.read_bytes()))
    else:
        path.write_bytes(bytes_mutant(rng, path.read_bytes()))
    return str(path.relative_to(target))
