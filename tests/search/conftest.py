"""One small finished run for everything that only reads."""

from __future__ import annotations

import pytest

TINY = {
    "space": "flat",
    "operators": ["3x3 maxpool", "3x3 dconv"],
    "filters": [4, 4],
    "limit": 200,
    "blocks": 2,
    "children": 2,
    "first": "all",
    "epochs": 1,
    "final_epochs": 1,
    "threads": 1,
    "execution": "inline",
}


@pytest.fixture(scope="session")
def tiny():
    return dict(TINY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(the finished run, its events)."""
    import pronas

    events: list[dict] = []
    out = tmp_path_factory.mktemp("search") / "run"
    return pronas.search("digits", out=out, on_event=events.append, **TINY), events
