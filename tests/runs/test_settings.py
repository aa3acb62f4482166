"""Each setting is declared once: what is made of the declarations says the same everywhere."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pronas
from pronas.errors import SettingError
from pronas.runs import SETTINGS, Config, train
from pronas.runs.document import written
from pronas.runs.steps import asked
from pronas.runs.toml import dumps

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_document_lists_every_setting():
    text = DOCS.read_text("utf-8")
    assert written(text) == text, "run: python -m pronas.runs docs/cli.md"
    assert all(f"`{one.flag}`" in text for one in SETTINGS.values())


def test_search_is_a_function_whose_help_shows_every_setting():
    assert inspect.isfunction(pronas.search)
    parameters = inspect.signature(pronas.search).parameters
    assert {"dataset", "out", "resume", "config", "on_event"} | set(SETTINGS) - {"data"} == set(parameters)
    for name, one in SETTINGS.items():
        if name != "data":
            assert f"        {name}: " in pronas.search.__doc__ or f"        {name} (" in pronas.search.__doc__
            assert one.declared.unit is None or f"{name} ({one.declared.unit}" in pronas.search.__doc__


def test_train_takes_the_winners_settings_by_their_short_names():
    parameters = inspect.signature(train).parameters
    assert {"epochs", "batch", "recipe", "filters", "repeats", "skeleton", "image_size"} <= set(parameters)
    assert "children" not in parameters


def test_every_field_of_every_table_is_a_setting():
    keys = {one.key for one in SETTINGS.values()}
    for table in dataclasses.fields(Config):
        if dataclasses.is_dataclass(value := getattr(Config(), table.name)):
            for field in dataclasses.fields(value):
                key = f"{table.name}.{field.name}"
                assert key in keys or any(other.startswith(f"{key}.") for other in keys), key


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_setting_has_its_place_in_the_file_and_is_read_back(name):
    one = SETTINGS[name]
    value = _example(one)
    config = Config.from_dict(asked({name: value}))
    again = Config.from_dict(tomllib.loads(dumps(config.to_dict())))
    assert again == config
    table = config.to_dict()
    for part in one.key.split("."):
        table = table[part]
    assert table == (list(value) if isinstance(value, tuple) else value)


def _example(one):
    if one.choices:
        return (one.choices[0],) if one.is_list else one.choices[0]
    if int in one.kinds or float in one.kinds:
        low = next((b for b in (one.declared.at_least, one.declared.above) if b is not None), 0)
        value = int(low) + 1 if one.declared.at_most is None or low < one.declared.at_most else int(low)
        return min(value, 0) if one.name == "lookback" else float(value) if int not in one.kinds else value
    if bool in one.kinds:
        return True
    if one.name == "budget":
        return "10m"
    return ("/x",) if one.is_list else "/x"


def test_a_wrong_value_names_setting_and_cure():
    with pytest.raises(SettingError, match=r"search.predictor: unknown 'ggp'; did you mean 'gp'") as caught:
        Config.from_dict(asked({"predictor": "ggp"}))
    assert caught.value.setting == "predictor"


def test_the_command_line_knows_its_options_without_torch():
    code = "import sys, pronas.cli as cli; cli.build_app(); print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_params", "80k", 80_000),
        ("max_macs", "12.5M", 12_500_000),
        ("max_bits", "1500", 1500),
        ("max_ram", "4k", 4096),
    ],
)
def test_limits_may_be_spelled_with_a_letter(name, text, value):
    assert SETTINGS[name].plain(text) == SETTINGS[name].checked(text, "config.toml") == value


@pytest.mark.parametrize("text", ["1.5", "80kb", "many", "-3k", "k"])
def test_a_count_that_is_none_is_refused(text):
    with pytest.raises(SettingError, match=r"config.toml: limits.parameters must be a whole number such as 80000, 80k"):
        SETTINGS["max_params"].checked(text, "config.toml")
