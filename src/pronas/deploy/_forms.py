"""One model in every form that it can be shipped in, each as a function from images to logits: to be measured."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from pronas.deploy._export import model_graph
from pronas.deploy.integer import IntegerGraph, integer_c, tflite_bytes, write_integer_c
from pronas.deploy.packed import PackedNetwork, c_source, pack, write_c
from pronas.errors import MissingExtraError
from pronas.training import Model

Images = NDArray[np.uint8]
Runner = Callable[[Images], NDArray[Any]]


@final
@dataclass(frozen=True)
class Form:
    """A name, a function from uint8 images (n, C, H, W) to logits (n, classes), and bytes as shipped."""

    name: str
    run: Runner
    size: int


def forms_of(model: Model, integers: IntegerGraph | None, folder: Path) -> list[Form]:
    """PyTorch first, then what the model has and what is installed here.

    Args:
        model: the model.
        integers: the integer network of a full-precision model; without it there are no int8 forms.
        folder: files are written here, and must stay while the functions are called.
    """
    makers: list[Callable[[], Form | None]] = [lambda: _torch(model), lambda: _pt2(model, folder)]
    makers += [lambda: _onnx(model, folder)]
    if model.network.plan.factory.binary:
        makers += [lambda: _packed(model), lambda: _packed_c(model, folder)]
    elif integers is not None:
        makers += [lambda: _int8_c(integers, folder), lambda: _int8_onnx(integers, folder), lambda: _tflite(integers)]
    found = []
    for make in makers:
        with contextlib.suppress(MissingExtraError):
            found.append(make())
    return [form for form in found if form is not None]


def _torch(model: Model) -> Form:
    return Form("PyTorch", _module_runner(model.network), 4 * sum(p.numel() for p in model.network.parameters()))


def _module_runner(module: torch.nn.Module) -> Runner:
    @torch.inference_mode()
    def run(images: Images) -> NDArray[Any]:
        return module(torch.from_numpy(np.ascontiguousarray(images))).numpy()  # type: ignore[no-any-return]

    return run


def _pt2(model: Model, folder: Path) -> Form:
    from pronas.deploy.onnx import torch_program

    path = folder / "model.pt2"
    torch_program(model.network, model.spec.input_shape, path)
    return Form("pt2", _module_runner(torch.export.load(path).module()), path.stat().st_size)


def _onnx(model: Model, folder: Path) -> Form:
    from pronas.deploy.onnx import export_onnx

    return _session("ONNX Runtime", export_onnx(model.network, model.spec.input_shape, folder / "model.onnx"))


def _int8_onnx(integers: IntegerGraph, folder: Path) -> Form:
    from pronas.deploy.onnx import export_onnx_int8

    return _session("ONNX Runtime int8", export_onnx_int8(integers, folder / "int8.onnx"))


def _session(name: str, path: Path) -> Form:
    from pronas.deploy.onnx import session

    run = session(path)
    return Form(name, lambda images: np.asarray(run.run(None, {"images": images})[0]), path.stat().st_size)


def _packed(model: Model) -> Form:
    data = pack(model_graph(model))
    packed = PackedNetwork(data, "packed")
    return Form(f"packed ({packed.kernel})", packed.logits, len(data))


def _packed_c(model: Model, folder: Path) -> Form | None:
    graph = model_graph(model)
    logits = graph.ops[-1].logits
    function = _compiled(write_c(graph, folder / "net.c"), "net_integers")
    if function is None or logits is None:
        return None

    def run(images: Images) -> NDArray[Any]:
        return logits(_called(function, images, np.zeros((len(images), graph.classes), np.int32)))

    return Form("C", run, c_source(graph, "net").constant_bytes)


def _int8_c(integers: IntegerGraph, folder: Path) -> Form | None:
    run = integer_runner(integers, folder)
    return None if run is None else Form("int8 C", run, integer_c(integers, "net").constant_bytes)


def integer_runner(integers: IntegerGraph, folder: Path) -> Runner | None:
    """The exported C, compiled in ``folder`` for this machine; None without a compiler."""
    function = _compiled(write_integer_c(integers, folder / "int8.c"), "int8_logits")
    if function is None:
        return None

    def run(images: Images) -> NDArray[Any]:
        return _floats(integers, _called(function, images, np.zeros((len(images), integers.classes), np.int8)))

    return run


def _tflite(integers: IntegerGraph) -> Form | None:
    if importlib.util.find_spec("ai_edge_litert") is None:
        return None
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped, import-not-found, unused-ignore]

    data = tflite_bytes(integers)
    model = Interpreter(model_content=data, num_threads=1)
    model.allocate_tensors()
    source, target = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]

    def run(images: Images) -> NDArray[Any]:
        found = []
        for image in (images.transpose(0, 2, 3, 1).astype(np.int16) - 128).astype(np.int8):
            model.set_tensor(source, image[None])
            model.invoke()
            found.append(model.get_tensor(target)[0])
        return _floats(integers, np.stack(found))

    return Form("TFLite (LiteRT)", run, len(data))


def _floats(integers: IntegerGraph, logits: NDArray[np.int8]) -> NDArray[np.float32]:
    scale = integers.scales[-1]
    return (logits.astype(np.float32) - scale.zero) * np.float32(scale.scale)


def _compiled(source: Path, name: str) -> Any:
    """The C function of that name, compiled for this machine, or None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = source.with_suffix(".so")
    subprocess.run([compiler, "-O3", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    return getattr(ctypes.CDLL(str(library)), name)


def _called(function: Any, images: Images, results: NDArray[Any]) -> NDArray[Any]:
    """``results``, filled row by row from the images."""
    for image, row in zip(np.ascontiguousarray(images), results, strict=True):
        function(ctypes.c_void_p(image.ctypes.data), ctypes.c_void_p(row.ctypes.data))
    return results
