"""The module and the TOML file of docs/own-parts.md, as they stand there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import pronas
from pronas.errors import UsageError

PAGE = (Path(__file__).parents[2] / "docs" / "own-parts.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    return found[0].replace("3x3 conv twice", "test 3x3 conv twice")  # other tests leave out what is called so


def test_a_search_with_the_page_s_parts(tmp_path, monkeypatch):
    """In a worker process, which must import them."""
    (tmp_path / "my_parts.py").write_text(block("python"))
    (tmp_path / "search.toml").write_text(block("toml"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    settings = {"blocks": 1, "first": 2, "epochs": 1, "final_epochs": 1, "limit": 200, "workers": 1, "threads": 1}
    run = pronas.search("digits", out=tmp_path / "run", config=tmp_path / "search.toml", **settings)
    assert [(child.status, child.error) for child in run.children()] == [("done", None)] * 2
    recipe = run.config.children.recipe
    assert [recipe[name] for name in ("loss", "optimizer", "schedule")] == ["focal", "adagrad", "square-root"]
    assert run.config.children.skeleton["kernel_quantizer"] == "ternary"
    assert run.config.final.skeleton["kernel_quantizer"] == "ternary"
    with pytest.raises(UsageError, match="unknown loss 'focl'; did you mean 'focal'"):
        pronas.search("digits", out=tmp_path / "other", modules=["my_parts"], recipe={"loss": "focl"}, **settings)
    assert not (tmp_path / "other").exists()
