"""With several workers the longest children are started first."""

from __future__ import annotations

import pytest

from pronas.data import load_dataset
from pronas.networks import skeleton
from pronas.training import NetworkManager

SMALL, LARGE = "0:3x3 maxpool + 0:identity", "0:3x3 conv + 0:7x7 dconv"


class Listing:
    """An executor that notes what it is given and does nothing."""

    def __init__(self, workers):
        self.workers, self.given = workers, []

    def submit(self, job):
        self.given.append((job.payload["cell"], job.payload["recipe"].get("epochs")))

    def events(self):
        return iter(())

    def cancel(self):
        pass

    def close(self):
        pass


def given(monkeypatch, workers, cells, recipes=None):
    executor = Listing(workers)
    monkeypatch.setattr("pronas.execution.make_executor", lambda *arguments, **options: executor)
    with NetworkManager(load_dataset("digits", limit=500), 2, skeleton=skeleton("flat", filters=[4])) as manager:
        list(manager.events(cells, recipes=recipes))
    return executor.given


@pytest.mark.parametrize("workers", [2, 7])
def test_the_longest_come_first(monkeypatch, workers):
    assert [cell for cell, _ in given(monkeypatch, workers, [SMALL, LARGE])] == [LARGE, SMALL]


def test_more_epochs_take_longer(monkeypatch):
    recipes = [{"epochs": 1}, {"epochs": 9}, {"epochs": 5}]
    assert [epochs for _, epochs in given(monkeypatch, 2, [LARGE] * 3, recipes)] == [9, 5, 1]


def test_one_worker_takes_them_as_they_come(monkeypatch):
    assert [cell for cell, _ in given(monkeypatch, 1, [SMALL, LARGE])] == [SMALL, LARGE]


def test_a_cell_that_cannot_be_built_is_left_to_its_worker(monkeypatch):
    unknown = "0:3x3 bconv + 0:identity"
    assert [cell for cell, _ in given(monkeypatch, 2, [unknown, SMALL])] == [SMALL, unknown]
