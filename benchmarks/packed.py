"""Packed binary networks against PyTorch and ONNX Runtime (float32, static int8): one thread, batch 1, interleaved.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/packed.py            # every section
    python benchmarks/packed.py --only convolutions --rounds 200
    python benchmarks/packed.py --only exactness --bits 100000000
    python benchmarks/packed.py --avx2                                    # every side as on a machine without AVX-512

Of each pair of figures the first is of medians, the second of each form's best tenth (its least disturbed rounds), over
rounds in which every form runs a few times; times are the process's processor time, so other programs' turns are not
counted (their traces in the caches are). The peers get what a float user would deploy: plain convolutions and ReLU,
batch norm folded by the runtime. OpenVINO is a peer where it is installed, also with its binary convolution.
GMAC/s divided by the clock under load (see benchmarks/RESULTS.md for how it was taken) is MAC/cycle.
"""

import argparse
import ctypes
import functools
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).parent.parent


def hide_avx512():
    """Let this process see a processor of AVX2: before anything that looks at the processor is imported."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "hide.so"
        source = Path(__file__).with_name("_avx2_only.c")
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
        if ctypes.CDLL(str(library)).hide_avx512():
            raise SystemExit("this processor or system does not let a process hide AVX-512")


if "--avx2" in sys.argv:
    hide_avx512()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

sys.path.insert(0, str(ROOT / "tests/deploy"))

from pronas.deploy import available_kernels, pack  # noqa: E402
from pronas.deploy.packed._builder import Builder  # noqa: E402
from pronas.deploy.packed._extract import graph_of  # noqa: E402
from pronas.deploy.packed._graph import Logits  # noqa: E402
from pronas.deploy.packed._network import PackedNetwork  # noqa: E402
from pronas.networks import Binary, Sign  # noqa: E402
from pronas.space import Cell  # noqa: E402

SHAPES = [(14, 64), (14, 128), (56, 64), (28, 128), (14, 256), (7, 512)]
INNER = 6
LOGITS = Logits(0, np.ones((2, 2), np.float32))


def bits(*shape):
    return np.random.default_rng(0).integers(0, 2, shape).astype(bool)


def zeros(count):
    return np.zeros(count, np.int32)


# --- peers -----------------------------------------------------------------------------------------------------------


def export(module, example, path):
    torch.onnx.export(module, (example,), str(path), dynamo=False, input_names=["x"], output_names=["y"])


def int8(path, example):
    """Static quantization (QDQ, int8 weights, per channel), calibrated on the example."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [{"x": example.numpy()}]

        def get_next(self):
            return self.left.pop() if self.left else None

    out = path.with_name(path.stem + "-int8.onnx")
    options = {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(str(path), str(out), Reader(), quant_format=QuantFormat.QDQ, **options)
    return out


def session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def peers(module, example, folder, name):
    """Callables by name: PyTorch in both layouts, ONNX Runtime float32 and int8."""
    module = module.eval()
    last = module.to(memory_format=torch.channels_last)
    pixels = example.contiguous(memory_format=torch.channels_last) if example.dim() == 4 else example
    path = folder / f"{name}.onnx"
    export(module, example, path)
    runs = {"torch": lambda: module(example), "torch channels last": lambda: last(pixels)}
    for label, file in (("ort float32", path), ("ort int8", int8(path, example))):
        runs[label] = functools.partial(session(file).run, None, {"x": example.numpy()})
        runs |= openvino(label.replace("ort", "openvino"), file, example)
    return runs


@functools.cache
def openvino_core():
    """OpenVINO on one thread, or None with the reason said once."""
    try:
        import openvino
    except ImportError as error:
        print(f"OpenVINO is left out: {error} (pip install openvino)")
        return None
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
    return core


def openvino_binary(size, channels, layers):
    """OpenVINO's own binary convolution: sign, then `layers` times 3x3 convolution, threshold and packing."""
    import openvino
    from openvino import opset1, opset14

    def sign(x):
        zeros, ones = np.zeros((1, channels, 1, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
        return opset14.fake_quantize(x, *map(opset14.constant, (zeros, zeros, -ones, ones)), 2)

    shape = [channels, channels, 3, 3]
    weights = np.random.default_rng(0).integers(0, 256, channels * channels * 9 // 8).astype(np.uint8)
    image = opset14.parameter([1, channels, size, size], np.float32, name="x")
    value = sign(image)
    for _ in range(layers):
        constant = openvino.op.Constant(openvino.Tensor(weights, openvino.Shape(shape), openvino.Type.u1))
        value = opset1.binary_convolution(value, constant, [1, 1], [1, 1], [1, 1], [1, 1], "xnor-popcount", 0.0)
        value = sign(value)
    pixels = np.random.default_rng(0).normal(size=(1, channels, size, size)).astype(np.float32)
    return openvino_run(openvino.Model([value], [image]), pixels)


def openvino_run(model, pixels):
    import openvino

    request = openvino_core().compile_model(model, "CPU").create_infer_request()
    request.set_input_tensor(openvino.Tensor(pixels))

    def run():  # quicker than `infer`, which copies results into a dictionary
        request.start_async()
        request.wait()

    return run


def openvino(label, file, example):
    return {label: openvino_run(str(file), example.numpy())} if openvino_core() else {}


# --- measuring -------------------------------------------------------------------------------------------------------


def interleave(runs, rounds):
    """Microseconds by name: (median, best tenth). A round runs each form INNER times in a row; the first warms up."""
    times = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(rounds):
            for name, run in runs.items():
                for turn in range(INNER):
                    start = time.process_time_ns()
                    value = run()
                    took = (time.process_time_ns() - start) / 1000
                    if turn:
                        times[name].append(value if isinstance(value, float) else took)
    return {name: np.array([statistics.median(v), np.quantile(v, 0.1)]) for name, v in times.items()}


def one_op(network, image, op):
    """Microseconds of one operation inside a packed network, by the core's own profile."""
    runner = network._runner
    before = runner.profile()[op]
    runner.run(image)
    return float(int(runner.profile()[op]) - int(before)) / 1000


def ratios(label, times, own, macs=0):
    best = np.minimum(times["torch"], times["torch channels last"])
    parts = {"torch": best, **{n: t for n, t in times.items() if n.startswith(("ort", "openvino"))}}
    found = {name: value / times[own] for name, value in parts.items()}
    text = "  ".join(f"{name} {ratio[0]:5.1f}x {ratio[1]:5.1f}x" for name, ratio in found.items())
    rates = macs / times[own] / 1000
    rate = f"  {rates[0]:6.1f} {rates[1]:6.1f} GMAC/s" if macs else ""
    print(f"{label:26} {times[own][0]:8.1f} {times[own][1]:8.1f} us  {text}{rate}", flush=True)
    return found


def geometric(found, label):
    for name in found[0]:
        mean = np.exp(np.mean([np.log(f[name]) for f in found], axis=0))
        print(f"{label}: geometric mean against {name}: {mean[0]:.1f}x, best tenths {mean[1]:.1f}x")


def image(shape):
    return np.random.default_rng(1).integers(0, 256, (1, *shape), dtype=np.uint8)


# --- sections --------------------------------------------------------------------------------------------------------


def conv_graph(size, channels):
    builder = Builder((1, size, size))
    first = builder.window("conv", 0, (1, 1), 1, (0, 0), weights=bits(channels, 1, 1, 1), thresholds=zeros(channels))
    second = builder.window(
        "conv", first, (3, 3), 1, (1, 1), weights=bits(channels, channels, 3, 3), thresholds=zeros(channels)
    )
    last = builder.window("maxpool", second, (size, size), 1, (0, 0))
    return builder.finish(last, bits(2, channels), LOGITS)


def convolutions(options, folder):
    """Figure 1: 3x3 convolution, threshold, packing; the peers do the convolution and the comparison."""
    found = []
    for size, channels in SHAPES:
        module = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=True), nn.ReLU())
        runs = peers(module, torch.randn(1, channels, size, size), folder, f"conv{size}x{channels}")
        data = pack(conv_graph(size, channels))
        for memory in ("fast", "small"):
            network = PackedNetwork(data, "conv", kernel=options.kernel, memory=memory)
            network._runner.profile()
            pixels = image((1, size, size))
            runs[memory] = lambda n=network, p=pixels: one_op(n, p, 1)
        layers = {n: f"{n} binary convolutions" for n in (1, 3) if openvino_core()}
        runs |= {name: openvino_binary(size, channels, n) for n, name in layers.items()}
        times = interleave(runs, options.rounds)
        if layers:
            times["openvino binary"] = (times.pop(layers[3]) - times.pop(layers[1])) / 2
        found.append(ratios(f"conv {size}x{size}x{channels}", times, "fast", size * size * channels * channels * 9))
        print(f"{'':26} 1 bit a weight in memory: {(times['small'] / times['fast'] - 1)[1]:+.1%}")
    geometric(found, "convolutions")


def vgg_small():
    """The VGG-small of the literature: six 3x3 convolutions, 128 to 512 filters, three dense layers; 14.0 M weights."""
    layers, channels, graph = [], 3, Builder((3, 32, 32))
    value, size = graph.image, 32
    for index, filters in enumerate((128, 128, 256, 256, 512, 512)):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
        value = graph.window(
            "conv", value, (3, 3), 1, (1, 1), weights=bits(filters, channels, 3, 3), thresholds=zeros(filters)
        )
        if index % 2:
            layers.append(nn.MaxPool2d(2))
            value, size = graph.window("maxpool", value, (2, 2), 2, (0, 0)), size // 2
        channels = filters
    inputs, layers = channels * size * size, [*layers, nn.Flatten()]
    for units in (1024, 1024):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
        value, inputs = graph.dense(value, bits(units, inputs), zeros(units)), units
    return nn.Sequential(*layers, nn.Linear(inputs, 10)), graph.finish(
        value, bits(10, inputs), Logits(0, np.ones((10, 2), np.float32))
    )


class Plain(nn.Module):
    """A binary network with float32 input, so that ONNX Runtime can quantize it."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


def networks(options, folder):
    """Figure 2: whole networks, one call each."""
    module, graph = vgg_small()
    reference = Binary().build(Cell.parse(options.cell), (1, 28, 28), 10).eval()
    packed_reference = graph_of(reference)
    floats = float_twin(reference)
    for label, peer, packed, shape in (
        ("VGG-small 32x32", module, graph, (3, 32, 32)),
        (f"16/24/32 ({options.cell})", floats, packed_reference, (1, 28, 28)),
    ):
        runs = peers(peer, torch.rand(1, *shape) * 255, folder, label.split()[0].replace("/", "-"))
        network, pixels = PackedNetwork(pack(packed), label, kernel=options.kernel), image(shape)
        runs["packed"] = lambda n=network, p=pixels: n._runner.run(p)
        ratios(label, interleave(runs, options.rounds), "packed")


def float_twin(network):
    """The same network in full precision, batch norm folded and ReLU for sign: what a float user would deploy."""
    twin = Plain(network.train(False))
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Sign):
                setattr(module, name, nn.ReLU())
            if hasattr(child, "kernel_quantizer"):
                child.kernel_quantizer = None
    return twin


def blocks(options, folder):
    """Figure 3: separable block (depthwise 3x3, pointwise) at 28x28x128; dense 1024x1024."""
    size, channels, builder = 28, 128, Builder((1, 28, 28))
    value = builder.window("conv", 0, (1, 1), 1, (0, 0), weights=bits(channels, 1, 1, 1), thresholds=zeros(channels))
    value = builder.window(
        "depthwise", value, (3, 3), 1, (1, 1), weights=bits(channels, 3, 3), thresholds=zeros(channels)
    )
    value = builder.window(
        "conv", value, (1, 1), 1, (0, 0), weights=bits(channels, channels, 1, 1), thresholds=zeros(channels)
    )
    last = builder.window("maxpool", value, (size, size), 1, (0, 0))
    network = PackedNetwork(pack(builder.finish(last, bits(2, channels), LOGITS)), "separable", kernel=options.kernel)
    network._runner.profile()
    module = nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(),
    )
    runs = peers(module, torch.randn(1, channels, size, size), folder, "separable")
    pixels = image((1, size, size))
    runs["depthwise"] = lambda: one_op(network, pixels, 1)
    runs["pointwise"] = lambda: one_op(network, pixels, 2)
    times = interleave(runs, options.rounds)
    times["block"] = times["depthwise"] + times["pointwise"]
    ratios("separable 28x28x128", times, "block")
    print(f"{'':26} depthwise: {(times['depthwise'] / times['block'])[1]:.1%} of the block")
    builder = Builder((1, 32, 32))
    value = builder.window("conv", 0, (1, 1), 1, (0, 0), weights=bits(1, 1, 1, 1), thresholds=zeros(1))
    value = builder.dense(value, bits(1024, 1024), zeros(1024))
    dense = PackedNetwork(pack(builder.finish(value, bits(2, 1024), LOGITS)), "dense", kernel=options.kernel)
    dense._runner.profile()
    runs = peers(nn.Sequential(nn.Linear(1024, 1024), nn.ReLU()), torch.randn(1, 1024), folder, "dense")
    pixels32 = image((1, 32, 32))
    runs["packed"] = lambda: one_op(dense, pixels32, 1)
    ratios("dense 1024x1024", interleave(runs, options.rounds), "packed", 1024 * 1024)


def sizes(options, folder):
    """Figure 4: packed files against float32 parameters."""
    _, graph = vgg_small()
    weights = sum(op.weights.size for op in graph.ops if op.weights is not None)
    print(f"VGG-small: {4 * weights / len(pack(graph)):.1f}x smaller than float32 ({weights:,} weights)")
    for filters in ((16, 24, 32), (48, 72, 96)):
        network = Binary(filters=filters).build(Cell.parse(options.cell), (1, 28, 28), 10)
        count = sum(p.numel() for p in network.parameters())
        data = pack(graph_of(network, classes=[f"class {i}" for i in range(10)], cell=options.cell))
        print(f"filters {filters}: {count:,} parameters, {len(data):,} bytes, {4 * count / len(data):.1f}x smaller")


def exactness(options, folder):
    """Activation bits of random networks, every kernel set against the NumPy reference: none may differ."""
    from deploy_graphs import random_graph

    compared = differing = seed = 0
    while compared < options.bits:
        graph, images = random_graph(seed)
        data, seed = pack(graph), seed + 1
        expected = PackedNetwork(data, "n", kernel="numpy").maps(images)
        for kernel in available_kernels()[:-1]:
            for a, b in zip(expected, PackedNetwork(data, "n", kernel=kernel).maps(images), strict=True):
                compared, differing = compared + a.size, differing + int((a != b).sum())
    print(f"{seed} random graphs: {compared:,} bits compared, {differing} differ")


SECTIONS = {f.__name__: f for f in (convolutions, networks, blocks, sizes, exactness)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--kernel", help="a kernel set; by default the fastest")
    parser.add_argument("--avx2", action="store_true", help="hide AVX-512 from all sides (gcc, Linux)")
    parser.add_argument("--cell", default="0:3x3 bconv + 0:3x3 sep-bconv", help="of the 16/24/32 network")
    parser.add_argument("--bits", type=int, default=10_000_000, help="how many activation bits to compare")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    print(f"kernels here: {', '.join(available_kernels())}; used: {options.kernel or available_kernels()[0]}")
    with tempfile.TemporaryDirectory() as name:
        for section in options.only or SECTIONS:
            print(f"\n{section}: {SECTIONS[section].__doc__}")
            SECTIONS[section](options, Path(name))


if __name__ == "__main__":
    main()
