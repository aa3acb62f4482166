"""One small finished run for everything that only reads, and what several files of tests search with."""

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


#: Of searches that are disturbed, or spared work, and must end as if nothing had been.
SMALL = {
    "space": "flat",
    "operators": "identity,3x3 maxpool,3x3 dconv",
    "blocks": 2,
    "first": 6,
    "children": 4,
    "filters": 4,
    "epochs": 4,
    "final_epochs": 1,
    "threads": 1,
    "predictor": "gp",
    "seed": 1,
}


@pytest.fixture(scope="session")
def small():
    return dict(SMALL)


@pytest.fixture(scope="session")
def facts():
    """What gives all of a search that must not depend on what went wrong."""

    def found(experiment):
        children = [
            (child.id, str(child.cell), child.status, child.reward, child.predicted, child.epochs, child.images)
            for child in experiment.children()
        ]
        final = experiment.final or {}
        return children, final.get("cell"), final.get("test_accuracy"), final.get("curves")

    return found


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
