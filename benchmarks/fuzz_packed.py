"""Fuzz the packed loader: mutated files under AddressSanitizer and UBSan (gcc needed).

python benchmarks/fuzz_packed.py --count 100000
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORE = ROOT / "src/pronas/deploy/packed/csrc"
sys.path.insert(0, str(ROOT / "tests/deploy"))

CHECKS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-std=gnu11"]


def build(folder: Path) -> Path:
    """The fuzzer with the portable kernels and, on x86, AVX2's."""
    sources, extra = [CORE / f"{n}.c" for n in ("build", "load", "run", "window", "kernels_portable")], []
    if subprocess.run(["gcc", "-mavx2", "-E", "-x", "c", "/dev/null"], capture_output=True).returncode == 0:
        extra = [folder / "avx2.o"]
        subprocess.run(["gcc", *CHECKS, "-mavx2", "-c", CORE / "kernels_avx2.c", "-o", extra[0]], check=True)
    flags = ["-DPN_HAVE_AVX2"] if extra else []
    program = folder / "fuzz"
    fuzzer = Path(__file__).with_suffix(".c")
    subprocess.run(["gcc", *CHECKS, *flags, "-I", CORE, fuzzer, *sources, *extra, "-o", program], check=True)
    return program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=40, help="how many random networks to begin with")
    options = parser.parse_args()
    from deploy_graphs import random_graph

    from pronas.deploy import pack

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = build(folder)
        files = []
        for seed in range(options.files):
            files.append(folder / f"{seed}.packed")
            files[-1].write_bytes(pack(random_graph(seed)[0]))
        done = subprocess.run([program, str(options.count), str(options.seed), *files])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
