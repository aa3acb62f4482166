"""Scoring whole levels from a run's checkpoint: the command, its files, resuming, workers, bad input."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from pronas.cli import build_app
from pronas.controller import ControllerManager
from pronas.errors import RunError, UsageError
from pronas.predictors import load_predictor
from pronas.runs import LevelScorer, Request
from pronas.space import Cell, StateSpace

SPACE = StateSpace(2, ["3x3 dconv", "3x3 maxpool", "identity"])


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    options = {"steps": 20, "cells": 16, "embedding": 8}
    manager = ControllerManager(SPACE, K=6, directory=folder, options=options, validate=False)
    for _ in range(2):
        cells = manager.get_actions()
        manager.train([0.4 + 0.05 * str(cell).count("dconv") for cell in cells])
        manager.update()
    manager.save()
    return folder


@pytest.fixture
def run(finished_run, tmp_path):
    import shutil

    return shutil.copytree(finished_run, tmp_path / "run")


def command(*arguments):
    return CliRunner().invoke(build_app(), ["score", *map(str, arguments)], catch_exceptions=True)


def rows_of(path):
    with open(path, newline="") as file:
        return [(float(line[0]), Cell.parse(",".join(line[1:]))) for line in csv.reader(file)]


def test_the_best_of_the_next_level_are_written_best_first(run):
    result = command(run, "--top", 20)
    assert result.exit_code == 0, result.output
    assert "level 3" in result.output
    rows = rows_of(run / "scores_3.csv")
    scores = [score for score, _ in rows]
    assert len(rows) == 20
    assert scores == sorted(scores, reverse=True)
    space = SPACE.with_blocks(3)
    predictor = load_predictor(run / "weights" / "controller", space)
    parents = LevelScorer(Request(run)).evaluated[2]
    everything = np.concatenate(list(space.extend(parents)))
    best = np.sort(predictor.predict(everything)[0])[::-1]
    assert scores[0] >= best[0] - 1e-6
    np.testing.assert_allclose(predictor.predict(space.encode([c for _, c in rows]))[0], scores, atol=1e-6)
    assert len({cell.canonical() for _, cell in rows}) == 20


def test_far_levels_are_reached_through_the_best_of_each(run):
    result = command(run, "--blocks", 5, "--children", 3, "--top", 7)
    assert result.exit_code == 0, result.output
    assert [len(rows_of(run / f"scores_{b}.csv")) for b in (3, 4, 5)] == [7, 7, 7]
    parents = {cell.canonical() for _, cell in rows_of(run / "scores_4.csv")[:3]}
    assert all(Cell(cell.blocks[:4]).canonical() in parents for _, cell in rows_of(run / "scores_5.csv"))


@pytest.mark.parametrize("held", [10**6, 10])
def test_all_children_means_every_cell(run, held):
    scorer = LevelScorer(Request(run, blocks=3, children=None, top=5, held=held))
    scorer.score(3, scorer.plan(3, None), lambda done, everything: None)
    space = SPACE.with_blocks(3)
    rows = np.concatenate(list(space.extend(np.concatenate(list(space.extend(space.level1()))))))
    predictor = load_predictor(run / "weights" / "controller", space)
    best = np.sort(predictor.predict(rows)[0])[::-1]
    assert rows_of(run / "scores_3.csv")[0][0] >= best[0] - 1e-6


def test_every_row_is_streamed(run):
    result = command(run, "--all")
    assert result.exit_code == 0, result.output
    rows = rows_of(run / "scores_3.csv")
    assert len(rows) == len(LevelScorer(Request(run)).evaluated[2]) * len(SPACE.with_blocks(3).extensions(3))


@pytest.mark.parametrize("output", ["top", "csv"])
def test_interrupted_it_goes_on_where_it_stopped(run, output):
    def score(progress):
        scorer = LevelScorer(Request(run, top=15, output=output, chunk=80, pause=-1.0))
        scorer.score(3, scorer.plan(3, None), progress)
        return (run / "scores_3.csv").read_bytes()

    whole = score(lambda done, everything: None)
    (run / "scores_3.csv").unlink()
    seen = []

    def stop(done, everything):
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(stop)
    assert not (run / "scores_3.csv").exists()
    again = []
    assert score(lambda done, everything: again.append(done)) == whole
    assert again[0] >= seen[1]
    assert not list(run.glob(".score*"))


def test_processes_find_the_same(run):
    command(run, "--top", 12)
    alone = (run / "scores_3.csv").read_bytes()
    result = command(run, "--top", 12, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert (run / "scores_3.csv").read_bytes() == alone


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--children", "many"], UsageError),
        (["--children", "0"], UsageError),
        (["--top", "0"], UsageError),
        (["--blocks", "1"], UsageError),
        (["--format", "xml"], UsageError),
    ],
)
def test_bad_options(run, options, error):
    before = sorted(path.name for path in run.iterdir())
    assert isinstance(command(run, *options).exception, error)
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_folder_without_a_controller(tmp_path):
    assert isinstance(command(tmp_path).exception, RunError)


def test_a_full_disk_is_told_beforehand(run, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 10))
    assert isinstance(command(run, "--all").exception, RunError)
    assert not (run / "scores_3.csv").exists()
