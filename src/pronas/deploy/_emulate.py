"""Exported C on a Cortex-M under QEMU: instructions, flash, RAM and stack of one image.

QEMU counts every instruction as one nanosecond of its clock (``-icount shift=0``); SysTick runs at 25 MHz, so counts
are exact to 40. Cycles of a real core are more: they depend on its memories.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from pronas.errors import UsageError

_TICK = 40  # instructions

# QEMU has no Cortex-M0+, M33 of that kind or M7 with DSP: their code runs on a core that has all their instructions
_MACHINES = {"cortex-m0plus": "mps2-an385", "cortex-m4": "mps2-an386"}

_MEMORY = """MEMORY {
  flash (rx) : ORIGIN = 0x00000000, LENGTH = 4M
  ram (rwx) : ORIGIN = 0x20000000, LENGTH = 4M
}
ENTRY(start)
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > flash
  data_load = LOADADDR(.data);
  .data : { . = ALIGN(4); data_begin = .; *(.data*) . = ALIGN(4); data_end = .; } > ram AT > flash
  .bss : { . = ALIGN(4); bss_begin = .; *(.bss*) *(COMMON) . = ALIGN(4); bss_end = .; } > ram
  stack_top = ORIGIN(ram) + LENGTH(ram);
}
"""

_MAIN = """#include <stdint.h>
#include "image.h"
int run(const uint8_t *image);
extern uint32_t stack_top, data_load, data_begin, data_end, bss_begin, bss_end;
static volatile uint32_t wraps;
#define SYSTICK ((volatile uint32_t *)0xE000E010)
#define STACK 16384

static int32_t semihosting(int32_t operation, const void *argument) {
  register int32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void put(uint32_t n) {
  char digits[12];
  int k = 0;
  do digits[k++] = (char)('0' + n % 10), n /= 10;
  while (n);
  while (k) semihosting(3, &digits[--k]);
  semihosting(3, " ");
}

void tick(void) { wraps++; }

void start(void) {
  const uint32_t *from = &data_load;
  for (uint32_t *to = &data_begin; to < &data_end;) *to++ = *from++;
  for (uint32_t *to = &bss_begin; to < &bss_end;) *to++ = 0;
  uint32_t *sp = (uint32_t *)((uintptr_t)__builtin_frame_address(0) - 256);
  volatile uint32_t *low = &stack_top - STACK / 4;
  for (volatile uint32_t *p = low; p < sp; p++) *p = 0xA5A5A5A5u;
  SYSTICK[1] = 0xFFFFFF, SYSTICK[2] = 0, SYSTICK[0] = 7;
  const int found = run(image);
  const uint32_t ticks = 0xFFFFFF - SYSTICK[2];
  while (low < sp && *low == 0xA5A5A5A5u) low++;
  put((uint32_t)found), put(wraps), put(ticks);
  put((uint32_t)((uintptr_t)__builtin_frame_address(0) - (uintptr_t)low));
  semihosting(0x18, (const void *)0x20026);
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) const void *const vectors[16] = {
  &stack_top, start, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, tick};
"""


@final
@dataclass(frozen=True)
class Emulated:
    """One image on a core.

    Attributes:
        result: the class.
        instructions: for the image.
        flash: bytes of code and constants of the network's own files.
        ram: bytes of their static memory.
        stack: bytes of the deepest stack, about 100 of them the harness's.
    """

    result: int
    instructions: int
    flash: int
    ram: int
    stack: int


def emulators() -> list[str]:
    """Processors that can be emulated."""
    return list(_MACHINES)


def emulate(
    sources: Sequence[Path],
    glue: str,
    image: NDArray[np.uint8],
    processor: str = "cortex-m4",
    options: Sequence[str] = (),
) -> Emulated:
    """Compile C files and run them on one image.

    Args:
        sources: of the network.
        glue: C text with ``int run(const uint8_t *image)``.
        image: bytes, in the order that ``run`` reads.
        processor: one of `emulators`.
        options: of the compiler, for instance ``-O2`` and ``-I…``.

    Raises:
        UsageError: an unknown processor, or arm-none-eabi-gcc or qemu-system-arm is not installed, or they fail.
    """
    check_emulated(processor)
    with tempfile.TemporaryDirectory() as folder:
        return _emulate(Path(folder), sources, glue, image, processor, options)


def check_emulated(processor: str) -> None:
    """Raise unless a processor can be emulated here.

    Args:
        processor: for instance ``cortex-m4``.

    Raises:
        UsageError: it is unknown, or arm-none-eabi-gcc or qemu-system-arm is not installed.
    """
    if processor not in _MACHINES:
        raise UsageError(f"{processor!r} cannot be emulated (choose from {', '.join(_MACHINES)})")
    missing = [p for p in ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm") if shutil.which(p) is None]
    if missing:
        raise UsageError(f"counting instructions needs {', '.join(missing)}: install the Arm toolchain and QEMU")


def _emulate(
    folder: Path, sources: Sequence[Path], glue: str, image: NDArray[np.uint8], processor: str, options: Sequence[str]
) -> Emulated:
    target = [f"-mcpu={processor}", "-mthumb", "-ffunction-sections", "-fdata-sections", *options]
    objects = []
    for number, source in enumerate(sources):
        objects.append(folder / f"{number}.o")
        _run("arm-none-eabi-gcc", *target, "-c", source, "-o", objects[-1])
    (folder / "memory.ld").write_text(_MEMORY)
    (folder / "main.c").write_text(_MAIN)
    (folder / "glue.c").write_text(f"#include <stdint.h>\n{glue}")
    rows = ",".join(map(str, image.reshape(-1).astype(np.uint8).tolist()))
    (folder / "image.h").write_text(f"static const uint8_t image[] = {{{rows}}};\n")
    link: list[str | Path] = [
        "-nostartfiles",
        "--specs=nosys.specs",
        "-Wl,--gc-sections",
        "-T",
        folder / "memory.ld",
        "-I",
        folder,
    ]
    parts = [folder / "main.c", folder / "glue.c", *objects]
    _run("arm-none-eabi-gcc", *target, *link, *parts, "-o", folder / "net.elf")
    flash, ram = _sizes(objects)
    quiet = ["-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0"]
    semihosting = ["-semihosting-config", "enable=on,target=native,chardev=out", "-chardev", "stdio,id=out"]
    machine = ["qemu-system-arm", "-M", _MACHINES[processor], *quiet, *semihosting]
    found, wraps, ticks, stack = map(int, _run(*machine, "-kernel", folder / "net.elf").split())
    return Emulated(found, (wraps * (1 << 24) + ticks) * _TICK, flash, ram, stack)


def _sizes(objects: Sequence[Path]) -> tuple[int, int]:
    """Flash (text and initialised data) and RAM (data and zeros) of object files."""
    rows = [line.split()[:3] for line in _run("arm-none-eabi-size", *objects).splitlines()[1:]]
    text, data, bss = (sum(int(row[k]) for row in rows) for k in range(3))
    return text + data, data + bss


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise UsageError(f"{command[0]} failed: {done.stderr.strip()[:500]}")
    return done.stdout
