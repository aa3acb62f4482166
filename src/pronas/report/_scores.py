"""Score files: ``train_history.csv``, ``scores_B.csv``, those of the old systems; a score and its cell on a line."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pronas.errors import DataError, UsageError
from pronas.report._fast import read_clean

HISTORY = "train_history.csv"

_NUMBER = r"[+-]?+(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?+"
_PART = r"[ \t]*+-?+\d++[ \t]*+,[ \t]*+[^,\s][^,\n]*+"
_CELL = rf"{_PART},{_PART}(?:,{_PART},{_PART})*+(?:,[ \t]*+@[^,\n]*+)?"
# a well-formed line; no part of it can match in two ways, so that it takes linear time on any text
_LINE = re.compile(rf"^[ \t]*({_NUMBER})[ \t]*,({_CELL})$", re.MULTILINE)


@dataclass(frozen=True)
class Malformed:
    """A line of a score file that could not be read.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores_1.csv"
        >>> _ = path.write_text("nine,0,3x3 conv,0,identity")
        >>> read_scores(path).malformed[0].line
        1

    Attributes:
        file: its path.
        line: number from 1.
        reason: what is wrong with it, in words.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


@dataclass(frozen=True)
class ScoreFile:
    """Scores of one file, in its order.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores_1.csv"
        >>> _ = path.write_text("0.9,0,3x3 conv,0,identity")
        >>> file = read_scores(path)
        >>> list(file.cells), list(file.malformed)
        (['0,3x3 conv,0,identity'], [])

    Attributes:
        path: where it was read.
        scores: (n,) float64.
        cells: n rows of ``input1,op1,input2,op2,…`` as they stand in the file.
        malformed: the lines that were left out.
    """

    path: Path
    scores: npt.NDArray[np.float64]
    cells: Sequence[str]
    malformed: tuple[Malformed, ...] = ()


def cell_text(row: str) -> str:
    """Turn ``input1,op1,input2,op2,…`` into the text form of a cell, ``input1:op1 + input2:op2 | …``.

        >>> cell_text("0,3x3 conv,0,identity")
        '0:3x3 conv + 0:identity'

    Args:
        row: fields with commas between them, perhaps with ``,@0>2 1>3`` for skips behind.

    Returns:
        The text; `pronas.Cell.parse` reads it.
    """
    fields = [field.strip() for field in row.split(",")]
    skips = fields.pop() if fields[-1].startswith("@") else ""
    halves = [f"{value}:{name}" for value, name in zip(fields[::2], fields[1::2], strict=True)]
    blocks = " | ".join(f"{a} + {b}" for a, b in zip(halves[::2], halves[1::2], strict=True))
    return f"{blocks} @ {', '.join(skips[1:].split())}" if skips else blocks


def read_scores(path: Path) -> ScoreFile:
    """Read a score file; a million lines take about a second.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores_1.csv"
        >>> _ = path.write_text("0.9,0,3x3 conv,0,identity")
        >>> read_scores(path).scores.tolist()
        [0.9]

    Args:
        path: of a CSV file in UTF-8, a line a cell: ``score,input1,op1,input2,op2,…``.

    Returns:
        Scores float64 (n,) and rows, in the file's order; lines that cannot be read stand in ``malformed``.

    Raises:
        DataError: the file cannot be opened.
    """
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if (clean := read_clean(data)) is not None:
        return ScoreFile(path, *clean)
    text = data.decode("utf-8", errors="replace")
    found = _LINE.findall(text)
    lines = text.count("\n") + (not text.endswith("\n"))
    malformed = () if len(found) == lines else tuple(_malformed(path, text))
    scores = np.fromiter(map(float, (score for score, _ in found)), np.float64, len(found))
    return ScoreFile(path, scores, [cell for _, cell in found], malformed)


def _malformed(path: Path, text: str) -> Iterable[Malformed]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not _LINE.match(line):
            yield Malformed(str(path), number, _reason(line))


def _reason(line: str) -> str:
    score, *fields = line.split(",")
    if fields and fields[-1].strip().startswith("@"):
        fields.pop()
    if not re.fullmatch(_NUMBER, score.strip()):
        return f"the score {_quote(score)} is not a finite number"
    if not fields or len(fields) % 4:
        return f"{len(fields)} fields after the score; a cell has four a block (input, operator, input, operator)"
    for position, field in enumerate(fields):
        if position % 2 == 0 and not re.fullmatch(r"-?\d+", field.strip()):
            return f"field {position + 2}, {_quote(field)}, should be an input (an integer)"
    return "an operator's name is empty"


def _quote(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:39] + "…")


def find_files(names: Sequence[str], folder: Path | None = None) -> list[Path]:
    """Resolve file names, globs and run folders to score files: the training history first, then by name.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores_1.csv"
        >>> _ = path.write_text("0.9,0,3x3 conv,0,identity")
        >>> [file.name for file in find_files([str(path)])]
        ['scores_1.csv']

    Args:
        names: what the user gave; none means ``train_history.csv``.
        folder: what relative names start from; the current directory.

    Returns:
        Paths that exist, each once.

    Raises:
        UsageError: a name or a pattern fits nothing.
    """
    base = folder or Path()
    found = {file.resolve(): file for name in names or [HISTORY] for file in _expand(name, base)}
    return sorted(found.values(), key=_order)


def _expand(name: str, base: Path) -> list[Path]:
    path = base / name
    if path.is_dir():
        return [_of_run(path)]
    if path.exists():
        return [path]
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)] if glob.has_magic(name) else []
    files = [match for match in matches if match.is_file()]
    if files:
        return files
    if name == HISTORY:
        raise UsageError(f"there is no {HISTORY} here: run a search first, or name files (-f) or a run folder")
    raise UsageError(f"nothing fits {name!r}" if glob.has_magic(name) else f"there is no file {name!r}")


def _of_run(folder: Path) -> Path:
    if not (folder / HISTORY).is_file():
        raise UsageError(f"the folder {str(folder)!r} has no {HISTORY}: it is no run folder, or nothing is trained yet")
    return folder / HISTORY


def _order(path: Path) -> tuple[bool, list[tuple[bool, int, str]], str]:
    # numbers inside names count as numbers, so that scores_10 follows scores_9
    parts = re.findall(r"\d+|\D+", path.name)
    return path.name != HISTORY, [(p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts], str(path.parent)
