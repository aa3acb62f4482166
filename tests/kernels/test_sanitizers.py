"""The kernels neither read nor write beyond their arguments, whatever the shapes: AddressSanitizer and UBSan watch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pronas.kernels import native

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
VARIANTS = {
    0: [],
    3: ["-march=x86-64-v3"],
    4: ["-march=x86-64-v4"],
    5: ["-march=x86-64-v4", "-mavx512vnni"],
}
#: As CMakeLists.txt compiles them, but for the optimisation, which takes five times as long as it saves.
FLAGS = ["-std=gnu11", "-g", "-O0", "-Wno-psabi", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ROUNDS = 500


@pytest.mark.slow
@pytest.mark.parametrize("level", VARIANTS)
def test_kernels_stay_within_their_arguments(level: int, tmp_path: Path, missing) -> None:
    plain = native.load_variant("")
    if plain is None:
        missing("the training kernels were not compiled")
    elif plain.pronas_level() < level:
        pytest.skip(f"this processor cannot run variant {level}")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing("there is no C compiler")
    sources = sorted((ROOT / "src/pronas/kernels/csrc").glob("*.c"))
    binary = tmp_path / "sanitize"
    command = [str(compiler), *FLAGS, *VARIANTS[level], str(HERE / "sanitize.c"), *map(str, sources), "-lm", "-o"]
    made = subprocess.run([*command, str(binary)], capture_output=True, text=True, timeout=240)
    if made.returncode:
        missing(f"the sanitizers cannot be compiled with: {made.stderr[-2000:]}")
    ran = subprocess.run([str(binary), str(level), str(ROUNDS)], capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr[-4000:]
    if "cannot run" in ran.stdout:
        pytest.skip(ran.stdout.strip())
    assert ran.stdout == "done\n"
