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
    "packed": ["export", "{binary}", "--format", "packed", "--out", "{disk}/x.packed"],
    "c binary": ["export", "{binary}", "--format", "c", "--out", "{disk}/x.c"],
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
def binary(tmp_path_factory):
    """A binary network as it was built: no search is needed to export one."""
    import pronas
    from pronas.training import ModelSpec

    skeleton = pronas.skeleton("binary", filters=[8]).to_dict()
    spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", skeleton, (1, 8, 8), ("even", "odd"))
    return pronas.save_model(spec.build(seed=1).eval(), tmp_path_factory.mktemp("binary") / "net", spec)


@pytest.fixture(scope="module")
def disk(tmp_path_factory, run_folder):
    with small_disk(tmp_path_factory.mktemp("full") / "disk", 3) as disk:
        shutil.copytree(run_folder, disk / "run")
        yield disk


@pytest.mark.slow
@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_one_line(pronas_main, disk, run_folder, binary, what):
    places = {"run": run_folder, "copy": disk / "run", "disk": disk, "binary": binary}
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
    assert not [path for path in left if path.name.startswith((".x", ".pronas")) or path == target], left


@pytest.mark.slow
def test_where_the_room_ends_half_way_the_old_files_stay_together(pronas_main, disk, run_folder, binary, tmp_path):
    """Of what belongs together all is new or nothing, however much room there is."""
    import pronas

    def saved(folder):
        pronas.save_model(pronas.load_model(binary).network, folder / "x")

    def exported(folder, model=binary):
        pronas.export(model, "c", folder / "x.c", data="digits")

    old, new = tmp_path / "old", tmp_path / "new"
    for write, older in ((exported, lambda: exported(old, run_folder)), (saved, lambda: _other_model(old))):
        for folder in (old, new):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        older()
        write(new)
        names = sorted(path.name for path in new.iterdir())
        for pages in (0, 1, 2, 3, 5, 8):
            for name in names:
                shutil.copy(old / name, disk / name)
            filler, said = fill(disk, 4096 * pages), ""
            try:
                write(disk)
            except OSError as error:
                said = str(error)
            filler.unlink()
            assert ".pronas" not in said
            kept = old if said else new
            assert [(disk / name).read_bytes() for name in names] == [(kept / name).read_bytes() for name in names]
            assert not [path for path in disk.iterdir() if path.name.startswith(".")]
        for name in names:
            (disk / name).unlink()


def _other_model(folder):
    import pronas
    from pronas.training import ModelSpec

    spec = ModelSpec("0:3x3 conv + 0:identity", pronas.skeleton("flat", filters=[4]).to_dict(), (1, 8, 8), ("a", "b"))
    pronas.save_model(spec.build(seed=1), folder / "x", spec)


@pytest.mark.parametrize("what", [name for name in WRITERS if name not in ("score", "train")])
def test_an_output_that_is_a_folder_is_one_line(pronas_main, run_folder, binary, tmp_path, what):
    command = [part.format(run=run_folder, disk=tmp_path, copy=run_folder, binary=binary) for part in WRITERS[what]]
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
