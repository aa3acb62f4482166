"""Every option of search and train with nonsense: one line, exit code 2 (1 for data), nothing written or unexpected."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pronas.errors import RunError
from pronas.runs import SETTINGS
from pronas.runs.steps import RunLock

FLAGS = {
    "search": dict(SETTINGS),
    "train": {one.train_name: one for one in SETTINGS.values() if one.declared.train},
}
SMALL = {"limit": "20", "space": "flat", "operators": "3x3 maxpool,identity", "filters": "4,4"}
WORDS = ["", "0", "-1", "1", "7", "all", "nan", "inf", "-inf", "1e9", "1e400", "9" * 30, "a,b", ",", "/", "..", "--"]
texts = st.text(max_size=8) | st.sampled_from([*WORDS, "x" * 300, "é", "\udcff"])


@pytest.fixture
def closed(monkeypatch, tmp_path):
    """No folder can be opened: what gets that far was found to make sense."""

    def refuse(self, folder):
        raise RunError("opened")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RunLock, "__init__", refuse)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nonsense_is_one_line(pronas_main, closed, tmp_path, data):
    command = data.draw(st.sampled_from(sorted(FLAGS)))
    name = data.draw(st.sampled_from(sorted(FLAGS[command])))
    one = FLAGS[command][name]
    given_ = {**SMALL, name: None if bool in one.kinds else data.draw(texts)}
    options = [part for key, value in given_.items() for part in _typed(key, value)]
    target = ["0:3x3 maxpool + 0:identity"] if command == "train" else []
    code, out, err = pronas_main(command, *target, *options, "--out", tmp_path / "run")
    assert (code, out) in ((1, []), (2, []))
    assert len(err) == 1, err
    assert err[0].startswith("error: ")
    assert "unexpected" not in err[0]
    if "opened" in err[0]:
        (tmp_path / "run").rmdir()
    assert not (tmp_path / "run").exists()


def _typed(key: str, value: str | None) -> list[str]:
    flag = f"--{key.replace('_', '-')}"
    return [flag] if value is None else [f"{flag}={value}"]


COMMANDS = {
    "show": ["{run}"],
    "predict": ["{run}", "a.png"],
    "space": [],
    "score": ["{copy}", "--top", "3"],
    "rank": ["{run}", "--save", "r.png"],
    "draw": ["{run}", "--out", "c.svg"],
    "report": ["{run}", "--out", "r.html"],
    "watch": ["{run}"],
    "export": ["{run}", "--format", "pt2", "--out", "x.pt2"],
    "benchmark": ["{run}", "--repeats", "1", "--images", "2"],
}
#: One that asks for hours of work is nothing wrong, so no number that a command may take is larger than this.
NUMBERS = ["0", "-1", "1", "7", "0.5", "nan", "inf", "1e400", "9" * 30]
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


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nonsense_for_every_other_command_is_one_line(pronas_main, run_folder, tmp_path, monkeypatch, data):
    """Arguments and options of each command, as the command line itself lists them."""
    import shutil

    import typer
    from PIL import Image

    from pronas.cli import build_app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    Image.new("L", (8, 8), 99).save(tmp_path / "a.png")
    name = data.draw(st.sampled_from(sorted(COMMANDS)))
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    shutil.copytree(run_folder, tmp_path / "run")
    words = [part.format(run=run_folder, copy="run") for part in COMMANDS[name]]
    one = data.draw(st.sampled_from(typer.main.get_command(build_app()).commands[name].params))
    value = data.draw(st.sampled_from([*NUMBERS, *NAMES]) | st.text(max_size=6))
    if one.param_type_name == "argument":
        words = [value, *words[1:]]
    elif getattr(one, "is_flag", False):
        words.append(one.opts[0])
    else:
        words += [f"{one.opts[-1]}={value}"] if one.opts[-1].startswith("--") else [one.opts[-1], value]
    code, _, err = pronas_main(name, *words)
    assert code in (0, 1, 2), (words, err)
    assert not any("unexpected" in line or "Traceback" in line for line in err), (words, err)
    assert code == 0 or err[-1].startswith(("error: ", "pronas: ")), (words, err)


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
    import shutil

    shutil.copytree(run_folder, tmp_path / "run")
    code, _, err = pronas_main("score", tmp_path / "run", "--workers", "9" * 30)
    assert (code, err) == (0, [])
