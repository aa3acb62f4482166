"""For every test: one thread a process (two busy processes of two threads each are slower), no user's cache."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PRONAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def pytest_collection_modifyitems(items):
    # fast first
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
