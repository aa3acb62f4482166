"""Pages of the site that are made, not written: one a public module, and the documents that lie outside this folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

#: Documents of the repository: where they are, and the page they become.
TAKEN_IN = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "results.md",
}


def public_modules() -> Iterator[str]:
    """Names of the modules that users import from; those of libraries and private ones are left out."""
    import pronas

    yield "pronas"
    for found in pkgutil.walk_packages(pronas.__path__, "pronas."):
        if not any(part.startswith(("_", "lib")) for part in found.name.split(".")) and found.name != "pronas.cli":
            yield found.name


def public_names(module: ModuleType) -> list[str]:
    """What a module gives: what it lists, or what is defined there."""
    own = [name for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
    return sorted(getattr(module, "__all__", [name for name in own if not name.startswith("_")]))


def write_api(folder: Path) -> None:
    """Write a page for each public module."""
    folder.mkdir(exist_ok=True)
    names, homes = list(public_modules()), dict[int, str]()
    for name in names:
        module = importlib.import_module(name)
        _write(folder / f"{name}.md", _first_names(module) if name == "pronas" else _module_page(module, homes))
    _write(folder / "index.md", _index(names))


def take_in(root: Path, folder: Path) -> None:
    """Write the documents of the repository as pages, with their links turned to where the pages are."""
    folder.mkdir(exist_ok=True)
    for source, page in TAKEN_IN.items():
        _write(folder / page, _relinked((root / source).read_text("utf-8"), Path(source).parent, root))


def _write(path: Path, text: str) -> None:
    """Write a page if it says something new, so that the site's next build is quick."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def _module_page(module: ModuleType, homes: dict[int, str]) -> str:
    """A module's page; what an earlier module's page describes (``homes``) is only named."""
    own, others = [], []
    for name in public_names(module):
        one = vars(module).setdefault(name, getattr(module, name))  # lazy names too are then there to be found
        full = f"{module.__name__}.{name}"
        home = homes.setdefault(id(one), full) if callable(one) else full
        if not str(getattr(one, "__module__", None) or "pronas").startswith(("pronas", "typing")):
            others.append(f"`{name}` of `{one.__module__}`")
        elif home == full:
            own.append(name)
        else:
            others.append(f"{{py:obj}}`{home}`")
    lines = [f".. automodule:: {module.__name__}", f"   :members: {', '.join(own)}" if own else ""]
    also = ["", f"Also here: {', '.join(others)}."] if others else []
    return "\n".join([f"# {module.__name__}", "", "```{eval-rst}", *lines, "```", *also, ""])


def _first_names(module: ModuleType) -> str:
    """The page of `pronas` itself: its names, each described where its room describes it."""
    lines = ["# pronas", "", inspect.getdoc(module) or "", "", "| name | what it is |", "| --- | --- |"]
    for name in public_names(module):
        room = module._HOMES[name]
        first = (inspect.getdoc(getattr(module, name)) or "").partition("\n\n")[0].replace("\n", " ")
        text = first.replace("``", "`").replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| {{py:obj}}`pronas.{name} <pronas.{room}.{name}>` | {text} |")
    return "\n".join([*lines, ""])


def _index(names: list[str]) -> str:
    lines = ["# Every public name", "", "A page a module; the names most used are those of `pronas` itself.", ""]
    return "\n".join([*lines, "```{toctree}", ":maxdepth: 1", "", *names, "```", ""])


def _relinked(text: str, home: Path, root: Path) -> str:
    """Turn a document's relative links into those of its page, or, where no page is, into plain words."""

    def turned(found: re.Match[str]) -> str:
        words, target = found[1], (home / found[2].partition("#")[0]).as_posix()
        if target in TAKEN_IN:
            return f"[{words}]({TAKEN_IN[target]})"
        inside = target.removeprefix("docs/")
        return f"[{words}](../{inside})" if inside != target and (root / target).exists() else words

    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)", turned, text)
