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


def test_no_function_is_longer_than_60_lines_and_no_file_has_400():
    long = [
        f"{name}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > 60
    ]
    for path in MODULES:
        lines = len(path.read_text("utf-8").splitlines())
        long += [f"{path.relative_to(SOURCE)} has {lines} lines"] if lines >= 400 else []
    assert not long
