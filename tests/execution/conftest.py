import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def work_module(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return "pronas_test_work"


@pytest.fixture(scope="session")
def ray_cluster():
    """A Ray cluster of this machine, shared by the tests: starting one takes seconds."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from pronas.execution import make_executor

    sys.path.insert(0, str(Path(__file__).parent))
    owner = make_executor("ray", "pronas_test_work:run", "pronas_test_work:setup", {}, workers=2)
    yield owner
    owner.close()
