"""Rules that hold for all of the code: what errors speak of, how long things are, what tests may look at."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pronas"
MODULES = sorted(SOURCE.rglob("*.py"))


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in MODULES:
        yield str(path.relative_to(SOURCE)), ast.parse(path.read_text("utf-8"))


def texts(node: ast.AST) -> Iterator[str]:
    """Literal text below a node, the parts of f-strings as well."""
    return (one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_errors_of_the_library_name_no_flags():
    """It names parameters (`PronasError.setting`); the command line adds the flag (`pronas.cli._flags`)."""
    found = [
        f"{name}:{node.lineno}: {text}"
        for name, tree in trees()
        if not name.startswith("cli/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and getattr(node.func, "id", "")[-5:] == "Error")
        for text in texts(node)
        if re.search(r"(^|[\s(:])--[a-z]", text)
    ]
    assert not found


def test_private_attributes_of_pytorch_stand_in_one_file():
    """`pronas.kernels._private`, where a test names each; the name of a module that workers load early is none."""
    found = []
    for name, tree in trees():
        for node in ast.walk(tree):
            dotted = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if re.match(r"torch\.(\w+\.)*_[a-z]", dotted) or re.match(r"torch\.(\w+\.)*_", module):
                found.append(f"{name}:{node.lineno}")
    assert {one.partition(":")[0] for one in found} == {"kernels/_private.py"}, found


def test_no_function_has_60_lines_and_no_file_has_400():
    long = [
        f"{name}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 >= 60
    ]
    for path in MODULES:
        lines = len(path.read_text("utf-8").splitlines())
        long += [f"{path.relative_to(SOURCE)} has {lines} lines"] if lines >= 400 else []
    assert not long


#: Tests that look into a room that is not theirs, and why.
ELSEWHERE = {
    "cli/test_broken_runs.py": "breaks stores by the tables that they are checked with",
    "cli/test_nonsense.py": "watches that nothing is opened",
    "cli/test_search_commands.py": "writes a store as an earlier search left it",
    "data/test_large.py": "large images are handed on by the executors' shared memory",
    "kernels/test_accelerate.py": "a step of training is what is accelerated",
    "kernels/test_device.py": "a step of training is what runs elsewhere",
    "report/test_reader.py": "what a search writes is what a report reads",
    "runs/test_forecast.py": "puts a cluster whose workers sleep in the executor's place",
    "runs/test_ray_faults.py": "starts parts of a cluster as the executor does",
    "training/test_step.py": "switches the compiled library off",
}


def private_imports() -> Iterator[tuple[str, str, str]]:
    """Test file, public package, and what is taken from a private module of it (or which private module)."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("pronas."):
                continue
            public, _, private = str(node.module).partition("._")
            for name in (one.name for one in node.names):
                if private or name.startswith("_"):
                    yield str(path.relative_to(ROOT / "tests")), public, name


def test_tests_take_public_names_where_there_are_some():
    """Private modules are looked into by the tests of their own room alone, for what the room does not give out."""
    used = set()
    for path, package, name in private_imports():
        given = getattr(importlib.import_module(package), "__all__", ())
        assert name not in given, f"{path}: {package} gives {name}"
        if path.split("/")[0] != package.split(".")[1]:
            used.add(path)
            assert path in ELSEWHERE, f"{path} looks into {package} for {name}"
    assert used == set(ELSEWHERE)
