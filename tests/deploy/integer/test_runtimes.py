"""One integer network: NumPy, the C, LiteRT, TensorFlow Lite for Microcontrollers and ONNX Runtime give the same."""

import ctypes
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from integer_graphs import integer_network, random_model

from pronas.deploy.integer import (
    integer_c,
    integer_footprint,
    lower,
    run_float,
    run_integer,
    tflite_bytes,
    write_integer_c,
)
from pronas.deploy.onnx import export_onnx_int8, session

SEEDS = range(8)
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


@pytest.fixture(scope="module")
def networks():
    return {seed: integer_network(seed) for seed in SEEDS}


def need(*programs):
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


@pytest.mark.parametrize("seed", range(0, 24, 2))
def test_the_lowered_graph_computes_what_the_network_does(seed):
    network, images = random_model(seed)
    with torch.no_grad():
        expected = network(torch.from_numpy(images))
        found = run_float(lower(network), torch.from_numpy(images))[-1].flatten(1)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_integers_come_close_to_floats(networks):
    for integers, images, network in networks.values():
        with torch.no_grad():
            expected = network(torch.from_numpy(images)).numpy()
        logits = integers.scales[-1]
        found = (run_integer(integers, images).astype(float) - logits.zero) * logits.scale
        assert np.abs(found - expected).mean() < 0.05 * expected.std()


def test_c_gives_the_same_bytes_in_the_memory_foretold(networks, tmp_path):
    need("gcc")
    files = [write_integer_c(integers, tmp_path / f"net{seed}.c") for seed, (integers, *_) in networks.items()]
    checks = ["-O0", "-fsanitize=undefined", "-fno-sanitize-recover", "-shared", "-fPIC"]
    run("gcc", *STRICT, *checks, *files, "-o", tmp_path / "nets.so")
    library = ctypes.CDLL(str(tmp_path / "nets.so"))
    for seed, (integers, images, network) in networks.items():
        made = integer_c(integers, "net")
        assert integer_footprint(network.plan)[:2] == (made.constant_bytes, made.buffer_bytes)
        for image, expected in zip(images, run_integer(integers, images), strict=True):
            logits, pixels = np.zeros(integers.classes, np.int8), np.ascontiguousarray(image)
            function = getattr(library, f"net{seed}_logits")
            chosen = function(ctypes.c_void_p(pixels.ctypes.data), ctypes.c_void_p(logits.ctypes.data))
            assert np.array_equal(logits, expected), f"seed {seed}"
            assert chosen == expected.argmax()


def test_nothing_but_memcpy_is_called_and_the_object_is_as_large_as_said(networks, tmp_path):
    need("gcc", "nm")
    for integers, *_ in list(networks.values())[:3]:
        write_integer_c(integers, tmp_path / "net.c")
        run("gcc", *STRICT, "-O2", "-fno-pic", "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
        assert set(re.findall(r" U (\w+)", run("nm", tmp_path / "net.o"))) <= {"memcpy", "_GLOBAL_OFFSET_TABLE_"}
        rows = re.findall(r"^\w+ (\w+) [rb] (\w+)$", run("nm", "-S", tmp_path / "net.o"), re.M)
        symbols, made = {name: int(size, 16) for size, name in rows}, integer_c(integers, "net")
        assert symbols.pop("arena") == made.buffer_bytes
        assert sum(symbols.values()) == made.constant_bytes


def lite_inputs(images):
    return (images.transpose(0, 2, 3, 1).astype(np.int16) - 128).astype(np.int8)


def test_litert_gives_the_same_bytes(networks):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    lite = pytest.importorskip("ai_edge_litert.interpreter")
    for seed, (integers, images, _) in networks.items():
        model = lite.Interpreter(
            model_content=tflite_bytes(integers), experimental_op_resolver_type=lite.OpResolverType.BUILTIN_REF
        )
        model.allocate_tensors()
        source, target = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]
        for image, expected in zip(lite_inputs(images), run_integer(integers, images), strict=True):
            model.set_tensor(source, image[None])
            model.invoke()
            assert np.array_equal(model.get_tensor(target)[0], expected), f"seed {seed}"


def test_tensorflow_lite_micro_gives_the_same_bytes(networks):
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    for seed, (integers, images, _) in networks.items():
        model = runtime.Interpreter.from_bytes(tflite_bytes(integers))
        for image, expected in zip(lite_inputs(images), run_integer(integers, images), strict=True):
            model.set_input(image[None], 0)
            model.invoke()
            assert np.array_equal(model.get_output(0)[0], expected), f"seed {seed}"


def test_onnx_runtime_gives_the_same_logits(networks, tmp_path):
    for seed, (integers, images, _) in networks.items():
        path = export_onnx_int8(integers, tmp_path / f"{seed}.onnx")
        found = np.rint(session(path).run(None, {"images": images})[0] / integers.scales[-1].scale)
        different = found + integers.scales[-1].zero != run_integer(integers, images)
        assert different.mean() <= 0.001, f"seed {seed}"


def test_openvino_gives_the_same_classes(networks, tmp_path):
    openvino = pytest.importorskip("openvino")
    for integers, images, _ in networks.values():
        path = export_onnx_int8(integers, tmp_path / "net.onnx")
        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        (logits,) = compiled(images).values()
        assert (logits.argmax(1) == run_integer(integers, images).argmax(1)).mean() > 0.98
