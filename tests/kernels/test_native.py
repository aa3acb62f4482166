"""The compiled libraries are found where they lie."""

from __future__ import annotations

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
