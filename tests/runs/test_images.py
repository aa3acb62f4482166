"""The images of a run that is over, read again from its configuration."""

import pytest

from pronas.data import load_dataset
from pronas.errors import RunError
from pronas.runs import Config, stored_dataset
from pronas.runs.toml import dumps


def test_the_data_set_is_split_as_it_was(tmp_path):
    (tmp_path / "config.toml").write_text(dumps(Config().to_dict()))
    found, expected = stored_dataset(tmp_path), load_dataset("digits")
    assert found.fingerprint == expected.fingerprint


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(RunError, match=r"no run \(config.toml is missing\)"):
        stored_dataset(tmp_path)
