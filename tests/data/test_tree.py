"""Any tree of names is sorted out or refused in one line; none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronas.data import sort_out
from pronas.errors import DataError

part = st.sampled_from(
    ["a", "b", "7", "10", "train", "Test", "val", ".git", "__MACOSX", "x.png", "y.JPG", "z.txt", "wrap"]
)
paths = st.lists(st.lists(part, min_size=1, max_size=4).map("/".join), max_size=12, unique=True)


@given(paths)
def test_every_picture_has_a_class_or_the_tree_is_refused(paths):
    tree, message = None, ""
    try:
        tree = sort_out(paths, "there")
    except DataError as error:
        message = str(error)
    if tree is None:
        assert message.startswith("there: ")
        assert "\n" not in message
        return
    hidden = (".git", "__MACOSX")
    shown = {path for path in paths if not any(part in hidden for part in path.split("/"))}
    pictures = {path for path in shown if path.lower().endswith((".png", ".jpg"))}
    names = [name for split in tree.names.values() for name in split]
    assert sorted(names) == sorted(pictures)
    assert set(tree.others) == shown - pictures
    for split, found in tree.names.items():
        assert len(found) == len(tree.labels[split])
        for name, label in zip(found, tree.labels[split], strict=True):
            assert tree.classes[label] in name.split("/")[:-1]
    assert set(tree.labels["train"]) == set(range(len(tree.classes)))


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20))
def test_classes_are_in_order(labels):
    tree = sort_out([f"{label}/{i}.png" for i, label in enumerate(labels)], "there")
    assert tree.classes == tuple(sorted(set(labels)))


def test_numbers_in_order_and_strays_counted():
    assert sort_out([f"{label}/x.png" for label in (10, 9, 1)], "there").classes == ("1", "9", "10")
    with pytest.raises(DataError, match=r"1\.png is in no class folder \(like 2 others\)"):
        sort_out(["a/x.png", "1.png", "2.png", "3.png"], "there")
