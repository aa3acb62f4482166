from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def work_module(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return "pronas_test_work"
