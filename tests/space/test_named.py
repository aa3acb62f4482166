"""Named spaces, space files and the space command."""

import json

import pytest
from typer.testing import CliRunner

from pronas.cli import build_app
from pronas.errors import UsageError
from pronas.space import StateSpace, named_space, space, space_from_toml, space_names


def run(*arguments):
    return CliRunner().invoke(build_app(), ["space", *arguments])


def test_named_spaces():
    assert named_space("pnas") == StateSpace(5)
    assert named_space("flat", 4).inputs(4) == (0, 1, 2, 3)
    assert len(named_space("flat").operators) == 6
    assert named_space("binary").binary
    assert set(space_names()) == {"pnas", "flat", "binary", "residual"}
    with pytest.raises(UsageError, match="did you mean 'binary'"):
        named_space("binry")
    with pytest.raises(UsageError, match="unknown space 'zzz'"):
        space("zzz")


@pytest.mark.parametrize(
    "text",
    [
        'operators = ["linear", "3x3 bconv"]\nblocks = 4\nlookback = 0\nlookforward = 2',
        '[space]\noperators = ["linear", "3x3 bconv"]\nB = 4\ninput_lookback_depth = 0\ninput_lookforward_depth = 2',
    ],
)
def test_a_file(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert space(str(path)) == space_from_toml(path) == StateSpace(4, ["linear", "3x3 bconv"], 0, 2)
    assert StateSpace.from_toml(path, B=2).B == 2


def test_a_file_may_start_from_a_named_space(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('kind = "flat"\nblocks = 2')
    assert space(path) == named_space("flat", 2)
    path.write_text("")
    assert space(path) == named_space("pnas")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("operators = [", "not a TOML file"),
        ('operatos = ["linear"]', "unknown entry 'operatos'; did you mean 'operators'?"),
        ('operators = ["liner"]', "did you mean 'linear'?"),
        ("blocks = 0", "at least 1"),
        ("blocks = 2\nB = 3", "twice"),
        ('blocks = "3"', "whole number"),
        ("space = 3", "table"),
        ('kind = "flt"', "unknown space 'flt'"),
    ],
)
def test_bad_files_are_named(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        space(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        space(tmp_path / "none.toml")


def test_the_command_prints_the_papers_counts():
    result = run()
    assert result.exit_code == 0
    assert "256" in result.output
    assert "136" in result.output
    assert "5.566e+14" in result.output
    assert "trained in all: 1,160" in result.output


def test_the_command_as_json(tmp_path):
    result = run("--space", "flat", "--blocks", "2", "--children", "all", "--json")
    report = json.loads(result.output)
    assert [level["unique"] for level in report["levels"]] == [21, 1428]
    assert report["trained"] == 1449
    assert report["space"]["input_lookback_depth"] == 0


@pytest.mark.parametrize(
    "arguments", [("--space", "x"), ("--blocks", "0"), ("--children", "0"), ("--children", "many")]
)
def test_the_command_refuses(arguments):
    result = run(*arguments)
    assert isinstance(result.exception, UsageError)
