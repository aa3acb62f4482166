"""Every example in a docstring, in a process of its own: examples register things."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RUN = """
import doctest, importlib, pkgutil, sys
import torch
import pronas
torch.set_num_threads(1)
failed = tried = 0
for found in pkgutil.walk_packages(pronas.__path__, "pronas."):
    if not found.name.rpartition(".")[2].startswith(("__", "lib")):
        result = doctest.testmod(importlib.import_module(found.name), optionflags=doctest.ELLIPSIS)
        failed, tried = failed + result.failed, tried + result.attempted
print(failed, tried)
"""


@pytest.mark.slow
def test_every_example_does_what_it_says(tmp_path):
    place = {**os.environ, "TMPDIR": str(tmp_path)}  # the folders they make go with it
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=False, env=place)
    assert done.returncode == 0, done.stderr
    failed, tried = done.stdout.split()[-2:]
    assert failed == "0", done.stdout
    assert int(tried) > 300
