"""Commands run in this process, as a user types them; and one small finished run."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def pronas_main(capfd, monkeypatch):
    """Run a command line; gives (exit code, lines on standard output, lines on standard error)."""
    from pronas.cli import main

    def run(*arguments: object):
        monkeypatch.setattr(sys, "argv", ["pronas", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return stop.value.code, out.splitlines(), err.splitlines()

    return run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    import pronas

    settings = {
        "space": "flat",
        "operators": "3x3 maxpool,3x3 dconv",
        "filters": "4,4",
        "limit": 200,
        "blocks": 1,
        "first": 2,
        "epochs": 1,
        "final_epochs": 1,
        "threads": 1,
        "execution": "inline",
    }
    return pronas.search("digits", out=tmp_path_factory.mktemp("cli") / "run", **settings).path
