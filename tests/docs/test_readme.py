"""The README's page: every command and example, in its order, after its first command."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from page_blocks import ROOT, photographs, typed

PAGE = (ROOT / "README.md").read_text("utf-8")
SET_UP = ["python3 -m venv .venv", ". .venv/bin/activate", "pip install -q -c constraints.txt ."]
#: What is added to commands that take minutes; they are otherwise run as they stand. What is given by hand ends early.
BRIEF = "--budget 30s --blocks 1 --first 2 --epochs 1 --final-epochs 4"
SHORTER = {"search": BRIEF, "baseline": "--budget 10s --only resnet8", "train": "--epochs 1"}
IN_PYTHON = {
    '"10m"': '"30s", blocks=1, first=2, epochs=1, final_epochs=4',
    '"digits"), epochs=2': '"digits", limit=300), epochs=1',
    "K=4": "K=2",
}


def blocks() -> list[tuple[str, str]]:
    """Language and text of the page's blocks, but for the one that runs these tests."""
    page = re.sub(r"<!-- test command -->.*?<!-- end -->", "", PAGE, flags=re.DOTALL)
    return re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)


def shortened(text: str) -> str:
    """An example in Python, with less to do."""
    for long, short in IN_PYTHON.items():
        text = text.replace(long, short)
    return text


def seen(command: list[str], folder: Path) -> str:
    """What a server's first page says, asked for at the address that it prints; then Ctrl-C is pressed."""
    server = [sys.executable, "-c", "from pronas.cli import main; main()", *command[1:], "--port", "0"]
    with subprocess.Popen(server, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        address = re.search(r"http://\S+", running.stdout.readline())
        assert address is not None
        with urllib.request.urlopen(address[0], timeout=60) as answer:
            page = answer.read().decode()
        running.send_signal(signal.SIGINT)
    assert running.returncode in (0, 130)
    return page


def obey(line: str, folder: Path, monkeypatch, capfd) -> None:
    """Run a line of a block."""
    words = shlex.split(line, comments=True)
    if words[1] == "watch":
        assert "<html" in seen(words, folder)
        return
    shorter = "" if "--resume" in words else SHORTER.get(words[1], "")
    typed([*words, *shorter.split()], monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_and_example_of_the_page_works_in_its_order(tmp_path, monkeypatch, capfd):
    photographs(tmp_path / "photos")
    if places := os.environ.get("PYTHONPATH"):  # perhaps relative to where the tests were started
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, places.split(os.pathsep))))
    monkeypatch.chdir(tmp_path)
    commands = 0
    for number, (language, text) in enumerate(blocks()):
        if language == "python":
            (tmp_path / f"{number}.py").write_text(shortened(text))
            subprocess.run([sys.executable, f"{number}.py"], check=True, cwd=tmp_path, capture_output=True)
            continue
        for line in filter(None, text.splitlines()):
            *before, command = line.split(" && ") if not commands else [line]
            assert before == ([] if commands else SET_UP)
            obey(command, tmp_path, monkeypatch, capfd)
            commands += 1
    assert commands > 10
    assert all((tmp_path / name).stat().st_size for name in ("net.onnx", "net.c", "tiny.packed"))


def test_the_first_command_installs_all_that_the_page_uses():
    """The live page and ONNX too: nothing on the page names an extra."""
    core = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = {re.match(r"[\w-]+", one)[0] for one in core}
    assert {"starlette", "uvicorn", "onnx", "onnxscript", "onnxruntime"} <= names
    assert not re.search(r"pronas\[(?!test\]|docs\])", PAGE.replace(".[", "pronas["))


def test_the_first_screen_has_one_picture_and_two_commands():
    first = PAGE.partition("\n## ")[0]
    assert len(re.findall(r"!\[", first)) == 1
    assert len(re.findall(r"```sh\n[^\n]+\n```", first)) == first.count("```sh") == 2
