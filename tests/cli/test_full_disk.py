"""No room while something is written: one line that says so, the old file whole, nothing half written left behind."""

from __future__ import annotations

import shutil

import pytest

from small_disk import fill, small_disk

WRITERS = {
    "onnx": ["export", "{run}", "--format", "onnx", "--out", "{disk}/x.onnx"],
    "onnx int8": ["export", "{run}", "--format", "onnx", "--int8", "--out", "{disk}/x.onnx"],
    "pt2": ["export", "{run}", "--format", "pt2", "--out", "{disk}/x.pt2"],
    "c": ["export", "{run}", "--format", "c", "--out", "{disk}/x.c"],
    "tflite": ["export", "{run}", "--format", "tflite", "--out", "{disk}/x.tflite"],
    "svg": ["draw", "{run}", "--out", "{disk}/x.svg"],
    "png": ["draw", "{run}", "--out", "{disk}/x.png"],
    "pdf": ["draw", "{run}", "--out", "{disk}/x.pdf"],
    "report": ["report", "{run}", "--out", "{disk}/x.html"],
    "rank": ["rank", "{run}", "--top", "0", "--save", "{disk}/x.png"],
    "score": ["score", "{copy}", "--top", "5"],
    "train": ["train", "{run}", "--epochs", "1", "--out", "{disk}/trained"],
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory, run_folder):
    with small_disk(tmp_path_factory.mktemp("full") / "disk", 3) as disk:
        shutil.copytree(run_folder, disk / "run")
        yield disk


@pytest.mark.slow
@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_one_line(pronas_main, disk, run_folder, what):
    places = {"run": run_folder, "copy": disk / "run", "disk": disk}
    command = [part.format(**places) for part in WRITERS[what]]
    target = disk / f"x.{what.split()[0]}"
    before = sorted(disk.rglob("*"))
    filler = fill(disk)
    try:
        code, _, err = pronas_main(*command)
    finally:
        filler.unlink()
    assert code == 1
    assert len(err) == 1, err
    assert err[0].startswith("error: ")
    assert "No space left on device" in err[0] or "disk is full" in err[0] or "the disk has" in err[0]
    assert "unexpected" not in err[0]
    left = set(disk.rglob("*")) - set(before) - {disk / "trained", disk / "trained" / ".lock"}
    assert not [path for path in left if path.name.startswith(".x") or path == target], left


@pytest.mark.parametrize("what", [name for name in WRITERS if name not in ("score", "train")])
def test_an_output_that_is_a_folder_is_one_line(pronas_main, run_folder, tmp_path, what):
    command = [part.format(run=run_folder, disk=tmp_path, copy=run_folder) for part in WRITERS[what]]
    target = command[-1]
    (tmp_path / target.rpartition("/")[2]).mkdir()
    code, out, err = pronas_main(*command)
    assert (code, out, len(err)) == (2, [], 1), err
    assert "is a folder; name a file" in err[0]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_output_that_cannot_be_is_one_line(pronas_main, run_folder, tmp_path):
    (tmp_path / "file").touch()
    for place in ("file/x.svg", "y" * 300 + ".svg", "file/x/y.svg"):
        code, _, err = pronas_main("draw", run_folder, "--out", tmp_path / place)
        assert (code, len(err)) == (1, 1), err
        assert "unexpected" not in err[0]


def test_a_full_disk_behind_standard_output_is_one_line(run_folder):
    import subprocess
    import sys

    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "pronas", "show", str(run_folder)]
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert found.returncode == 1
    message = "error: No space left on device; make room and try again (see docs/errors.md#disk)"
    assert found.stderr.splitlines() == [message]
