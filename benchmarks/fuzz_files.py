"""Mutated model files through our loaders: each must load or be refused in one of our errors, soon and without a crash.

    python benchmarks/fuzz_files.py --count 20000 [--kinds safetensors forged packed]

safetensors: bytes of weights files are changed. forged: their specification is changed and the digest mended, so
that what lies behind it is looked at. packed: bytes of packed files, through Python (`fuzz_packed.py` feeds the C core
under AddressSanitizer). Files of TensorFlow Lite are written, never read. Exits with 1 where something else happens
than loading or a `PronasError`, or where a file takes more than 20 seconds; each such file is kept.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from pronas.deploy import load_packed, pack
from pronas.errors import PronasError
from pronas.networks import Binary, Residual
from pronas.training import ModelSpec, load_model, save_model
from pronas.training._tensor_files import digest_of, write_tensors

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/deploy"))
HOSTILE = (
    None,
    0,
    -1,
    1,
    10**6,
    10**30,
    1e308,
    float("nan"),
    "",
    "x" * 5000,
    [],
    {},
    [[]],
    True,
    [10**6],
    "0:9x9 conv + 0:x",
)
SECONDS = 20


def fuzz(kind: str, count: int, seed: int, folder: Path) -> Counter[str]:
    """How often which end came, over ``count`` mutated files of one kind; "loaded", "refused", or what went wrong."""
    rng, found = random.Random(f"{kind}/{seed}"), Counter[str]()
    mutate, load = KINDS[kind](folder)
    path = folder / f"mutated{'.packed' if kind == 'packed' else '.safetensors'}"
    signal.signal(signal.SIGALRM, _late)
    for number in range(count):
        mutate(rng, path)
        signal.alarm(SECONDS)
        try:
            load(path)
            end = "loaded"
        except PronasError:
            end = "refused"
        except Exception as error:
            end = f"{type(error).__name__}: {str(error)[:80]}"
            path.rename(folder.parent / f"{kind}-{seed}-{number}{path.suffix}")
        signal.alarm(0)
        found[end] += 1
    return found


def _late(*_signal: object) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def _changed(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, favouring the head; now and then cut."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(min(len(found), 2048) if rng.random() < 0.7 else len(found))
        found[at] = rng.choice((0, 1, 127, 128, 255)) if rng.random() < 0.5 else rng.randrange(256)
    return bytes(found[: rng.randrange(len(found))] if rng.random() < 0.1 else found)


def _models(folder: Path) -> list[Path]:
    made = []
    for number, (cell, skeleton) in enumerate((
        ("0:3x3 bconv + 0:3x3 maxpool", Binary(filters=(8, 8))),
        ("0:3x3-3x3 conv + 0:identity", Residual(filters=(4, 8), strides=(1, 2), stem=4)),
    )):  # fmt: skip
        spec = ModelSpec(cell, skeleton.to_dict(), (1, 12, 12), ("a", "b", "c"))
        made.append(save_model(spec.build(seed=1), folder / f"own{number}", spec))
    return made


Mutate = Callable[[random.Random, Path], object]
Load = Callable[[Path], object]


def _safetensors(folder: Path) -> tuple[Mutate, Load]:
    data = [path.read_bytes() for path in _models(folder)]
    return lambda rng, path: path.write_bytes(_changed(rng, rng.choice(data))), load_model


def _forged(folder: Path) -> tuple[Mutate, Load]:
    parts = []
    for model in _models(folder):
        with safe_open(model, "pt") as file:
            parts.append((file.metadata(), {name: file.get_tensor(name) for name in file.keys()}))  # noqa: SIM118

    def mutate(rng: random.Random, path: Path) -> None:
        header, tensors = rng.choice(parts)
        content, tensors = json.dumps(_bent(rng, json.loads(header["spec"]))), dict(tensors)
        if rng.random() < 0.2:
            name = rng.choice(list(tensors))
            tensors[name] = rng.choice((torch.zeros(0), torch.full((3,), float("nan")), tensors[name].double()))
        write_tensors(tensors, path, dict(header) | {"spec": content, "digest": digest_of(tensors, content)})

    return mutate, load_model


def _bent(rng: random.Random, value: object) -> object:
    """The same plain data with one place of it changed."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {key: entry for key, entry in value.items() if key != name}
        return value | {name: _bent(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], _bent(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and value and rng.random() < 0.5:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice(("|", "+", ":", "-", "9" * 20, "\0", "é", "")) + value[at + 1 :]
    return rng.choice(HOSTILE)


def _packed(folder: Path) -> tuple[Mutate, Load]:
    from deploy_graphs import random_graph

    data = [pack(random_graph(seed)[0]) for seed in range(10)]

    def load(path: Path) -> None:
        network = load_packed(path)
        if int(np.prod(network.input_shape)) < 1_000_000:
            network(np.zeros((1, *network.input_shape), np.uint8))

    return lambda rng, path: path.write_bytes(_changed(rng, rng.choice(data))), load


KINDS: dict[str, Callable[[Path], tuple[Mutate, Load]]] = {
    "safetensors": _safetensors, "forged": _forged, "packed": _packed,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    wrong, kept = False, Path(tempfile.mkdtemp(prefix="pronas-fuzz-"))
    for kind in options.kinds:
        folder = kept / kind
        folder.mkdir()
        found = fuzz(kind, options.count, options.seed, folder)
        wrong |= bool(set(found) - {"loaded", "refused"})
        print(f"{kind}: {dict(found.most_common(12))}", flush=True)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
