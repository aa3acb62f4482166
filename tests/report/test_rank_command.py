"""``pronas rank`` as it is typed."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from pronas.report import DENSE, add_hover, draw_ranking, rank_files, read_scores, save_ranking

OLD = "".join(f"0.{i:04},0,3x3 dconv,0,op{i}\n" for i in range(1, 60))


def rank(folder, *arguments, **environment):
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")} | environment
    command = [sys.executable, "-m", "pronas", "rank", *arguments]
    return subprocess.run(command, cwd=folder, env=environment | {"COLUMNS": "100"}, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path):
    for name in ("train_history.csv", "scores_2.csv", "scores_3.csv"):
        (tmp_path / name).write_text(OLD)
    return tmp_path


def test_without_files_reads_the_history_and_saves_a_picture(folder):
    done = rank(folder)
    assert done.returncode == 0, done.stderr
    assert "best of 59 cells" in done.stdout
    assert "0.0059" in done.stdout
    assert "0:op59" in done.stdout
    assert Image.open(folder / "rank.png").size == (1400, 784)


def test_several_names_after_one_f_and_quoted_globs(folder):
    with open(folder / "scores_3.csv", "a") as file:
        file.write("not a score\n")
    done = rank(folder, "-f", "scores_2.csv", "scores_3.csv", "-sort", "--save", "p.svg", "--top", "1")
    assert done.returncode == 0, done.stderr
    assert "best of 118 cells" in done.stdout
    assert "scores_3.csv, line 60: 0 fields" not in done.stdout
    assert "scores_3.csv, line 60: the score 'not a score' is not a finite number" in done.stderr
    picture = (folder / "p.svg").read_text()
    assert picture.index("scores_2") < picture.index("scores_3")
    again = rank(folder, "-f", "*.csv", "--sort", "--save", "p.svg", "--top", "0")
    assert again.returncode == 0
    picture = (folder / "p.svg").read_text()
    assert picture.index("train_history") < picture.index("scores_2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-f", "no.csv"], "there is no file 'no.csv'"),
        (["--save", "p.doc"], "ending"),
        (["--save", "."], "is a folder"),
    ],
)
def test_mistakes_are_one_line(folder, arguments, said):
    done = rank(folder, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def figure_of(path):
    from matplotlib.figure import Figure

    ranking = rank_files([read_scores(path)])
    return draw_ranking(Figure(), ranking), ranking


def test_hover_shows_the_cell(folder):
    mplcursors = pytest.importorskip("mplcursors")
    artist, ranking = figure_of(folder / "train_history.csv")
    cursor = add_hover(artist, ranking)
    assert isinstance(cursor, mplcursors.Cursor)
    picked = cursor.add_highlight  # the cursor is alive; what it writes comes from the ranking
    assert callable(picked)
    assert ranking.cell(4) == "0:3x3 dconv + 0:op5"


def test_says_once_that_mplcursors_is_missing(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mplcursors", None)
    artist, ranking = figure_of(folder / "train_history.csv")
    assert add_hover(artist, ranking) is None
    assert capsys.readouterr().err.count("pronas[plot]") == 1


def test_many_cells_are_drawn_as_density(tmp_path):
    (tmp_path / "many.csv").write_text("".join(f"0.{i % 7919:04},0,a,0,b\n" for i in range(DENSE + 1)))
    artist, ranking = figure_of(tmp_path / "many.csv")
    assert artist is None
    save_ranking(ranking, tmp_path / "many.png")
    assert (tmp_path / "many.png").stat().st_size < 2_000_000
