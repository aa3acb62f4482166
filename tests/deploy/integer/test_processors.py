"""Exported int8 C on other processors: Cortex-M0+ (portable), Cortex-M4 (DSP instructions) and aarch64 give the same
bytes as NumPy, on 200 images."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from integer_graphs import integer_network
from integer_programs import STRICT, on_cortex_m, printed, run, write_program

from pronas.deploy import emulate
from pronas.deploy.integer import Builder, calibrate, integer_c, quantize, run_integer, write_integer_c
from pronas.errors import UsageError

SEEDS = (0, 3, 5, 8, 11)
IMAGES = 40


def need(*programs):
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


@pytest.fixture(scope="module")
def networks():
    """(integer network, 40 images, what must be printed) for each seed."""
    found = {}
    for seed in SEEDS:
        integers, images, _ = integer_network(seed)
        more = np.random.default_rng(seed).integers(0, 256, (IMAGES - len(images), *images.shape[1:]), dtype=np.uint8)
        images = np.concatenate([images, more])
        found[seed] = integers, images, printed(run_integer(integers, images))
    return found


@pytest.mark.parametrize(
    ("processor", "option"), [("cortex-m4", "-O2"), ("cortex-m4", "-O0"), ("cortex-m0plus", "-Os")]
)
def test_cortex_m_gives_the_same_bytes(networks, tmp_path, processor, option):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    for seed, (integers, images, expected) in list(networks.items())[: 2 if option == "-O0" else None]:
        assert on_cortex_m(tmp_path, integers, images, processor, option) == expected, f"seed {seed}"


def every_loop(rng):
    """A network with depthwise layers and convolutions of all widths, strides and paddings, on odd numbers of channels
    and on maps that are not wider than their windows."""
    builder, parts = Builder((1, 9, 11)), []
    image = builder.conv(0, torch.full((1, 1, 1, 1), 0.02), torch.full((1,), -2.5), depthwise=True)

    def filters(value, out, kernel, **options):
        size = (out, 1 if options.get("depthwise") else builder.shape(value)[0], *kernel)
        weight = torch.from_numpy(rng.normal(0, (size[1] * kernel[0] * kernel[1]) ** -0.5, size).astype(np.float32))
        return builder.conv(value, weight, torch.from_numpy(rng.normal(0, 0.2, out).astype(np.float32)), **options)

    for channels, source in ((5, image), (4, builder.pool("maxpool", image, 3, 2))):
        value = filters(source, channels, (3, 3), padding=(1, 1))
        for width in (1, 2, 3, 5, 7, 9):
            for stride in (1, 2, 3):
                options = {"stride": (stride, stride), "padding": (width // 2, width // 2)}
                kernels = ((width, width), (3, width)) if width == 3 else ((width, width),)
                made = [filters(value, channels, kernel, depthwise=True, **options) for kernel in kernels]
                parts += [filters(one, 1, builder.shape(one)[1:]) for one in made]
        for kernel, more in (((1, 7), {"padding": (0, 3)}), ((3, 3), {"dilation": (2, 2), "padding": (2, 2)})):
            one = builder.relu(filters(value, 7, kernel, **more), True)
            parts.append(filters(builder.pool("avgpool", one, 3, 2), 1, [(s + 1) // 2 for s in builder.shape(one)[1:]]))
    return builder.finish(builder.concat(parts))


def test_every_loop_gives_the_same_bytes(tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, 1, 9, 11), dtype=np.uint8)
    graph = every_loop(rng)
    integers = quantize(graph, calibrate(graph, images))
    expected = printed(run_integer(integers, images))
    assert len(set(expected)) == len(images)
    for processor in ("cortex-m4", "cortex-m0plus"):
        assert on_cortex_m(tmp_path, integers, images, processor, "-O2") == expected, processor


def test_sums_that_are_shifted_to_the_left_give_the_same_bytes(tmp_path):
    """Scales that no calibration gives: results with more bits than their sums, in all loops."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (32, 1, 9, 11), dtype=np.uint8)
    graph = every_loop(rng)
    scales = calibrate(graph, images)
    finer = [replace(scale, scale=scale.scale / (512 if n % 2 else 1)) for n, scale in enumerate(scales)]
    integers = quantize(graph, tuple(finer))
    left = {node.kind for node, own in zip(graph.nodes, integers.numbers, strict=True) if (own.shift > 0).any()}
    assert left == {"conv", "depthwise"}
    expected = printed(run_integer(integers, images))
    assert len(set(expected)) > 5
    assert on_cortex_m(tmp_path, integers, images, "cortex-m4", "-O2") == expected


def test_aarch64_gives_the_same_bytes(networks, tmp_path):
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    put = "#include <stdio.h>\nvoid put_char(char c);\nvoid put_char(char c) { putchar(c); }\n"
    (tmp_path / "put.c").write_text(put)
    for seed, (integers, images, expected) in networks.items():
        write_program(tmp_path, integers, images)
        sources = [tmp_path / "net.c", tmp_path / "main.c", tmp_path / "put.c"]
        run("aarch64-linux-gnu-gcc", *STRICT, "-O2", "-static", "-I", tmp_path, *sources, "-o", tmp_path / "net")
        assert run("qemu-aarch64", tmp_path / "net").split() == expected, f"seed {seed}"


def test_instructions_flash_and_stack_are_counted(tmp_path):
    need("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
    integers, images, _ = integer_network(0)
    write_integer_c(integers, tmp_path / "net.c")
    glue = f'#include "{tmp_path}/net.h"\nint run(const uint8_t *image) {{ return net_classify(image); }}\n'
    found = emulate([tmp_path / "net.c"], glue, images[0], "cortex-m4", ["-O2"])
    made = integer_c(integers, "net")
    assert found.result == run_integer(integers, images[:1])[0].argmax()
    assert integers.graph.macs < found.instructions < 100 * integers.graph.macs
    assert (found.ram, found.flash > made.constant_bytes) == (made.buffer_bytes, True)
    assert 100 < found.stack < 600
    with pytest.raises(UsageError, match="choose from cortex-m0plus"):
        emulate([], glue, images[0], "cortex-m55")
