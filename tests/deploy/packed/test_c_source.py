"""Exported C: compiled without a warning, the packed network's integers and classes, here and on ARM under QEMU."""

import ctypes
import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from deploy_graphs import adversarial, random_graph

from pronas.deploy import Graph, PackedNetwork, pack
from pronas.deploy.packed import Logits, c_source, class_scores, graph_of, write_c
from pronas.errors import UsageError
from pronas.networks import Binary
from pronas.space import Cell

MCU = Path(__file__).parents[1] / "mcu"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def need(*programs):
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def small_network(seed=0):
    """The reference network: cells of 16, 24 and 32 filters on 28x28, 46,362 parameters."""
    cell = Cell.parse("0:7x7 sep-bconv + 0:7x7 sep-bconv")
    network = Binary().build(cell, (1, 28, 28), 10, seed=seed)
    return adversarial(network, np.random.default_rng(seed))


def write_images(path, images):
    rows = ",\n".join("{" + ",".join(map(str, image.reshape(-1))) + "}" for image in images)
    path.write_text(
        f"#include <stdint.h>\n#define IMAGES {len(images)}\n"
        f"static const uint8_t images[IMAGES][{images[0].size}] = {{\n{rows}}};\n"
    )


def random_images(count):
    return np.random.default_rng(5).integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("first", [0, 6, 12])
def test_random_graphs_give_the_same_integers(tmp_path, first):
    need("gcc")
    graphs = {seed: random_graph(seed) for seed in range(first, first + 6)}
    files = [write_c(graph, tmp_path / f"net{seed}.c") for seed, (graph, _) in graphs.items()]
    checks = ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover", "-shared", "-fPIC"]
    run("gcc", *STRICT, *checks, *files, "-o", tmp_path / "nets.so")
    library = ctypes.CDLL(str(tmp_path / "nets.so"))
    for seed, (graph, images) in graphs.items():
        packed = PackedNetwork(pack(graph), "net")
        for image, expected, chosen in zip(images, packed.integers(images), packed(images), strict=True):
            integers, pixels = np.zeros(10, np.int32), np.ascontiguousarray(image)
            function = getattr(library, f"net{seed}_integers")
            found = function(ctypes.c_void_p(pixels.ctypes.data), ctypes.c_void_p(integers.ctypes.data))
            assert np.array_equal(integers, expected), f"seed {seed}"
            assert found == chosen


def test_nothing_but_memcpy_is_called(tmp_path):
    need("gcc", "nm")
    write_c(graph_of(small_network()), tmp_path / "net.c")
    run("gcc", *STRICT, "-O2", "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
    assert set(re.findall(r" U (\w+)", run("nm", tmp_path / "net.o"))) <= {"memcpy", "_GLOBAL_OFFSET_TABLE_"}


def test_cortex_m4_gives_the_same_classes_in_8_kb_of_flash_and_4_kb_of_ram(tmp_path):
    need("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
    graph, images = graph_of(small_network()), random_images(200)
    write_c(graph, tmp_path / "net.c")
    write_images(tmp_path / "images.h", images)
    target = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-ffunction-sections", "-fdata-sections"]
    run("arm-none-eabi-gcc", *STRICT, *target, "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
    text, data, bss = map(int, run("arm-none-eabi-size", tmp_path / "net.o").splitlines()[1].split()[:3])
    assert text + data <= 8192
    assert data + bss <= 4096
    sources = [MCU / "startup.c", MCU / "main.c", tmp_path / "net.o"]
    link = ["-nostartfiles", "--specs=nosys.specs", "-T", MCU / "memory.ld", "-I", tmp_path]
    run("arm-none-eabi-gcc", *target, *link, *sources, "-o", tmp_path / "net.elf")
    machine = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native,chardev=out", "-chardev", "stdio,id=out"]
    found = run("qemu-system-arm", *machine, *semihosting, "-kernel", tmp_path / "net.elf")
    expected = PackedNetwork(pack(graph), "net")(images)
    assert found.strip() == "".join(map(str, expected))


def test_aarch64_gives_the_same_classes(tmp_path):
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    graph, images = graph_of(small_network(1)), random_images(200)
    write_c(graph, tmp_path / "net.c")
    write_images(tmp_path / "images.h", images)
    (tmp_path / "put.c").write_text(
        "#include <stdio.h>\nvoid put_char(char c);\nvoid put_char(char c) { putchar(c); }\n"
    )
    sources = [tmp_path / "net.c", tmp_path / "put.c", MCU / "main.c"]
    run("aarch64-linux-gnu-gcc", *STRICT, "-O2", "-static", "-I", tmp_path, *sources, "-o", tmp_path / "net")
    expected = PackedNetwork(pack(graph), "net")(images)
    assert run("qemu-aarch64", tmp_path / "net").strip() == "".join(map(str, expected))


def test_scores_are_ordered_as_float_logits():
    """Near and exact ties: where no multiplication keeps the order, a table does."""
    graph, _ = random_graph(3)
    inputs = graph.ops[-1].weights.shape[1]
    rng = np.random.default_rng(0)
    plain = np.stack([rng.normal(size=10), rng.normal(size=10)], 1).astype(np.float32)
    graph.ops[-1].__dict__["logits"] = Logits(0, plain)
    assert "scale" in class_scores(graph).source
    crowded = np.stack([np.full(10, 1e-9), np.ones(10)], 1).astype(np.float32)
    graph.ops[-1].__dict__["logits"] = Logits(0, crowded)
    assert f"ranks[CLASSES][{inputs + 1}]" in class_scores(graph).source


@pytest.mark.parametrize("form", [0, 1, 3, 4])
def test_scores_of_a_wide_layer_need_no_table(tmp_path, form):
    """1,536 inputs make 15,370 logits, some of them equal in floats: those get scores of their own, not all a rank."""
    need("gcc")
    graph, _ = random_graph(3)
    rng, inputs = np.random.default_rng(form), 1536
    logits = Logits(form, rng.normal(size=(10, 2 if form < 2 else 3)).astype(np.float32))
    op = dataclasses.replace(graph.ops[-1], weights=np.zeros((10, inputs), np.bool_), logits=logits, channels=10)
    made = class_scores(Graph(graph.maps, (*graph.ops[:-1], op)))
    assert made.bytes < 1000
    (tmp_path / "score.c").write_text(
        f"#include <stdint.h>\n#define CLASSES 10\n{made.source}\n"
        "int64_t look(int32_t c, int32_t z);\nint64_t look(int32_t c, int32_t z) { return (int64_t)score(c, z); }\n"
    )
    run("gcc", *STRICT, "-O1", "-shared", "-fPIC", tmp_path / "score.c", "-o", tmp_path / "score.so")
    look = ctypes.CDLL(str(tmp_path / "score.so")).look
    look.restype = ctypes.c_int64
    z = np.arange(-inputs, inputs + 1, 2)
    floats = logits(np.repeat(z[:, None], 10, 1)).reshape(-1)
    whole = np.array([look(c, int(value)) for value in z for c in range(10)])
    order = np.lexsort((whole, floats))
    assert np.array_equal(np.sign(np.diff(floats[order])), np.sign(np.diff(whole[order])))


def test_names_and_comments_cannot_break_out(tmp_path):
    graph, _ = random_graph(0)
    graph.info["classes"] = ['*/ int evil(void) { return "x"; } /*', "??/", "\n#error"]
    made = c_source(graph, "net")
    assert "evil" in made.source
    assert made.source.index("*/") > made.source.index("_#error")
    path = write_c(graph, tmp_path / "1 strange-name.c")
    assert "int n1_strange_name_classify(" in path.with_suffix(".h").read_text()
    with pytest.raises(UsageError, match=r"must end in \.c"):
        write_c(graph, tmp_path / "net.txt")
