"""Every ``pronas …`` that a page shows is one that the program takes: parsed by it, not run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from pronas.cli import build_app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "how-to").glob("*.md"),
    ]
)


def shown(page: Path) -> tuple[list[str], list[str]]:
    """The commands of a page's blocks, and those that its text names, perhaps in part."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4}|\$ |\+ )?(pronas .*)$", text, re.MULTILINE)
    named = [" ".join(span.split()) for span in re.findall(r"(?<!`)`(pronas\s[^`]+)`(?!`)", text)]
    named = [name for name in named if not re.fullmatch(r"pronas \w+ \d", name)]  # a file's format and its version
    return [line for line in lines if "`" not in line], named


def refusal(line: str) -> str | None:
    """What the program's own parser has against a line; None: nothing."""
    words = [word for word in shlex.split(line, comments=True) if word not in ("…", "...")][1:]
    words = [f" {word}" if re.match(r"-\d", word) else word for word in words]  # a cell, as the program does
    group = typer.main.get_command(build_app())
    if words[0].startswith("-"):  # parsed, --install-completion would act
        known = [name for parameter in group.params for name in parameter.opts]
        return None if words[0] in (*known, "--help") else f"no such option: {words[0]}"
    try:
        with group.make_context("pronas", words[:1]) as above:
            name, command, _ = group.resolve_command(above, words[:1])
            with command.make_context(name, words[1:], parent=above):
                return None
    except SystemExit as stop:
        return None if stop.code == 0 else str(stop)
    except Exception as error:
        return None if type(error).__name__ == "Exit" else f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_the_page_is_taken(page):
    lines, named = shown(page)
    wrong = {line: why for line in lines if (why := refusal(line))}
    partly = ("MissingParameter", "BadOptionUsage")  # the text may name a command or a flag alone
    wrong |= {line: why for line in named if (why := refusal(line)) and not why.startswith(partly)}
    assert not wrong


def test_a_wrong_flag_would_be_seen():
    assert "--budgt" in refusal("pronas search --data photos/ --budgt 10m")
    assert "No such command" in refusal("pronas serch")
    assert "MissingParameter" in refusal("pronas export --format onnx")
    assert sum(len(shown(page)[0]) for page in PAGES) > 80
