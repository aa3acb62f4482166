"""Mutated model files through our loaders: each must load and run or be refused in one of our errors, soon and without
a crash.

    python benchmarks/fuzz_files.py --count 34000 [--kinds safetensors packed tflite]

Files are broken as `torture.py` breaks them (`tests/mutants.py`): bytes changed, cut, doubled; models' specifications
with a digest that is right. safetensors: weights. packed: through Python (`fuzz_packed.py` feeds the C core under
AddressSanitizer). tflite: the loader has LiteRT run a file in a process of its own; here that process is a fork of one
in which LiteRT is imported already, so that a file takes milliseconds. What it does to LiteRT is counted (refused,
ended by signal 11, …), what it does to us must be a refusal. Exits with 1 where something else happens than loading or
a `PronasError`, or where a file takes too long; each such file is kept.
"""

import argparse
import json
import os
import random
import re
import signal
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/deploy"))
from mutants import bytes_mutant, flipped, model_mutant
from pronas.deploy import load_packed, pack
from pronas.deploy._lite import LiteProcess
from pronas.errors import PronasError
from pronas.networks import Binary, Residual
from pronas.training import ModelSpec, load_model, save_model

SECONDS = {"tflite": 90}
"""What a file may take: 20, but LiteRT is given 60 by the loader itself."""

Mutate = Callable[[random.Random], bytes]
Load = Callable[[Path], object]


def fuzz(kind: str, count: int, seed: int, folder: Path) -> Counter[str]:
    """How often which end came, over ``count`` mutated files of one kind; "loaded", "refused", or what went wrong."""
    rng, found = random.Random(f"{kind}/{seed}"), Counter[str]()
    mutate, load = KINDS[kind](folder)
    path = folder / f"mutated.{kind}"
    signal.signal(signal.SIGALRM, _late)
    for number in range(count):
        path.write_bytes(mutate(rng))
        signal.alarm(SECONDS.get(kind, 20))
        try:
            load(path)
            end = "loaded"
        except PronasError as error:
            signalled = re.search(r"ended by signal \d+", str(error))
            end = f"refused, {signalled[0]}" if signalled else "refused"
        except Exception as error:
            end = f"{type(error).__name__}: {str(error)[:80]}"
            path.rename(folder.parent / f"{kind}-{seed}-{number}{path.suffix}")
        signal.alarm(0)
        found[end] += 1
        if (number + 1) % 2000 == 0:
            print(f"{kind} {number + 1}: {dict(found.most_common(12))}", flush=True)
    return found


def _late(*_signal: object) -> None:
    raise TimeoutError("too long")


def _safetensors(folder: Path) -> tuple[Mutate, Load]:
    data = []
    for number, (cell, skeleton) in enumerate((
        ("0:3x3 bconv + 0:3x3 maxpool", Binary(filters=(8, 8))),
        ("0:3x3-3x3 conv + 0:identity", Residual(filters=(4, 8), strides=(1, 2), stem=4)),
    )):  # fmt: skip
        spec = ModelSpec(cell, skeleton.to_dict(), (1, 12, 12), ("a", "b", "c"))
        data.append(save_model(spec.build(seed=1), folder / f"own{number}", spec).read_bytes())
    return lambda rng: model_mutant(rng, rng.choice(data)), load_model


def _packed(folder: Path) -> tuple[Mutate, Load]:
    from deploy_graphs import random_graph

    data = [pack(random_graph(seed)[0]) for seed in range(10)]

    def load(path: Path) -> None:
        network = load_packed(path)
        if int(np.prod(network.input_shape)) < 1_000_000:
            network(np.zeros((1, *network.input_shape), np.uint8))

    return lambda rng: _sealed(rng, bytes_mutant(rng, rng.choice(data))), load


def _sealed(rng: random.Random, data: bytes) -> bytes:
    """A packed file, now and then with the size and the checksum that belong to it."""
    if len(data) < 64 or rng.random() < 0.3:
        return data
    head = data[:12] + struct.pack("<I", len(data)) + data[16:60]
    return head + struct.pack("<I", zlib.crc32(head + bytes(4) + data[64:])) + data[64:]


def _tflite(folder: Path) -> tuple[Mutate, Load]:
    import ai_edge_litert.interpreter  # noqa: F401  # for the forks
    from integer_graphs import integer_network

    from pronas.deploy.integer import tflite_bytes

    data = [tflite_bytes(integer_network(seed)[0]) for seed in range(10)]

    def mutate(rng: random.Random) -> bytes:
        whole = rng.choice(data)
        if rng.random() < 0.5:
            return bytes_mutant(rng, whole)
        at = rng.choice((0, rng.randrange(len(whole))))  # close together, so that most of the file stays as it was
        return whole[:at] + flipped(rng, whole[at : at + 64]) + whole[at + 64 :]

    def load(path: Path) -> None:
        opened = LiteProcess(path, start=Forked)
        try:
            if int(np.prod(opened.input_shape)) < 1_000_000:
                opened.score(np.zeros((2, *opened.input_shape), np.uint8))
        finally:
            opened.close()

    return mutate, load


class Forked:
    """As `subprocess.Popen` of the loader's program, but a fork of this process, in which LiteRT is imported."""

    def __init__(self, path: Path) -> None:
        from pronas.deploy import _lite_child

        (theirs, to), (back, answers) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                for one, other in ((theirs, 0), (answers, 1), (os.open(os.devnull, os.O_WRONLY), 2)):
                    os.dup2(one, other)
                os.closerange(3, 64)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                sys.stdin = os.fdopen(0)
                _lite_child.main(str(path))
                code = 0
            finally:
                os._exit(code)
        os.close(theirs)
        os.close(answers)
        self.stdin, self.stdout = os.fdopen(to, "wb", buffering=0), os.fdopen(back, "rb")

    def wait(self) -> int:
        """As `Popen.wait`: the status, negative a signal."""
        if self.pid:
            self.code, self.pid = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), 0
        return self.code


KINDS: dict[str, Callable[[Path], tuple[Mutate, Load]]] = {
    "safetensors": _safetensors, "packed": _packed, "tflite": _tflite,
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
        wrong |= any(end != "loaded" and not end.startswith("refused") for end in found)
        print(f"{kind}: {json.dumps(dict(found.most_common(12)))}", flush=True)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
