"""Int8 on microcontrollers: instructions, flash, RAM, beside BakeNN; and do all runtimes give the same bytes?

    python benchmarks/int8.py count [RUN ...]       # ResNet-8 of MLPerf Tiny and searched networks, or the winners of
                                                    # one's own runs (folders, or model files)
    python benchmarks/int8.py accuracy RUN ...      # float, int8, int8 after further training (--qat 2), on all test
                                                    # images; how often ONNX Runtime and OpenVINO give int8's class
    python benchmarks/int8.py same --cells 300      # random cells of all skeletons: NumPy, C (also on a Cortex-M4 and a
                                                    # Cortex-M0+), LiteRT, TFLM; footprints; goes on where it stopped
    python benchmarks/int8.py code                  # bytes of code by kind of operation, for deploy/targets.toml

`count` runs the exported C on a Cortex-M4 (DSP instructions) and a Cortex-M0+ under QEMU (arm-none-eabi-gcc,
qemu-system-arm), and, where it is installed, what BakeNN makes of the same .tflite at -O2: portable, and with
CMSIS-NN's sources. BakeNN knows no MEAN: it gets an AVERAGE_POOL in its place.
"""

import argparse
import collections
import contextlib
import ctypes
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/deploy"))
from integer_graphs import drawn, integer_network, unruly
from integer_programs import on_cortex_m, printed

from pronas.cli._export import images_of
from pronas.deploy import emulate, find_model
from pronas.deploy._forms import integer_runner
from pronas.deploy.integer import (
    Builder,
    calibrate,
    integer_c,
    integer_footprint,
    integer_model,
    lower,
    quantize,
    run_integer,
    tflite_bytes,
    write_integer_c,
)
from pronas.deploy.onnx import export_onnx_int8, session
from pronas.networks import Residual
from pronas.space import Cell
from pronas.training import load_model

EMULATED = {"cortex-m4": 3, "cortex-m0plus": 10}
"""Which of the random cells run under QEMU: every so many."""

BAKENN = """#include "bknn_net.h"
static int8_t in[@IN@], out[@OUT@];
static uint8_t arena[@ARENA@] __attribute__((aligned(16)));
int run(const uint8_t *image) {
  for (int32_t i = 0; i < @PIXELS@; i++)
    for (int32_t c = 0; c < @C@; c++) in[i * @C@ + c] = (int8_t)(image[c * @PIXELS@ + i] - 128);
  bknn_net_infer(arena, in, out);
  int best = 0;
  for (int i = 1; i < @OUT@; i++) if (out[i] > out[best]) best = i;
  return best;
}
"""


SEARCHED = {
    "resnet8": ("0:3x3-3x3 conv + 0:identity", 3, (16, 32, 64)),
    "cifar": ("0:3x3 conv + 0:3x3 maxpool", 3, (28, 54, 106)),
    "cifar-three": (
        "0:3x3 conv + 0:3x3 maxpool | 0:3x3 maxpool + 1:3x3 maxpool | 2:3x3 dconv + 2:3x3 dconv", 3, (20, 44, 84)
    ),
    "fashion": ("0:3x3-3x3 conv + 0:identity", 1, (16, 32, 64)),
    "fashion-deep": ("0:3x3 dconv + 0:identity | 0:3x3 dconv + 0:identity", 1, (28, 58, 118)),
    "cifar-narrow": ("0:3x3 mbconv3 + 0:3x3 mbconv3", 3, (28, 52, 108)),
}  # fmt: skip
"""ResNet-8 of MLPerf Tiny, and cells that searches in the space ``residual`` found (2026-11-24, sets as named, two to
six minutes of a shared core), at widths near 78,000 parameters: cell, channels of images, filters of the stages."""


def network_of(name):
    """With weights drawn at random: instructions do not depend on them."""
    cell, channels, filters = SEARCHED[name]
    scale, side = ([120.0] * channels, [60.0] * channels), 32 if channels == 3 else 28
    network = Residual(filters=filters).build(Cell.parse(cell), (channels, side, side), 10, seed=0, scale=scale)
    return unruly(network, np.random.default_rng(0))


def count(name, network):
    graph = lower(network)
    images = np.random.default_rng(1).integers(0, 256, (64, *graph.input_shape), dtype=np.uint8)
    pooled = [dataclasses.replace(n, kind="avgpool") if n.kind == "mean" else n for n in graph.nodes]
    for variant, one in (("pronas", graph), ("bakenn", dataclasses.replace(graph, nodes=tuple(pooled)))):
        integers = quantize(one, calibrate(one, images))
        with tempfile.TemporaryDirectory() as folder:
            rows = (
                ours(integers, images, Path(folder)) if variant == "pronas" else bakenn(integers, images, Path(folder))
            )
            for label, processor, found in rows:
                expected = run_integer(integers, images[:1])[0].argmax()
                print(
                    f"{name:12}{label:18}{processor:15}{found.instructions / graph.macs:6.2f} instructions a MAC "
                    f"({found.instructions:,}), flash {found.flash:,}, RAM {found.ram:,}, stack {found.stack}, "
                    f"{'same' if found.result == expected else 'ANOTHER'} class",
                    flush=True,
                )


def ours(integers, images, folder):
    write_integer_c(integers, folder / "net.c")
    weights = sum(n.weight.numel() for n in integers.graph.nodes if n.weight is not None)
    print(f"weights {weights:,}, MACs {integers.graph.macs:,}, constants {integer_c(integers, 'net').constant_bytes:,}")
    glue = f'#include "{folder}/net.h"\nint run(const uint8_t *image) {{ return net_classify(image); }}\n'
    for processor in ("cortex-m4", "cortex-m0plus"):
        for level in ("-O2", "-Os"):
            yield f"pronas {level}", processor, emulate([folder / "net.c"], glue, images[0], processor, [level])


def bakenn(integers, images, folder):
    try:
        import bakenn as peer
    except ImportError:
        print("bakenn is not installed: left out")
        return
    (folder / "net.tflite").write_bytes(tflite_bytes(integers))
    optimized = peer.CBackendOptions(
        kernel_policy=peer.KernelPolicy.STATIC_PRIORITY, enable_cmsis_nn=True, target=peer.CORTEX_M4
    )
    for label, processor, options in (
        ("bakenn portable", "cortex-m4", None), ("bakenn portable", "cortex-m0plus", None),
        ("bakenn CMSIS-NN", "cortex-m4", optimized),
    ):  # fmt: skip
        where = folder / f"{label.split()[1]}-{processor}"
        try:
            peer.compile_tflite(folder / "net.tflite", where, name="net", backend_options=options)
        except peer.CompileError as error:
            print(f"{label}: {error}")
            continue
        listed = (where / "bakenn_sources.cmake").read_text().replace("${CMAKE_CURRENT_LIST_DIR}", str(where))
        sources, includes, defines = (
            re.findall(r"^  (\S+)$", part, re.M) for part in re.findall(r"set\(\w+\n(.*?)\)", listed, re.S)
        )
        flags = ["-O2", *(f"-I{p.strip(chr(34))}" for p in includes), *(f"-D{d.strip(chr(34))}" for d in defines)]
        size = int(re.search(r"ARENA_SIZE (\d+)u", (where / "bknn_net.h").read_text()).group(1))
        c, h, w = integers.input_shape
        words = {"IN": c * h * w, "OUT": integers.classes, "ARENA": size, "PIXELS": h * w, "C": c}
        glue = re.sub("@([A-Z]+)@", lambda m, words=words: str(words[m.group(1)]), BAKENN)
        found = emulate([Path(p.strip('"')) for p in sources], glue, images[0], processor, flags)
        yield label, processor, dataclasses.replace(found, ram=found.ram + size)


def accuracy(path, qat):
    """On every test image of the run's data; differences with their standard errors (paired)."""
    model, dataset = load_model(find_model(path)), images_of(path)()
    images, labels = np.ascontiguousarray(dataset.test.images), dataset.test.labels
    with torch.inference_mode():
        floats = torch.cat([model.network(part).argmax(1) for part in torch.from_numpy(images).split(250)]).numpy()
    right = (floats == labels).mean()
    print(f"{path}: {model.spec.cell}, {len(labels):,} test images: {right:.2%} in floats", flush=True)
    for epochs in (0, qat) if qat else (0,):
        integers = integer_model(model, dataset, qat=epochs)
        with tempfile.TemporaryDirectory() as folder:
            found = integer_runner(integers, Path(folder))(images).argmax(1)
            gain = (found == labels).astype(float) - (floats == labels)
            print(
                f"  int8, {epochs} epochs more: {(found == labels).mean():.2%}, {100 * gain.mean():+.2f} "
                f"({100 * gain.std() / len(gain) ** 0.5:.2f}) points, class of floats {(found == floats).mean():.2%}",
                flush=True,
            )
            for name, classes in onnx_classes(export_onnx_int8(integers, Path(folder) / "net.onnx"), images):
                print(f"  {name}: class of int8 {(classes == found).mean():.2%}", flush=True)


def onnx_classes(path, images):
    """By runtime, the classes of all images."""
    opened, parts = session(path), np.array_split(images, len(images) // 250 + 1)
    yield "ONNX Runtime", np.concatenate([opened.run(None, {"images": part})[0].argmax(1) for part in parts])
    with contextlib.suppress(ImportError):
        import openvino

        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        yield "OpenVINO", np.concatenate([next(iter(compiled(part).values())).argmax(1) for part in parts])


def same(cells, first, log):
    """Cells whose results stand in ``log`` are not run again."""
    done = {}
    if log.exists():
        done = {row["seed"]: row for row in map(json.loads, log.read_text().splitlines())}
    for count, seed in enumerate(range(first, first + cells), 1):
        if seed not in done:
            done[seed] = {"seed": seed, **one_cell(seed)}
            with log.open("a") as file:
                file.write(json.dumps(done[seed]) + "\n")
        if count % 20 == 0:
            print(summary([done[s] for s in range(first, seed + 1)]), flush=True)
    return any(sum(done[s]["wrong"].values()) for s in range(first, first + cells))


def summary(rows):
    names = dict.fromkeys(name for row in rows for name in row["wrong"])
    wrong = {name: sum(row["wrong"].get(name, 0) for row in rows) for name in names}
    emulated = {name: sum(name in row["wrong"] for row in rows) for name in EMULATED}
    skeletons = collections.Counter(row["skeleton"] for row in rows)
    operators = {name for row in rows for name in row["operators"]}
    bytes_ = sum(row["bytes"] for row in rows)
    drawn_ = f"{len(rows)} cells ({dict(skeletons)}, {len(operators)} operators)"
    return f"{drawn_}, {bytes_:,} bytes each ({emulated} under QEMU); different: {wrong}"


def one_cell(seed):
    """How many bytes of the logits differ from NumPy's, by runtime."""
    integers, images, network = integer_network(seed)
    expected = run_integer(integers, images)
    made, wrong = integer_c(integers, "net"), {}
    wrong["C"] = c_logits(integers, images)
    wrong["LiteRT"], wrong["TFLM"] = lite_logits(integers, images)
    wrong = {name: int((found != expected).sum()) for name, found in wrong.items()}
    with tempfile.TemporaryDirectory() as folder:
        for processor, every in EMULATED.items() if shutil.which("qemu-system-arm") else ():
            if seed % every == 0:
                lines = on_cortex_m(Path(folder), integers, images, processor, "-O2")
                wrong[processor] = sum(a != b for a, b in zip(lines, printed(expected), strict=True))
    wrong["footprint"] = int(integer_footprint(network.plan)[:2] != (made.constant_bytes, made.buffer_bytes))
    _, skeleton, cell, *_ = drawn(seed)
    names = sorted({name for block in cell.blocks for name in (block.operator1, block.operator2)})
    return {"bytes": expected.size, "wrong": wrong, "skeleton": skeleton.name, "operators": names}


def lite_logits(integers, images):
    """LiteRT's reference kernels and TensorFlow Lite for Microcontrollers."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    from tflite_micro.python.tflite_micro import runtime

    data = tflite_bytes(integers)
    lite = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    lite.allocate_tensors()
    micro, found = runtime.Interpreter.from_bytes(data), ([], [])
    for image in (images.transpose(0, 2, 3, 1).astype(np.int16) - 128).astype(np.int8):
        lite.set_tensor(lite.get_input_details()[0]["index"], image[None])
        lite.invoke()
        found[0].append(lite.get_tensor(lite.get_output_details()[0]["index"])[0])
        micro.set_input(image[None], 0)
        micro.invoke()
        found[1].append(micro.get_output(0)[0])
    return np.stack(found[0]), np.stack(found[1])


def c_logits(integers, images):
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "net.c", Path(folder) / "net.so"
        write_integer_c(integers, source)
        subprocess.run(["gcc", "-std=c99", "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
        found = np.zeros((len(images), integers.classes), np.int8)
        function = ctypes.CDLL(str(library)).net_logits
        for image, row in zip(np.ascontiguousarray(images), found, strict=True):
            function(ctypes.c_void_p(image.ctypes.data), ctypes.c_void_p(row.ctypes.data))
        return found


def code():
    """Bytes of code at -Os: what every network has, and what each kind of operation adds."""
    window = {"padding": (1, 1), "depthwise": True}
    depthwise = {
        f"line_{width // 2 + 1}_{stride}": (width, {"stride": (stride, stride), "padding": (width // 2,) * 2})
        for width in (3, 5, 7)
        for stride in (1, 2)
    }

    def filters(b, x, width, **options):
        return b.conv(x, torch.randn(8, 1 if "depthwise" in options else 8, width, width), **options)

    kinds = {
        "depthwise": lambda b, x: filters(b, x, 3, **window | {"dilation": (2, 2), "padding": (2, 2)}),
        "maxpool": lambda b, x: b.pool("maxpool", x, 3, 1), "avgpool": lambda b, x: b.pool("avgpool", x, 3, 1),
        "relu": lambda b, x: b.relu(b.pool("maxpool", x, 3, 1), False), "rescale": lambda b, x: b.rescale(x),
        "add": lambda b, x: b.add(b.pool("maxpool", x, 3, 1), x),
        "joined": lambda b, x: b.add(filters(b, x, 3, padding=(1, 1)), x), "slide": lambda b, x: filters(b, x, 1),
        **{name: lambda b, x, n=n: filters(b, x, n[0], depthwise=True, **n[1]) for name, n in depthwise.items()},
    }  # fmt: skip
    for processor in ("cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33"):
        base = code_bytes(processor, lambda b, x: x)
        found = {kind: code_bytes(processor, make) - base for kind, make in kinds.items()}
        found |= {kind: found[kind] - found["maxpool"] for kind in ("relu", "add")}
        found |= {kind: found[kind] - found["depthwise"] for kind in depthwise}
        listed = ", ".join(f"{kind} = {max(0, size)}" for kind, size in ({"base": base} | found).items())
        print(f"[processors.{processor}]\ncode = {{ {listed} }}")


def code_bytes(processor, make):
    builder = Builder((1, 8, 8))
    image = builder.conv(0, torch.ones(1, 1, 1, 1), depthwise=True)
    value = make(builder, builder.conv(image, torch.randn(8, 1, 3, 3), padding=(1, 1)))
    graph = builder.finish(builder.conv(builder.mean(value), torch.randn(4, 8, 1, 1)))
    integers = quantize(graph, calibrate(graph, np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)))
    with tempfile.TemporaryDirectory() as folder:
        source = write_integer_c(integers, Path(folder) / "net.c")
        target = ["-Os", f"-mcpu={processor}", "-mthumb", "-ffunction-sections", "-c", source, "-o", f"{folder}/net.o"]
        subprocess.run(["arm-none-eabi-gcc", *target], check=True)
        sizes = subprocess.run(["arm-none-eabi-size", f"{folder}/net.o"], check=True, capture_output=True, text=True)
    return int(sizes.stdout.splitlines()[1].split()[0]) - integer_c(integers, "net").constant_bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["count", "accuracy", "same", "code"])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--qat", type=int, default=2, help="epochs of further training that `accuracy` tries, or 0")
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--log", type=Path, default=Path("int8-same.jsonl"))
    args = parser.parse_args()
    if args.what == "same":
        sys.exit(same(args.cells, args.first, args.log))
    if args.what == "code":
        code()
        return
    torch.set_num_threads(1)
    for path in args.models:
        if args.what == "accuracy":
            accuracy(path, args.qat)
        else:
            count(path.stem, load_model(find_model(path)).network)
    for name in () if args.models else SEARCHED:
        count(name, network_of(name))


if __name__ == "__main__":
    main()
