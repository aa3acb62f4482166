"""The compiled libraries are found where they lie."""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pronas.machine import compiled_library


def test_libraries_of_editable_installations_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sources, installed = tmp_path / "src", tmp_path / "site-packages"
    sources.mkdir(), installed.mkdir()
    package = ModuleType("a_package")
    package.__file__, package.__path__ = str(sources / "__init__.py"), [str(installed), str(sources)]
    monkeypatch.setitem(sys.modules, "a_package", package)
    assert compiled_library("a_package", "lib.so") is None
    (installed / "lib.so").touch()
    assert compiled_library("a_package", "lib.so") == installed / "lib.so"
    (sources / "lib.so").touch()
    assert compiled_library("a_package", "lib.so") == sources / "lib.so"


LIBRARIES = {
    "pronas.kernels": ["libpronas_children.so"],
    "pronas.predictors": ["libpronas_scorer.so"],
    "pronas.deploy.packed": ["libpronas.so"],
}
if platform.machine() == "x86_64":
    LIBRARIES["pronas.kernels"] += [f"libpronas_children_v{level}.so" for level in (3, 4, 5)]


@pytest.mark.skipif(not os.environ.get("CI"), reason="a checkout may do without compiled libraries; CI may not")
@pytest.mark.parametrize(("package", "name"), [(package, name) for package in LIBRARIES for name in LIBRARIES[package]])
def test_a_clean_machine_compiles_every_library(package: str, name: str) -> None:
    importlib.import_module(package)
    assert compiled_library(package, name) is not None


def test_what_trains_here_has_a_name():
    from pronas.kernels import variant
    from pronas.machine import processor

    assert re.fullmatch(r"PyTorch|kernels v\d", variant())
    assert processor()
