"""The pages that tell how to do something, run as pages: each from its top, in an empty folder and an empty home.

What takes minutes is given less to do: by flags that are added (the last of a kind holds), and by the table below.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pronas
from page_blocks import ROOT, blocks, photographs, typed

#: Added to commands; a search within a budget goes by these numbers instead.
TINY = "--blocks 1 --first 2 --epochs 1 --final-epochs 1 --limit 100 --execution inline --threads 1"
SHORTER = {
    "search": "--epochs 1 --final-epochs 1 --limit 100 --execution inline --threads 1",
    "train": "--epochs 1",
    "plan": "--speed 4e9",
}
#: What a page has larger than a test can have it.
SMALLER = {
    "budget.md": {
        "--data cifar10": "--data digits",
        "--max-latency-us 50000": "--max-latency-us 50000 --filters 4 --final-filters 4",  # a budget would choose them
    },
    "cli.md": {
        '-1:identity" --data cifar10': '-1:identity" --data digits --limit 100',
        "--space my.toml": "--limit 100 --space my.toml",
        "--int8 --data cifar10": "--int8 --data digits",
        "--data mnist": "--data digits",
        "--child 17": "--child 2",
        "--blocks 4 --children 32": "--blocks 2 --first 2 --children 2",
        " --target cortex-m4": "",  # counted in QEMU: tests/deploy
    },
    "how-to/compare-searches.md": {
        "--first 6 --children 6": "--first 3 --children 2",
        '"first": 6, "children": 6': '"first": 2, "children": 2, "execution": "inline"',
        '"limit": 600': '"limit": 100',
    },
    "how-to/resume.md": {"--first 6": "--first 3", "--children 4": "--children 2", "--children 6": "--children 3"},
    "how-to/limits-and-boards.md": {"--out small": "--filters 4 --final-filters 4 --out small"},
    "how-to/reproduce-the-paper.md": {"plan --preset paper": "plan --preset paper --data digits"},
    "presets.md": {
        "plan --preset paper": "plan --preset paper --data digits",
        "--scale 0.1": "--scale 0.002",
        "pnasnet5 --data cifar10": "resnet8 --data digits --limit 100",
    },
}
#: Ray takes half a minute to start, baselines have ten seconds each at least, benchmarks compile, the live page waits
#: for Ctrl-C: tests/execution, tests/deploy and the README test have them.
ELSEWHERE = r"pronas (watch|baseline|benchmark|export .*--format onnx --out hands|search .*--execution ray)"
PAGES = [
    "tutorial.md", "budget.md", "cli.md", "presets.md", "how-to/binary-or-int8.md", "how-to/cluster.md",
    "how-to/compare-searches.md", "how-to/limits-and-boards.md", "how-to/own-data.md", "how-to/reproduce-the-paper.md",
    "how-to/resume.md",
]  # fmt: skip


def shortened(command: list[str]) -> list[str]:
    """A command of a page, with less to do."""
    name = command[1]
    if "--resume" in command:
        return command
    if name == "search" and not {"--blocks", "--preset"} & set(command):
        place = command.index("--budget") if "--budget" in command else len(command)
        return [*command[:place], *command[place + 2 :], *TINY.split()]
    return [*command, *SHORTER.get(name, "").split()]


def prepare(page: str) -> None:
    """What a page says that its reader has."""
    photographs(Path("photos"), ("0", "1", "3") if page == "tutorial.md" else ("dark", "middle", "light"))
    if page != "cli.md":
        return
    shutil.make_archive("photos", "zip", "photos")
    shutil.copytree("photos/dark", "more-cats")
    Image.new("RGB", (24, 24)).save("cat.png")
    settings = {"blocks": 1, "first": 1, "epochs": 1, "final_epochs": 1, "limit": 100, "execution": "inline"}
    pronas.save_model(pronas.search("digits", out="made", **settings).load(), "model")
    pronas.export(pronas.search("digits", space="binary", out="bits", **settings).path, "packed", "tiny.pronas")
    np.save("images.npy", np.zeros((2, 1, 8, 8), np.uint8))
    Path("my.toml").write_text('operators = ["3x3 conv", "3x3 dconv", "3x3 maxpool", "identity"]\nlookback = 0\n')


def obey(line: str, monkeypatch, capfd) -> None:
    """Run a line of a block."""
    if line.startswith("pronas "):
        typed(shortened(shlex.split(line, comments=True)), monkeypatch, capfd)
    else:
        subprocess.run(line, shell=True, check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_shows_works_in_its_order(page, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    prepare(page)
    text = (ROOT / "docs" / page).read_text("utf-8").replace("\\\n", " ")
    for long, short in SMALLER.get(page, {}).items():
        assert long in text, f"{page} has no {long!r} any more"
        text = text.replace(long, short)
    for language, block in blocks(text):
        if language == "python":
            exec(compile(block, page, "exec"), {"__name__": "__main__"})
            continue
        for line in block.splitlines():
            if "…" not in line and not re.match(ELSEWHERE, line):
                obey(line, monkeypatch, capfd)
