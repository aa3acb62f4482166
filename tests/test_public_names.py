"""Every public name says what it is, and is shown: by an example in a docstring, or by a test that takes it from where
users do."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pronas

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "pronas"
#: What only files, windows or other programs show: the test that does, and how it is written there.
SHOWN = {
    "deploy.packed.write_c": ("deploy/packed/test_c_source.py", "write_c("),
    "report.show_ranking": ("report/test_rank_command.py", "def test_"),  # a window, where there is a display
    "runs.Child": ("runs/test_search.py", ".children()"),
    "runs.Estimate": ("runs/test_scoring.py", ".score("),  # what the command line prints before it
    "training.keep_freed_memory": ("training/test_malloc_tuning.py", "keep_freed_memory()"),  # of a whole process
    "training.Epoch": ("training/test_full.py", "on_epoch="),
}


def public_modules() -> Iterator[str]:
    yield "pronas"
    for found in pkgutil.walk_packages(pronas.__path__, "pronas."):
        if not any(part.startswith(("_", "lib")) for part in found.name.split(".")):
            yield found.name


def public_names() -> Iterator[tuple[str, str, Any]]:
    """Module, name and object; what several modules give once, where it comes first."""
    seen: set[int] = set()
    for module_name in public_modules():
        module = importlib.import_module(module_name)
        own = [name for name, one in vars(module).items() if getattr(one, "__module__", "") == module_name]
        for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
            one = getattr(module, name)
            if id(one) not in seen or not callable(one):
                seen.add(id(one))
                yield module_name, name, one


NAMES = {f"{module}.{name}".removeprefix("pronas."): (module, one) for module, name, one in public_names()}
CODE = {
    key: (module, one)
    for key, (module, one) in NAMES.items()
    if inspect.isclass(one) or inspect.isfunction(inspect.unwrap(one) if callable(one) else one)
}


@cache
def docstrings() -> list[tuple[str, str, str]]:
    """Name, docstring and what is returned, of every function and class of the library."""
    nodes = (node for path in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    kinds = ast.ClassDef | ast.FunctionDef
    return [
        (node.name, ast.get_docstring(node) or "", ast.unparse(getattr(node, "returns", None) or ast.Constant(0)))
        for node in nodes
        if isinstance(node, kinds)
    ]


@cache
def words_of_examples() -> set[str]:
    """Words in examples, and in the annotations of what is returned by functions that have one."""
    lines = [
        line for _, text, _ in docstrings() for line in text.splitlines() if line.lstrip().startswith((">>>", "... "))
    ]
    returned = [kind for _, text, kind in docstrings() if ">>>" in text]
    return set(re.findall(r"\w+", "\n".join([*lines, *returned])))


@cache
def taken_by_tests() -> set[int]:
    """Objects that tests import from public modules, or read from them, and use."""
    found: set[int] = set()
    for path in TESTS.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        imports: dict[str, tuple[str, str]] = {"pronas": ("pronas", "")}
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith("pronas")
                and "._" not in node.module
            ):
                imports |= {one.asname or one.name: (node.module, one.name) for one in node.names}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & set(imports)
        found |= {id(getattr(importlib.import_module(imports[name][0]), imports[name][1], None)) for name in used}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imports:
                module, name = imports[node.value.id]
                given = getattr(importlib.import_module(module), name) if name else pronas
                found |= {id(getattr(given, node.attr, None))} if inspect.ismodule(given) else set()
    return found


@pytest.mark.parametrize("key", CODE)
def test_it_says_what_it_is_and_is_shown(key: str) -> None:
    one, name = CODE[key][1], key.rpartition(".")[2]
    text = inspect.getdoc(one) or ""
    assert text, f"{key} has no docstring"
    if inspect.isclass(one) and issubclass(one, Exception):
        return  # what raises it is shown
    shown = ">>>" in text or name in words_of_examples() or id(one) in taken_by_tests()
    if key in SHOWN:
        path, words = SHOWN[key]
        assert words in (TESTS / path).read_text("utf-8"), f"{path} does not show {key}"
    else:
        assert shown, f"{key} has no example in its docstring, and no test takes it from there"


@pytest.mark.parametrize("key", sorted(set(NAMES) - set(CODE)))
def test_a_value_says_what_it_is(key: str) -> None:
    """In a comment ``#:`` before it, or in a string after it."""
    room, name = NAMES[key][0].removeprefix("pronas").strip("."), key.rpartition(".")[2]
    folder = SOURCE / room.replace(".", "/")
    files = sorted(folder.rglob("*.py") if folder.is_dir() else folder.parent.glob("*.py"))
    said = any(
        re.search(
            rf'^#:[^\n]*\n{name}\b[^\n]*=|^{name}\b[^\n]*=(?:[^\n]*\n){{1,12}}?"""', path.read_text("utf-8"), re.M
        )
        for path in files
    )
    assert said, f"{key} is not described where it is set"


def test_the_list_of_what_tests_show_is_no_longer_than_it_must_be() -> None:
    for key in SHOWN:
        one, name = CODE[key][1], key.rpartition(".")[2]
        assert ">>>" not in (inspect.getdoc(one) or ""), key
        assert name not in words_of_examples(), key
