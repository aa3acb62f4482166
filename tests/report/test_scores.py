"""Score files: what is read, what is refused and why, and in which order files come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronas.errors import DataError, UsageError
from pronas.report import cell_text, find_files, rank_files, read_scores

# as the older systems wrote them
OLD = "0.3429,0,3x3 dconv,0,3x3 dconv\r\n0.5538,0,1x7-7x1 conv,0,3x3 maxpool,0,3x3 avgpool,0,7x7 dconv\r\n"

names = st.text(
    st.characters(codec="utf-8", exclude_characters=",\"'@|+:[]_\\", exclude_categories=("C", "Z")), min_size=1
)
halves = st.tuples(st.integers(-9, 99), names)
cells = st.integers(1, 4).flatmap(lambda b: st.lists(halves, min_size=2 * b, max_size=2 * b))
rows = st.lists(st.tuples(st.floats(-10, 10), cells), min_size=1, max_size=8)


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_reads_the_old_systems_files(tmp_path):
    file = read_scores(write(tmp_path / "train_history.csv", OLD))
    assert file.scores.tolist() == [0.3429, 0.5538]
    assert cell_text(file.cells[1]) == "0:1x7-7x1 conv + 0:3x3 maxpool | 0:3x3 avgpool + 0:7x7 dconv"
    assert not file.malformed


@given(rows)
def test_both_readers_agree(tmp_path_factory, table):
    lines = [f"{score!r}," + ",".join(f"{value},{name}" for value, name in cell) for score, cell in table]
    data = ("\n".join(lines) + "\n").encode()
    folder = tmp_path_factory.mktemp("agree")
    slow = read_scores(write(folder / "slow.csv", data + b"broken\n"))
    assert len(slow.malformed) == 1
    fast = read_scores(write(folder / "fast.csv", data))
    assert type(fast.cells) is not type(slow.cells)  # read at once, its lines made when they are looked at
    assert fast.scores.tolist() == slow.scores.tolist() == [score for score, _ in table]
    assert list(fast.cells) == list(slow.cells) == [line.split(",", 1)[1] for line in lines]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("accuracy,0,a,0,b", "score 'accuracy' is not a finite number"),
        ("nan,0,a,0,b", "score 'nan'"),
        ("inf,0,a,0,b", "score 'inf'"),
        (",0,a,0,b", "score ''"),
        ("0.5", "0 fields after the score"),
        ("0.5,0,a,0", "3 fields after the score"),
        ("0.5,0,a,0,b,", "5 fields after the score"),
        ("0.5,x,a,0,b", "field 2, 'x', should be an input"),
        ("0.5,0,a,1.5,b", "field 4, '1.5', should be an input"),
        ("0.5,0,a,0, ", "operator's name is empty"),
        ("0.5,0,,0,b", "operator's name is empty"),
        ("garbage \x00\xff", "is not a finite number"),
    ],
)
def test_malformed_lines_are_named_and_the_rest_is_read(tmp_path, line, reason):
    file = read_scores(write(tmp_path / "s.csv", f"0.1,0,a,0,b\n{line}\n\n0.2,0,a,0,c\n"))
    assert file.scores.tolist() == [0.1, 0.2]
    [problem] = file.malformed
    assert problem.line == 2
    assert reason in str(problem)
    assert str(problem).startswith(str(tmp_path / "s.csv"))


def test_skips_and_marks_are_read(tmp_path):
    file = read_scores(write(tmp_path / "s.csv", "\ufeff0.5,-1,a,-2,b,@ 0>2 1>3\n"))
    assert cell_text(file.cells[0]) == "-1:a + -2:b @ 0>2, 1>3"


def test_undecodable_bytes_do_not_stop_it(tmp_path):
    file = read_scores(write(tmp_path / "s.csv", b"0.5,0,\xff\xfe,0,b\n0.6,0,a,0,b\nbroken\n"))
    assert file.scores.tolist() == [0.5, 0.6]


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_scores(tmp_path / "none.csv")


def test_history_comes_first_then_by_name(tmp_path):
    for name in ("scores_10.csv", "scores_2.csv", "train_history.csv", "a.csv"):
        write(tmp_path / name, OLD)
    found = [path.name for path in find_files(["*.csv", "scores_2.csv"], tmp_path)]
    assert found == ["train_history.csv", "a.csv", "scores_2.csv", "scores_10.csv"]
    assert [path.name for path in find_files([], tmp_path)] == ["train_history.csv"]
    assert find_files([str(tmp_path)]) == [tmp_path / "train_history.csv"]


def test_a_name_with_brackets_is_a_name_first(tmp_path):
    write(tmp_path / "run[1].csv", OLD)
    assert [path.name for path in find_files(["run[1].csv"], tmp_path)] == ["run[1].csv"]


@pytest.mark.parametrize(
    ("name", "said"), [("none.csv", "no file"), ("x*.csv", "nothing fits"), (".", "no run folder")]
)
def test_names_that_fit_nothing_are_refused(tmp_path, name, said):
    with pytest.raises(UsageError, match=said):
        find_files([name], tmp_path)


def test_sorting_keeps_files_apart_and_ties_in_order(tmp_path):
    first = read_scores(write(tmp_path / "a.csv", "0.2,0,a,0,a\n0.9,0,b,0,b\n0.9,0,c,0,c\n"))
    second = read_scores(write(tmp_path / "b.csv", "0.5,0,d,0,d\n0.9,0,e,0,e\n"))
    ranking = rank_files([first, second], sort=True)
    assert np.allclose(ranking.scores, [0.9, 0.9, 0.2, 0.9, 0.5])
    assert [ranking.cell(i) for i in ranking.best(3)] == ["0:b + 0:b", "0:c + 0:c", "0:e + 0:e"]
    assert rank_files([first, second]).scores.tolist() == [0.2, 0.9, 0.9, 0.5, 0.9]
    with pytest.raises(DataError, match="no readable line"):
        rank_files([read_scores(write(tmp_path / "e.csv", "broken\n"))])
