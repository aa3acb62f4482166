"""For every test: one thread a process (two busy processes of two threads each are slower), no user's cache."""

import os
import sqlite3
from collections import Counter

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

# a busy machine is slow at everything; no test may fail for that
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PRONAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def sqlite_connections(monkeypatch):
    """A list to which every SQLite connection is added that is opened from now on."""
    opened, real = [], sqlite3.connect

    def connect(*arguments, **options):
        opened.append(real(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connect)
    return opened


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    # workers take whole files, so that what a file's tests share is made once
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist, config.option.loadscopereorder = "loadfile", False


def pytest_collection_modifyitems(items):
    # files with most slow tests first: the last ones to be taken are short, and no worker waits long for another
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
