"""Exported int8 C on other processors: Cortex-M0+ (portable), Cortex-M4 (DSP instructions) and aarch64 give the same
bytes as NumPy, on 200 images."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from integer_graphs import integer_network

from pronas.deploy._emulate import emulate
from pronas.deploy.integer import integer_c, run_integer, write_integer_c
from pronas.errors import UsageError

MCU = Path(__file__).parents[1] / "mcu"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
SEEDS = (0, 3, 5, 8, 11)
IMAGES = 40

MAIN = r"""
#include "images.h"
#include "net.h"
void put_char(char c);
int main(void) {
  for (int i = 0; i < IMAGES; i++) {
    int8_t logits[NET_CLASSES];
    put_char((char)('0' + net_logits(images[i], logits)));
    for (int k = 0; k < NET_CLASSES; k++) {
      put_char("0123456789abcdef"[(uint8_t)logits[k] >> 4]);
      put_char("0123456789abcdef"[(uint8_t)logits[k] & 15]);
    }
    put_char('\n');
  }
  return 0;
}
"""


def need(*programs):
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def write_program(folder, seed):
    """The network's C, images and a main that prints every byte; returns what it must print."""
    integers, images, _ = integer_network(seed)
    more = np.random.default_rng(seed).integers(0, 256, (IMAGES - len(images), *images.shape[1:]), dtype=np.uint8)
    images = np.concatenate([images, more])
    write_integer_c(integers, folder / "net.c")
    rows = ",\n".join("{" + ",".join(map(str, image.reshape(-1))) + "}" for image in images)
    head = f"#include <stdint.h>\n#define IMAGES {IMAGES}\n"
    (folder / "images.h").write_text(f"{head}static const uint8_t images[IMAGES][{images[0].size}] = {{\n{rows}}};\n")
    (folder / "main.c").write_text(MAIN)
    logits = run_integer(integers, images)
    return [f"{row.argmax()}{row.tobytes().hex()}" for row in logits]


@pytest.mark.parametrize(
    ("cpu", "machine", "options"),
    [("cortex-m4", "mps2-an386", ["-O2"]), ("cortex-m0plus", "mps2-an385", ["-Os"])],
)
def test_cortex_m_gives_the_same_bytes(tmp_path, cpu, machine, options):
    """QEMU has no Cortex-M0+; its instructions are a part of the Cortex-M3's, on which they run."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    target = [f"-mcpu={cpu}", "-mthumb", *options, "-ffunction-sections", "-fdata-sections"]
    link = ["-nostartfiles", "--specs=nosys.specs", "-T", MCU / "memory.ld", "-I", tmp_path]
    semihosting = ["-semihosting-config", "enable=on,target=native,chardev=out", "-chardev", "stdio,id=out"]
    for seed in SEEDS:
        expected = write_program(tmp_path, seed)
        run("arm-none-eabi-gcc", *STRICT, *target, "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
        sources = [MCU / "startup.c", tmp_path / "main.c", tmp_path / "net.o"]
        run("arm-none-eabi-gcc", *target, *link, *sources, "-o", tmp_path / "net.elf")
        quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
        found = run("qemu-system-arm", "-M", machine, *quiet, *semihosting, "-kernel", tmp_path / "net.elf")
        assert found.split() == expected, f"seed {seed}"


def test_aarch64_gives_the_same_bytes(tmp_path):
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    put = "#include <stdio.h>\nvoid put_char(char c);\nvoid put_char(char c) { putchar(c); }\n"
    (tmp_path / "put.c").write_text(put)
    for seed in SEEDS:
        expected = write_program(tmp_path, seed)
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
