"""Packed files: what is written is read, and nothing hostile gets through, in Python and in C."""

import os
import struct
import zlib

import numpy as np
import pytest
from deploy_graphs import random_graph
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pronas.deploy import available_kernels, is_packed, load_packed, pack, unpack
from pronas.deploy.packed import Builder, Logits, Native
from pronas.errors import ModelFileError, PronasError, UsageError

CORE = available_kernels() != ["numpy"]


def reseal(data):
    """The bytes with a size and a checksum that fit, so that what follows them is looked at."""
    data = bytearray(data)
    data[12:16], data[60:64] = struct.pack("<I", len(data)), b"\0" * 4
    data[60:64] = struct.pack("<I", zlib.crc32(bytes(data)))
    return bytes(data)


def verdicts(data):
    """Whether Python and the C core take the bytes."""
    taken = []
    for read in (lambda: unpack(data), lambda: Native(data, "net")):
        try:
            read()
            taken.append(True)
        except ModelFileError:
            taken.append(False)
        if not CORE:
            break
    return taken


def test_what_could_not_be_read_is_not_written():
    builder = Builder((1, 129, 127))
    wide = builder.window(
        "conv", builder.image, (1, 1), 1, (0, 0), weights=np.ones((5, 1, 1, 1), bool), thresholds=np.zeros(5, np.int32)
    )
    logits = Logits(0, np.ones((2, 2), np.float32))
    inputs = builder.map(wide).size
    graph = builder.finish(wide, np.ones((2, inputs), bool), logits, classes=["a", "b"])
    with pytest.raises(UsageError, match=r"operation 1 \(logits\) .* 81915 inputs, more than 65536; export to onnx"):
        pack(graph)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
@example(415)
def test_reading_gives_what_was_written(seed):
    graph, _ = random_graph(seed)
    again = unpack(pack(graph))
    assert again.maps == graph.maps
    assert again.info == graph.info
    for a, b in zip(graph.ops, again.ops, strict=True):
        assert (a.kind, a.sources, a.target, a.offset, a.channels) == (
            b.kind,
            b.sources,
            b.target,
            b.offset,
            b.channels,
        )
        for x, y in ((a.weights, b.weights), (a.thresholds, b.thresholds)):
            assert (x is None and y is None) or np.array_equal(x, y)
    assert pack(again) == pack(graph)


@given(st.integers(0, 200), st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_behind_a_right_checksum_give_one_line_or_a_network(seed, data):
    content = bytearray(pack(random_graph(seed)[0]))
    end = min(len(content), 64 + 2048)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, end - 1))] = data.draw(st.integers(0, 255))
    taken = verdicts(reseal(content))
    if len(taken) == 2 and taken[0]:
        assert taken[1], "the C core refuses what Python takes"


def test_two_thousand_mutants_never_crash():
    rng = np.random.default_rng(0)
    bases = [pack(random_graph(seed)[0]) for seed in range(10)]
    taken = 0
    for index in range(2000):
        content = bytearray(bases[index % len(bases)])
        for _ in range(int(rng.integers(1, 6))):
            content[int(rng.integers(0, min(len(content), 1024)))] = int(
                rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
            )
        if rng.random() < 0.2:
            content = content[: int(rng.integers(0, len(content)))]
        sealed = reseal(content) if len(content) >= 64 and rng.random() < 0.9 else bytes(content)
        if not CORE:
            taken += verdicts(sealed)[0]
            continue
        try:
            network = Native(sealed, "net", small=bool(index % 2))
        except ModelFileError:
            continue
        shape = unpack(sealed).input_shape if verdicts(sealed)[0] else None
        if shape is not None and np.prod(shape) < 1 << 16:
            network.run(np.zeros((1, *shape), np.uint8))
            taken += 1
    assert 0 < taken < 2000


def test_every_truncation_and_every_altered_byte_is_noticed(tmp_path):
    content = pack(random_graph(0)[0])
    for size in {0, 1, 7, 8, 63, 64, 65, len(content) // 2, len(content) - 1}:
        assert not any(verdicts(content[:size]))
    for at in range(0, len(content), max(1, len(content) // 300)):
        altered = bytearray(content)
        altered[at] ^= 0x10
        assert not any(verdicts(bytes(altered)))
    assert not any(verdicts(content + b"\0"))


def test_messages_name_the_file_and_the_trouble(tmp_path):
    path = tmp_path / "net.packed"
    content = pack(random_graph(0)[0])
    for data, message in (
        (b"", "not a packed pronas network"),
        (b"PK\3\4" * 40, "not a packed pronas network"),
        (content[:-1], "truncated"),
        (content[:8] + struct.pack("<I", 9) + content[12:], "version 9; this pronas reads version 1"),
        (content[:-1] + bytes([content[-1] ^ 1]), "checksum"),
    ):
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=message) as caught:
            load_packed(path)
        assert str(path) in str(caught.value)
    with pytest.raises(ModelFileError, match=r"missing\.packed: cannot be read"):
        load_packed(tmp_path / "missing.packed")
    with pytest.raises(ModelFileError):
        load_packed(tmp_path)


def test_hostile_json_is_refused():
    graph, _ = random_graph(0)
    for text in (b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"classes": 3}'):
        base = pack(graph)
        sections = [base[a : a + n] for a, n in struct.iter_unpack("<II", base[16:56])]
        sections[0] = text
        body, table = b"", []
        for content in sections:
            body += b"\0" * (-len(body) % 16)
            table += [64 + len(body), len(content)]
            body += content
        data = reseal(base[:16] + struct.pack("<10I", *table) + base[56:64] + body)
        with pytest.raises(PronasError):
            unpack(data)


def test_is_packed(tmp_path):
    path = tmp_path / "net.packed"
    path.write_bytes(pack(random_graph(0)[0]))
    assert is_packed(path)
    assert not is_packed(tmp_path)
    assert not is_packed(os.devnull)
