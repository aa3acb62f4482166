"""Kernel sets that this processor does not have: NEON under QEMU, VPOPCNTDQ with its one instruction emulated."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deploy_graphs import random_graph

import pronas.deploy.packed
from pronas.deploy import PackedNetwork, available_kernels, pack

CORE = Path(pronas.deploy.packed.__file__).with_name("csrc")
COMMON = [CORE / f"{name}.c" for name in ("build", "load", "run", "window", "kernels_portable")]

MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include "packed.h"

/* For each FILE IMAGES: kernel set, then the integers of every image. */
int main(int count, char **names) {
  static uint8_t data[1 << 20], pixels[1 << 20];
  for (int i = 1; i + 1 < count; i += 2)
    for (int flags = 0; flags < 2; flags++) {
      FILE *file = fopen(names[i], "rb"), *images = fopen(names[i + 1], "rb");
      size_t size = fread(data, 1, sizeof data, file), bytes = fread(pixels, 1, sizeof pixels, images);
      char error[200];
      pn_network *network;
      if (pn_load(data, size, NULL, flags, &network, error, sizeof error)) return puts(error), 1;
      pn_workspace *work = pn_workspace_new(network);
      size_t n = bytes / pn_image_bytes(network), classes = (size_t)pn_classes(network);
      int32_t *integers = malloc(n * classes * 4);
      pn_run(network, work, pixels, n, integers, NULL, NULL);
      printf("%s", pn_kernels()[0]);
      for (size_t k = 0; k < n * classes; k++) printf(" %d", (int)integers[k]);
      puts("");
      free(integers), pn_workspace_free(work), pn_free(network), fclose(file), fclose(images);
    }
  return 0;
}
"""


def need(*programs):
    missing = [p for p in programs if shutil.which(p) is None]
    if missing or not CORE.is_dir():
        pytest.skip(f"{', '.join(missing) or 'the C sources'} not installed")


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=280, **options)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


def test_neon_under_qemu(tmp_path):
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    (tmp_path / "main.c").write_text(MAIN)
    flags = ["-std=gnu11", "-O2", "-static", "-DPN_HAVE_NEON", "-I", CORE]
    program = tmp_path / "program"
    run("aarch64-linux-gnu-gcc", *flags, tmp_path / "main.c", *COMMON, CORE / "kernels_neon.c", "-o", program)
    arguments, expected = [], []
    for seed in range(25):
        graph, images = random_graph(seed)
        (tmp_path / f"{seed}.packed").write_bytes(pack(graph))
        (tmp_path / f"{seed}.images").write_bytes(images.tobytes())
        arguments += [tmp_path / f"{seed}.packed", tmp_path / f"{seed}.images"]
        integers = PackedNetwork(pack(graph), "net", kernel="numpy").integers(images).reshape(-1)
        expected += [" ".join(["neon", *map(str, integers)])] * 2
    assert run("qemu-aarch64", program, *arguments).splitlines() == expected


CHECK = """
import json, sys
import numpy as np
from deploy_graphs import random_graph
from pronas.deploy import available_kernels, pack
from pronas.deploy import PackedNetwork
found = []
for seed in range(20):
    graph, images = random_graph(seed)
    found.append(PackedNetwork(pack(graph), "net", kernel="avx512-vpopcntdq").integers(images).tolist())
print(json.dumps(found))
"""


def test_vpopcntdq_with_the_instruction_emulated(tmp_path):
    need("gcc")
    if platform.machine() != "x86_64" or "avx512" not in available_kernels():
        pytest.skip("this processor has no AVX-512")
    flags = ["-std=gnu11", "-O1", "-fPIC", "-shared", "-DPN_HAVE_AVX512_POPCNT", "-DPN_EMULATE_POPCNT"]
    isa = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"]
    library = tmp_path / "libpronas.so"
    run("gcc", *flags, *isa, *COMMON, CORE / "kernels_avx512_popcnt.c", "-o", library)
    environment = {**os.environ, "PRONAS_CORE": str(library), "PYTHONPATH": os.pathsep.join(sys.path)}
    found = json.loads(run(sys.executable, "-c", CHECK, env=environment))
    for seed, integers in enumerate(found):
        graph, images = random_graph(seed)
        assert np.array_equal(integers, PackedNetwork(pack(graph), "net", kernel="numpy").integers(images))
