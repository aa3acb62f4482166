"""What ``pronas doctor`` looks at: each check gives facts (name, text) and problems, one line each."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from pronas.errors import PronasError

Facts = list[tuple[str, str]]
Problems = list[str]
_CORE = ("torch", "numpy", "scipy", "scikit-learn", "safetensors", "onnx", "onnxscript", "onnxruntime", "starlette")
_OPTIONAL = (
    "ray",
    "datasets",
    "huggingface_hub",
    "mlflow-skinny",
    "mlflow",
    "wandb",
    "trackio",
    "flatbuffers",
    "pandas",
)
_LEAST_FREE = 1 << 30  # bytes


def _versions() -> tuple[Facts, Problems]:
    """Python, pronas, and what it needs: installed, and as new as it must be."""
    from pronas.version import installed_version

    facts = [("pronas", installed_version()), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    problems = []
    least = _least_versions()
    for name in _CORE:
        found = _version(name)
        if found is None:
            problems.append(f"{name} is not installed: pip install pronas")
        elif _numbers(found) < _numbers(least.get(name, "")):
            problems.append(f"{name} {found} is too old: pip install '{name}>={least[name]}'")
    facts.append(("packages", ", ".join(f"{name} {found}" for name in _CORE if (found := _version(name)))))
    more = [f"{name} {found}" for name in _OPTIONAL if (found := _version(name))]
    facts.append(("optional", ", ".join(more) or "none"))
    return facts, problems


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _least_versions() -> dict[str, str]:
    try:
        lines = metadata.requires("pronas") or []
    except metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([\w.-]+)\s*>=\s*([\d.]+)\s*$", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _libraries() -> tuple[Facts, Problems]:
    """The compiled libraries: which were found, which this processor runs, which are in use."""
    from pronas.deploy.packed import available_kernels
    from pronas.kernels import kernels_mode, variant
    from pronas.machine import compiled_library

    names = [f"libpronas_children{suffix}.so" for suffix in ("", "_v3", "_v4", "_v5")]
    found = [name for name in names if compiled_library("pronas.kernels", name)]
    used, packed = variant(), [name for name in available_kernels() if name != "numpy"]
    if kernels_mode() == "off":
        used = "PyTorch, as PRONAS_KERNELS=off says"
    facts = [
        ("training", f"{used}; found {', '.join(found) or 'no library'}"),
        ("packed", f"{packed[0]}; runs {', '.join(packed)}" if packed else "NumPy, slowly: no library"),
    ]
    cure = "install a C compiler, then: pip install --force-reinstall --no-deps pronas"
    problems = []
    if not found:
        problems.append(f"the compiled kernels that train children are missing, so training is slower: {cure}")
    elif used == "PyTorch":
        problems.append(f"{', '.join(found)} cannot be loaded, so training is slower: {cure}")
    if not packed and os.environ.get("PRONAS_CORE") is None:
        problems.append(f"the compiled library that runs packed networks is missing: {cure}")
    return facts, problems


def _machine() -> tuple[Facts, Problems]:
    """Processor, cores, memory, GPUs."""
    from pronas.machine import cores, gpus, processor

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    found = [f"{count} {kind}" for kind, count in gpus().items() if count]
    facts = [
        ("processor", f"{processor()}, {cores()} cores for this process"),
        ("memory", f"{memory / 2**30:.1f} GiB"),
        ("GPUs", ", ".join(found) or "none"),
    ]
    return facts, []


def _caches() -> tuple[Facts, Problems]:
    """The cache folder: where, how large, whether it can be written, and what is free."""
    from pronas.data import cache_dir

    folder = cache_dir()
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    free = shutil.disk_usage(there).free
    problems = []
    if not os.access(there, os.W_OK):
        problems.append(f"the cache folder {folder} cannot be written: set PRONAS_CACHE to one that can")
    if free < _LEAST_FREE:
        problems.append(f"only {free / 2**20:.0f} MiB are free where the cache folder {folder} is: make room")
    return [("cache", f"{folder}: {size / 2**20:.1f} MiB, {free / 2**30:.1f} GiB free")], problems


def self_test() -> tuple[Facts, Problems]:
    """A child trained in a worker process, a model file written and read, exported and run: some five seconds, of which
    most go to importing torch here and there. The ONNX is of int8: that of floats alone takes as long as all of this.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pronas-doctor-") as folder:
        try:
            _search_and_export(Path(folder))
        except PronasError as error:
            return [], [f"the self-test failed: {error}"]
        except Exception as error:  # whatever goes wrong here is what was asked for
            return [], [f"the self-test failed: {type(error).__name__}: {error}"]
    return [("self-test", f"a search, a model and its ONNX file are well ({time.monotonic() - start:.1f} s)")], []


def _search_and_export(folder: Path) -> None:
    import numpy as np

    import pronas

    labels = np.arange(200) % 4
    images = np.random.default_rng(0).integers(0, 60, (200, 1, 8, 8)) + 60 * labels[:, None, None, None]
    data = pronas.Dataset.from_arrays((images.astype(np.uint8), labels))
    run = pronas.search(
        data, out=folder / "run", space="flat", operators="3x3 maxpool,3x3 dconv", filters=4,
        blocks=1, first=1, epochs=1, final_epochs=0, threads=1, workers=1,
    )  # fmt: skip
    failed = [child for child in run.children() if child.status != "done"]
    if failed:
        raise PronasError(f"child {failed[0].id} was not trained: {failed[0].error}")
    network = pronas.skeleton("flat", filters=(4,)).build(run.cell, data.input_shape, len(data.classes))
    made = pronas.export(pronas.save_model(network, folder / "net"), "onnx", folder / "net.onnx", data=data, int8=True)
    session = importlib.import_module("onnxruntime").InferenceSession(str(made))
    place = session.get_inputs()[0]
    shown = data.test.images[:1].astype(np.uint8 if "uint8" in place.type else np.float32)
    logits = session.run(None, {place.name: shown})[0]
    if not np.isfinite(logits).all():
        raise PronasError("the exported network gives no finite numbers")


CHECKS: dict[str, Callable[[], tuple[Facts, Problems]]] = {
    "versions": _versions,
    "compiled libraries": _libraries,
    "machine": _machine,
    "cache": _caches,
    "self-test": self_test,
}
