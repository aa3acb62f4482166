"""Files are replaced whole; what is no file is written to."""

import os
import stat
import threading

import pytest

from pronas.files import replacing, write_atomic


def test_an_old_file_stays_where_the_new_one_fails(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, "old")
    with pytest.raises(OSError), replacing(path) as temporary:  # noqa: PT011, PT012
        temporary.write_text("half of the n")
        raise OSError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_or_device_is_written_to_and_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomic(pipe, "for the reader")
    reader.join(10)
    assert found == [b"for the reader"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="name a file"), replacing(tmp_path):
        pass
