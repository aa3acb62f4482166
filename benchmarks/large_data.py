"""A data set larger than memory should be: time and memory to load it, and to train a child of it.

Writes a set of 64x64 colour pictures (as a zip of PPM files, or as a .npz), then loads it twice, each in a process of
its own, and trains two children for an epoch where asked. The memory that counts is what is not page cache: anonymous
memory (RssAnon) of the process, its peak sampled every 20 ms.

    python benchmarks/large_data.py --images 50000
    python benchmarks/large_data.py --images 500000 --kind npz --folder /somewhere/with/20GB
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np

SIDE, CLASSES = 64, 10


@functools.cache
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 156, (1000, SIDE, SIDE, 3), dtype=np.uint8)


def pictures(start: int, count: int) -> np.ndarray:
    """Images (n, 64, 64, 3), all different, whose red depends on their class; cheap to make and not compressible."""
    images = noise()[:count].copy()
    number = np.arange(start, start + count)
    images[..., 0] += (number % CLASSES * 9).astype(np.uint8)[:, None, None]
    images[:, 0, :3, 1] = np.stack([number % 256, number // 256 % 256, number // 65536], 1)
    return images


def write_zip(path: Path, images: int) -> None:
    head = f"P6 {SIDE} {SIDE} 255\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        for start in range(0, images, 1000):
            for i, image in enumerate(pictures(start, min(1000, images - start)), start):
                archive.writestr(f"class{i % CLASSES}/{i:07}.ppm", head + image.tobytes())


def write_npz(path: Path, images: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (images, SIDE, SIDE, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, images, 1000):
                file.write(pictures(start, min(1000, images - start)).tobytes())
        with archive.open("y_train.npy", "w") as file:
            np.lib.format.write_array(file, np.arange(images) % CLASSES)


class Memory:
    """Peaks of the memory without page cache, in MiB: of this process, and the most of any of its workers."""

    def __init__(self) -> None:
        self.own = self.workers = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.own = max(self.own, anonymous("self"))
            self.workers = max([self.workers, *(anonymous(process) for process in descendants(str(os.getpid())))])
            time.sleep(0.05)


def anonymous(process: str) -> float:
    try:
        text = Path(f"/proc/{process}/status").read_text()
        return int(text.split("RssAnon:")[1].split()[0]) / 1024
    except (OSError, IndexError):  # it has just ended
        return 0.0


def descendants(process: str) -> list[str]:
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        found = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return found + [other for child in found for other in descendants(child)]


def load(path: str) -> None:
    memory = Memory()
    start = time.perf_counter()
    from pronas.data import load_dataset, scale_of

    dataset = load_dataset(path)
    loaded = time.perf_counter()
    fingerprint = dataset.fingerprint
    scale_of(dataset)
    known = time.perf_counter()
    figures = {"load_s": loaded - start, "fingerprint_and_scale_s": known - loaded}
    if len(sys.argv) > 3:
        figures |= train(dataset) | {"worker_mib": memory.workers}
    figures["own_mib"] = memory.own
    print(json.dumps({**figures, "fingerprint": fingerprint[:12], "images": sum(len(s) for _, s in dataset.splits())}))


def train(dataset) -> dict[str, float]:
    from pronas import NetworkManager, skeleton
    from pronas.training import recipe

    start = time.perf_counter()
    with NetworkManager(
        dataset,
        skeleton=skeleton("flat", filters=[4, 4]),
        recipe=recipe("search", epochs=1, batch=64).replace(images=6400),
        execution="local",
        workers=2,
    ) as manager:
        ready = time.perf_counter()
        results = list(manager.get_rewards(["0:3x3 maxpool + 0:identity", "0:3x3 dconv + 0:identity"]))
    assert all(result.status == "done" for result in results), [result.error for result in results]
    return {"manager_s": ready - start, "two_children_s": time.perf_counter() - ready}


def run(path: Path, cache: Path, *more: str) -> dict[str, float]:
    environment = os.environ | {"PRONAS_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--load", str(path), *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--load"]:
        load(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--kind", choices=["zip", "npz"], default="zip")
    parser.add_argument("--folder", type=Path, help="where the set and its cache are written, and removed again")
    parser.add_argument("--train", action="store_true", help="train two children too")
    options = parser.parse_args()
    needed = options.images * SIDE * SIDE * 3 * 3.2
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        if shutil.disk_usage(folder).free < needed:
            sys.exit(f"{folder}: {needed / 1e9:.0f} GB are needed")
        path = folder / f"set.{options.kind}"
        start = time.perf_counter()
        (write_zip if options.kind == "zip" else write_npz)(path, options.images)
        print(f"{options.images:,} images, {path.stat().st_size / 1e9:.2f} GB, in {time.perf_counter() - start:.0f} s")
        for what, more in (("first", ()), ("second", ()), *((("third", ("train",)),) if options.train else ())):
            figures = run(path, folder / "cache", *more)
            print(what, ", ".join(f"{k} {v:.1f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items()))
        kept = sum(file.stat().st_size for file in (folder / "cache").glob("decoded/*"))
        print(f"kept {kept / 1e9:.2f} GB")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
