"""Configuration: TOML in and out, flags over files, and what is said about mistakes."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronas.errors import UsageError
from pronas.runs import Config
from pronas.runs.steps import choose, configuration, parse
from pronas.runs.toml import dumps
from pronas.space import Space, StateSpace

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = texts | st.integers(-(2**62), 2**62) | st.booleans() | st.floats(allow_nan=False)
tables = st.recursive(
    st.dictionaries(texts, scalars | st.lists(st.integers()) | st.lists(texts), max_size=4),
    lambda inner: st.dictionaries(texts, scalars | inner, max_size=4),
    max_leaves=8,
)


@given(tables)
def test_toml_is_read_back_by_the_standard_library(table):
    assert tomllib.loads(dumps(table)) == table


def test_a_configuration_survives_its_file():
    config = configuration(
        {
            "data": "mnist",
            "operators": "3x3 maxpool, identity",
            "children": 7,
            "filters": "8,16",
            "validation": 0.2,
            "seed": 3,
        }
    )
    assert Config.from_dict(tomllib.loads(dumps(config.to_dict()))) == config
    assert config.space.operators == ("3x3 maxpool", "identity")
    assert config.children.skeleton == {"filters": [8, 16]}


def test_the_default_predictor_is_written_down_and_others_are_kept():
    assert choose(Config()).search.predictor == "gp"
    assert choose(configuration({"predictor": "lstm"})).search.predictor == "lstm"


def test_flags_win_over_the_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("seed = 5\n[search]\nchildren = 9\n[children.skeleton]\nname = 'flat'\n")
    config = configuration({"children": 4, "filters": "8"}, file)
    assert (config.seed, config.search.children) == (5, 4)
    assert config.children.skeleton == {"name": "flat", "filters": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search]\nchildern = 3", r"unknown key 'search.childern'; did you mean 'search.children'"),
        ("sead = 3", r"unknown key 'sead'; did you mean 'seed'"),
        ("seed = 'x'", r"seed must be a whole number, not 'x'"),
        ("seed = true", r"seed must be a whole number, not True"),
        ("data = 3", r"data must be a table, not 3"),
        ("[space]\noperators = 'x'", r"space.operators must be a list"),
        ("[space]\nblocks = 0", r"space.blocks must be at least 1, not 0"),
        ("[search]\nstrategy = 'progresive'", r"unknown 'progresive'; did you mean 'progressive'"),
        ("[data\nname=3", r"is not valid TOML"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, text, message):
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        configuration({}, file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"childern": 3}, "unknown setting 'childern'; did you mean 'children'"),
        ({"space": "pnsa"}, "unknown space 'pnsa'; did you mean 'pnas'"),
        ({"space": "nowhere.toml"}, "nowhere.toml: cannot be read"),
        ({"filters": "8,x"}, "filters takes whole numbers"),
        ({"epochs": 0}, "children.epochs must be at least 1"),
        ({"limit": 2}, "data.limit must be at least 10"),
    ],
)
def test_mistakes_in_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        configuration(settings)


def test_a_space_file_is_taken_over(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('operators = ["3x3 maxpool", "identity"]\nlookback = -1\nblocks = 4\n')
    space = configuration({"space": str(file), "blocks": 2}).space
    assert (space.kind, space.operators, space.lookback, space.blocks) == ("custom", ("3x3 maxpool", "identity"), -1, 2)


def test_a_space_is_written_down_whose_cells_a_file_can_describe():
    found = parse("digits", {"space": StateSpace(2, ["3x3 maxpool", "identity"], 0)}).config.space
    assert (found.kind, found.blocks, found.operators, found.lookback) == ("custom", 2, ("3x3 maxpool", "identity"), 0)

    class Edges(Space):
        B, token_sizes = 1, (5,)

    with pytest.raises(UsageError, match="space: a Edges is not made of cells: give a StateSpace or a name"):
        parse("digits", {"space": Edges()})
