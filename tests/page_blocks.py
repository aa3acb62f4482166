"""What a page shows, to be run in its order: blocks, what a reader has, commands through the program's own entry."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


def blocks(text: str, languages: str = "sh|python") -> Iterator[tuple[str, str]]:
    """Language and text of a page's blocks; lines set in by four spaces that begin with ``pronas`` are shell."""
    for match in re.finditer(
        rf"```({languages})\n(.*?)```|^((?: {{4}}pronas [^\n]*\n)+)", text, re.DOTALL | re.MULTILINE
    ):
        yield (match[1], match[2]) if match[1] else ("sh", re.sub(r"^ {4}", "", match[3], flags=re.MULTILINE))


def photographs(folder: Path, classes: Sequence[str] = ("dark", "middle", "light")) -> None:
    """What a reader has: pictures in a folder a class, two of each scene."""
    generator = np.random.default_rng(0)
    for shade, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            pixels = generator.integers(0, 90, (24, 24, 3), dtype=np.uint8) + np.uint8(80 * shade)
            Image.fromarray(pixels).save(folder / name / f"IMG_{shade}{number // 2:03}_{number % 2}.jpg")


def typed(words: list[str], monkeypatch, capfd) -> str:
    """Run a command as a reader types it, in this process; gives what it printed."""
    from pronas.cli import main

    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capfd.readouterr()
    assert stop.value.code == 0, f"{shlex.join(words)}\n{out}\n{err}"
    assert out.strip(), f"{shlex.join(words)} says nothing"
    return out
