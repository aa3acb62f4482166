"""Every option of search and train with nonsense: one line, exit code 2 (1 for data), nothing written or unexpected."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pronas.errors import RunError
from pronas.runs import SETTINGS

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
    from pronas.runs import _open, _train

    def refuse(folder):
        raise RunError("opened")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_open, "RunLock", refuse)
    monkeypatch.setattr(_train, "RunLock", refuse)


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
