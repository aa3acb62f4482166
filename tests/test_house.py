"""Rules that hold for all of the code: what errors speak of, how long things are, what tests may look at."""

from __future__ import annotations

import ast
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
    """`kernels.torch_internals`, where a test names each; the name of a module that workers load early is none."""
    found = []
    for name, tree in trees():
        for node in ast.walk(tree):
            dotted = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if re.match(r"torch\.(\w+\.)*_[a-z]", dotted) or re.match(r"torch\.(\w+\.)*_", module):
                found.append(f"{name}:{node.lineno}")
    assert {one.partition(":")[0] for one in found} == {"kernels/torch_internals.py"}, found


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


def private_names(path: Path) -> Iterator[str]:
    """What a test takes, patches or names of pronas that begins with an underscore."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        found: list[str] = []
        if isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{one.name}" for one in node.names]
        elif isinstance(node, ast.Import):
            found = [one.name for one in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = re.findall(r"\bpronas(?:\.\w+)+", node.value)
        yield from (name for name in found if re.match(r"pronas\.(\w+\.)*_[a-z]", name))


def test_tests_take_public_names():
    """Rooms give out what tests look at; a test of a private module would only say how something is done."""
    tests = (path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__))
    assert not [f"{path.relative_to(ROOT)}: {name}" for path in tests for name in private_names(path)]
