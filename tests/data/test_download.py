"""Named sets: found in folders, downloaded from a server that misbehaves, checked."""

import gzip
import hashlib
import http.server
import io
import socket
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from pronas.data import NAMED, NamedSet, load_dataset
from pronas.errors import DataError, UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def idx(array):
    sizes = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def toy_files():
    rng = np.random.default_rng(0)
    made = {}
    for stem, n in (("train", 200), ("t10k", 40)):
        made[f"{stem}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        made[f"{stem}-labels-idx1-ubyte"] = idx((np.arange(n) % 10).astype(np.uint8))
    return made


@pytest.fixture
def files(monkeypatch, tmp_path):
    """A small set published under the name mnist; the cache is empty."""
    made = toy_files()
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    toy = NamedSet("mnist", tuple("0123456789"), sums, (), held_out=50, size=200_000)
    monkeypatch.setitem(NAMED, "mnist", toy)
    monkeypatch.setenv("PRONAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PRONAS_DOWNLOAD_TIMEOUT", "0.3")
    return {f"{name}.gz": gzip.compress(data) for name, data in made.items()}


class Server:
    """Serves files with faults: each request of a file takes the next fault of its list; then it behaves."""

    def __init__(self, files):
        self.files, self.faults, self.ranges, self.use_ranges = files, {}, [], True
        outer = self
        self.release = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self, self.path.rsplit("/", 1)[-1])

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request, name):
        data, waiting = self.files.get(name), self.faults.get(name, [])
        fault = waiting.pop(0) if waiting else None
        asked = request.headers.get("Range")
        self.ranges.append((name, asked))
        if isinstance(fault, int) or data is None:
            return request.send_error(fault or 404)
        start = int(asked[6:-1]) if asked and self.use_ranges else 0
        if start >= len(data):
            return request.send_error(416)
        body = data[start:]
        request.send_response(206 if start else 200)
        if fault != "endless":
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        self.send(request, body, fault)

    def send(self, request, body, fault):
        half = body[: len(body) // 2]
        if fault == "cut":
            request.wfile.write(half)
        elif fault == "stall":
            request.wfile.write(half)
            request.wfile.flush()
            self.release.wait(5)
        elif fault == "wrong":
            request.wfile.write(bytes(255 - byte for byte in body))
        elif fault == "endless":
            try:
                for _ in range(1000):
                    request.wfile.write(bytes(10_000))
            except OSError:
                pass
        else:
            request.wfile.write(body)


@pytest.fixture
def server(files, monkeypatch):
    server = Server(files)
    monkeypatch.setenv("PRONAS_MIRROR", server.url)
    yield server
    server.release.set()
    server.http.shutdown()
    server.http.server_close()


IMAGES = "train-images-idx3-ubyte.gz"


def asked(server, name=IMAGES):
    return [header for file, header in server.ranges if file == name]


def test_download_once(server, tmp_path, capfd):
    dataset = load_dataset("mnist")
    assert [len(split) for _, split in dataset.splits()] == [180, 20, 40]
    assert f"downloading {server.url}/mnist/{IMAGES}" in capfd.readouterr().err
    assert load_dataset("mnist").fingerprint == dataset.fingerprint
    assert len(server.ranges) == 4
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.parametrize("faults", [["cut"], ["stall"], [503, "cut", "cut", 500, "stall"]])
def test_faults_are_survived_and_transfers_resumed(server, files, faults):
    server.faults[IMAGES] = list(faults)
    assert len(load_dataset("mnist").test) == 40
    half = len(files[IMAGES]) // 2
    assert f"bytes={half}-" in asked(server)


def test_server_without_ranges(server):
    server.use_ranges = False
    server.faults[IMAGES] = ["cut"]
    assert len(load_dataset("mnist").test) == 40


def test_an_interrupted_download_goes_on_in_the_next_run(server, files, tmp_path):
    part = tmp_path / "cache" / "mnist" / f"{IMAGES}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(files[IMAGES][:1000])
    load_dataset("mnist")
    assert asked(server) == ["bytes=1000-"]


@pytest.mark.parametrize("size", [1000, 10_000_000])
def test_a_part_of_another_file_is_dropped(server, tmp_path, size):
    part = tmp_path / "cache" / "mnist" / f"{IMAGES}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * size)
    assert len(load_dataset("mnist").test) == 40
    assert asked(server)[-1] is None


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (["wrong"] * 9, "the content"),
        ([404], "HTTP 404"),
        ([503] * 9, "HTTP 503"),
        (["endless"], "more bytes than"),
    ],
)
def test_failures_are_one_line_with_the_cure(server, tmp_path, faults, words):
    server.faults[IMAGES] = faults
    with pytest.raises(DataError, match=words) as caught:
        load_dataset("mnist")
    assert "data_dir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "mnist" / IMAGES).exists()
    server.faults.clear()
    assert len(load_dataset("mnist").test) == 40  # nothing bad was left behind


def test_an_announced_giant_is_not_fetched(server):
    server.files[IMAGES] = bytes(300_000)
    with pytest.raises(DataError, match="300000 bytes long"):
        load_dataset("mnist")


def test_no_network(files, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("PRONAS_MIRROR", f"http://127.0.0.1:{port}")
    with pytest.raises(DataError, match=r"refused.*data_dir"):
        load_dataset("mnist")


def test_cache_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRONAS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*PRONAS_CACHE"):
        load_dataset("mnist")


@pytest.mark.parametrize(("name", "value"), [("PRONAS_MIRROR", "file:///etc"), ("PRONAS_DOWNLOAD_TIMEOUT", "soon")])
def test_bad_environment(server, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        load_dataset("mnist")


@pytest.mark.parametrize("below", ["", "mnist"])
def test_data_dir_comes_first(server, files, tmp_path, below):
    folder = tmp_path / "mine" / below
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    assert len(load_dataset("mnist", data_dir=tmp_path / "mine").test) == 40
    assert not server.ranges
    (folder / IMAGES).write_bytes(gzip.compress(idx(np.zeros((200, 28, 28), np.uint8))))
    with pytest.raises(DataError, match="SHA-256"):
        load_dataset("mnist", data_dir=tmp_path / "mine")
    (folder / IMAGES).write_bytes(files[IMAGES])
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte"):
        load_dataset("mnist", data_dir=tmp_path / "mine")


def test_data_dir_missing(files, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_dataset("mnist", data_dir=tmp_path / "none")


def test_a_npz_copy_in_the_data_dir(files, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (60, 9, 9), dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=np.arange(60) % 10)
    dataset = load_dataset("MNIST", data_dir=tmp_path)
    assert (dataset.name, len(dataset.validation)) == ("mnist", 10)


def records(n, label_bytes, classes):
    rng = np.random.default_rng(n)
    rows = rng.integers(0, 256, (n, label_bytes + 3072), dtype=np.uint8)
    rows[:, label_bytes - 1] = np.arange(n) % classes
    return rows


def cifar(which):
    if which == "cifar10":
        names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
        return {name: records(30 + i, 1, 10) for i, name in enumerate(names)}
    return {"train.bin": records(300, 2, 100), "test.bin": records(100, 2, 100)}


def write_tar(path, contents):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in contents.items():
            info = tarfile.TarInfo(f"some-folder/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


ARCHIVES = {"cifar10": "cifar-10-binary.tar.gz", "cifar100": "cifar-100-binary.tar.gz"}


@pytest.mark.parametrize("which", ["cifar10", "cifar100"])
@pytest.mark.parametrize("packed", [False, True])
def test_cifar_binary(which, packed, tmp_path):
    made = cifar(which)
    contents = {name: rows.tobytes() for name, rows in made.items()}
    if packed:
        path = write_tar(tmp_path / ARCHIVES[which], contents)
    else:
        path = tmp_path
        for name, data in contents.items():
            (path / name).write_bytes(data)
    dataset = load_dataset(path)
    test = list(made.values())[-1]
    first = 2 if which == "cifar100" else 1
    assert np.array_equal(dataset.test.images, test[:, first:].reshape(-1, 3, 32, 32))
    assert np.array_equal(dataset.test.labels, test[:, first - 1])
    assert dataset.num_classes == (100 if which == "cifar100" else 10)
    with pytest.raises(DataError, match="SHA-256"):
        load_dataset(which, data_dir=tmp_path)  # by its name it must be the published one


def test_damaged_cifar(tmp_path):
    contents = {name: rows.tobytes() for name, rows in cifar("cifar10").items()}
    path = tmp_path / ARCHIVES["cifar10"]
    write_tar(path, contents | {"data_batch_3.bin": contents["data_batch_3.bin"][:-1]})
    with pytest.raises(DataError, match=r"data_batch_3\.bin: .* not whole records"):
        load_dataset(path)
    write_tar(path, {name: data for name, data in contents.items() if name != "data_batch_2.bin"})
    with pytest.raises(DataError, match=r"data_batch_2\.bin is missing"):
        load_dataset(path)
    whole = write_tar(path, contents).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="corrupt or truncated"):
        load_dataset(path)


@pytest.mark.skipif(not (SHARED / "fashion-mnist").is_dir(), reason="needs Fashion-MNIST in shared/data")
def test_the_real_fashion_mnist(monkeypatch, tmp_path):
    monkeypatch.setenv("PRONAS_CACHE", str(tmp_path))
    dataset = load_dataset("fashion-mnist", data_dir=SHARED)
    assert [len(split) for _, split in dataset.splits()] == [55000, 5000, 10000]
    assert dataset.classes[0] == "T-shirt/top"
    assert np.bincount(dataset.validation.labels).tolist() == [500] * 10
    with pytest.raises(DataError, match="SHA-256"):
        load_dataset("mnist", data_dir=SHARED / "fashion-mnist")
