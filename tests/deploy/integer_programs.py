"""Exported int8 C on other processors, under QEMU: every byte of the logits of every image."""

import subprocess
from pathlib import Path

from pronas.deploy.integer import write_integer_c

MCU = Path(__file__).parent / "mcu"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
MACHINES = {"cortex-m4": "mps2-an386", "cortex-m0plus": "mps2-an385"}
"""QEMU has no Cortex-M0+; its instructions are a part of the Cortex-M3's, on which they run."""

MAIN = r"""
#include "images.h"
#include "net.h"
void put_char(char c);
int main(void) {
  for (int i = 0; i < IMAGES; i++) {
    int8_t logits[NET_CLASSES];
    net_logits(images[i], logits);
    for (int k = 0; k < NET_CLASSES; k++) {
      put_char("0123456789abcdef"[(uint8_t)logits[k] >> 4]);
      put_char("0123456789abcdef"[(uint8_t)logits[k] & 15]);
    }
    put_char('\n');
  }
  return 0;
}
"""


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def write_program(folder, integers, images):
    """The network's C, the images, and a main that prints the logits of each."""
    write_integer_c(integers, folder / "net.c")
    rows = ",\n".join("{" + ",".join(map(str, image.reshape(-1))) + "}" for image in images)
    head = f"#include <stdint.h>\n#define IMAGES {len(images)}\n"
    text = f"{head}static const uint8_t images[IMAGES][{images[0].size}] = {{\n{rows}}};\n"
    (folder / "images.h").write_text(text)
    (folder / "main.c").write_text(MAIN)


def printed(logits):
    """What the program must print."""
    return [row.tobytes().hex() for row in logits]


def on_cortex_m(folder, integers, images, processor, *options):
    """What it prints on a Cortex-M, compiled with these options."""
    write_program(folder, integers, images)
    target = [f"-mcpu={processor}", "-mthumb", *options, "-ffunction-sections", "-fdata-sections"]
    link = ["-nostartfiles", "--specs=nosys.specs", "-T", MCU / "memory.ld", "-I", folder]
    run("arm-none-eabi-gcc", *STRICT, *target, "-c", folder / "net.c", "-o", folder / "net.o")
    sources = [MCU / "startup.c", folder / "main.c", folder / "net.o"]
    run("arm-none-eabi-gcc", *target, *link, *sources, "-o", folder / "net.elf")
    quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native,chardev=out", "-chardev", "stdio,id=out"]
    machine = ["qemu-system-arm", "-M", MACHINES[processor], *quiet, *semihosting]
    return run(*machine, "-kernel", folder / "net.elf").split()
