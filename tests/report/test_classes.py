"""What a page says of each class, and what it does with a record that makes no sense."""

import pytest

from pronas.report import class_rows


def test_recall_precision_and_support_of_each_class():
    first, second = class_rows({"confusion": [[8, 2], [4, 6]], "classes": ["ant", "bee"]})
    assert first[:3] == ("ant", 10, 0.8)
    assert first[3] == pytest.approx(8 / 12)
    assert second[:3] == ("bee", 10, 0.6)
    assert [row[0] for row in class_rows({"confusion": [[1, 0], [0, 1]]})] == ["0", "1"]


@pytest.mark.parametrize(
    "final",
    [None, {}, {"confusion": None}, {"confusion": [[1, 2]]}, {"confusion": [[1], [2, 3]]}, {"confusion": "x"}, 7,
     {"confusion": [[-1, 0], [0, 1]]}, {"confusion": [["a"]]}, {"confusion": [[1]], "classes": 3}],
)  # fmt: skip
def test_a_record_that_makes_no_sense_gives_no_rows(final):
    assert class_rows(final) == []
