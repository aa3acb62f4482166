"""Every option and argument of every command with nonsense: one line, exit code 2 (1 for data), nothing unexpected.

The command line itself lists them, so that what is added is tried, too.
"""

from __future__ import annotations

import random
import shutil
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pronas.cli import COMMANDS, build_app
from pronas.errors import RunError
from pronas.runs.steps import RunLock

SMALL = [
    *("--limit=20", "--space=flat", "--operators=3x3 maxpool,identity", "--filters=4,4"),
    *("--blocks=1", "--first=2", "--epochs=1", "--final-epochs=1"),
]
#: Of each command words with which it makes sense; ``{run}`` is a finished run, ``{copy}`` one to write into.
SENSIBLE = {
    "search": [*SMALL, "--out=new"],
    "plan": [*SMALL, "--speed=1e9"],
    "train": ["0:3x3 maxpool + 0:identity", "--limit=20", "--filters=4,4", "--epochs=1", "--out=new"],
    "baseline": ["{copy}"],
    "show": ["{run}"],
    "predict": ["{run}", "a.png"],
    "space": [],
    "score": ["{copy}", "--top=3"],
    "rank": ["{run}", "--save=r.png"],
    "draw": ["{run}", "--out=c.svg"],
    "report": ["{run}", "--out=r.html"],
    "watch": ["{run}"],
    "export": ["{run}", "--format=c", "--out=x.c"],
    "benchmark": ["{run}", "--repeats=1", "--images=2"],
    "init": ["--out=made.toml"],
    "card": ["{run}", "--out=card"],
}
#: Whose one flag takes ten seconds and no value.
FLAG_ONLY = ("doctor",)
#: They train, so no folder can be opened: what gets that far was found to make sense.
TRAINING = ("search", "train", "baseline")
#: One that asks for hours of work is nothing wrong, so no number that a command may take is larger than this.
NUMBERS = ["0", "1e-300", "1e300", "-1", "1", "7", "0.5", "nan", "inf", "-inf", "1e400", "9" * 30]
NAMES = [
    *(
        "",
        "all",
        "a,b",
        ",",
        "/",
        "..",
        "--",
        "x" * 300,
        "é",
        "\udcff",
        "a\nb",
        "\0",
        "csv",
        "parquet",
        "cpu",
        "cuda:0",
    ),
    *("flat", "binary", "a.png", "**", "[", "/dev/null", "/dev/full", "packed", "dark", "x.pdf", "x.pgf", "x.svg"),
]


def nonsense(rng: random.Random) -> str:
    """Names, numbers, and short texts of any characters."""
    anything = "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0xD800)))) for _ in range(rng.randrange(9)))
    return rng.choice([*NUMBERS, *NAMES, anything, anything])


@cache
def parameters(command: str):
    """The options and arguments of a command, as the command line lists them."""
    import typer

    return [one for one in typer.main.get_command(build_app()).commands[command].params if one.name != "help"]


@pytest.fixture
def place(monkeypatch, tmp_path, run_folder):
    """Makes a fresh folder to be in, with a run and a picture; nothing is trained and no page served."""

    def refuse(self, folder):
        raise RunError("opened")

    monkeypatch.setattr(RunLock, "__init__", refuse)
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)

    def fresh():
        monkeypatch.chdir(tmp_path.parent)
        shutil.rmtree(tmp_path, ignore_errors=True)
        shutil.copytree(run_folder, tmp_path / "copy")
        Image.new("L", (8, 8), 99).save(tmp_path / "a.png")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return fresh


def typed(one, value: str) -> list[str]:
    """An option with a value, as it is typed."""
    name = one.opts[-1]
    if getattr(one, "is_flag", False):
        return [name]
    return [f"{name}={value}"] if name.startswith("--") else [name, value]


def test_every_command_is_tried():
    assert {*SENSIBLE, *FLAG_ONLY} == set(COMMANDS)
    assert all(len(parameters(command)) == 1 for command in FLAG_ONLY)
    assert len(parameters("search")) > 50


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("command", SENSIBLE)
@settings(max_examples=1, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_nonsense_is_one_line(pronas_main, run_folder, place, command, seed):
    rng, folder = random.Random(seed), place()
    sensible = [part.format(run=run_folder, copy="copy") for part in SENSIBLE[command]]
    for one in parameters(command):
        value = nonsense(rng)
        first = one.param_type_name == "argument"
        words = [value, *sensible[1:]] if first else [*sensible, *typed(one, value)]
        code, _, err = pronas_main(command, *words)
        assert code in (0, 1, 2), (words, err)
        assert not any("unexpected" in line or "Traceback" in line for line in err), (words, err)
        errors = [line for line in err if line.startswith("error: ")]
        assert len(errors) == (code != 0 and not err[-1].startswith("pronas: ")), (words, err)
        if command in TRAINING and "opened" in str(err) and (folder / "new").is_dir():
            (folder / "new").rmdir()
        assert not (folder / "new").exists(), (words, err)


@pytest.mark.parametrize(
    "command",
    [
        ["space", "--blocks", "1000000"],
        ["score", "RUN", "--blocks", "1000000"],
        ["score", "RUN", "--blocks", "9" * 30],
        ["benchmark", "RUN", "--repeats", "1000000"],
        ["benchmark", "RUN", "--images", "9" * 30],
        ["export", "RUN", "--format", "tflite", "--qat", "1000000"],
    ],
)
def test_what_would_take_for_ever_is_refused(pronas_main, run_folder, command):
    code, _, err = pronas_main(*[str(run_folder) if part == "RUN" else part for part in command])
    assert (code, len(err)) == (2, 1), err


def test_no_more_workers_are_started_than_there_is_work(pronas_main, run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    code, _, err = pronas_main("score", tmp_path / "run", "--workers", "9" * 30)
    assert (code, err) == (0, [])
