"""One contract for every kernel set: the NumPy reference's bits, integers and logits, on every kind of operation."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from deploy_graphs import random_graph

from pronas.deploy import PackedNetwork, available_kernels, pack
from pronas.errors import UsageError

COMPILED = [k for k in available_kernels() if k != "numpy"]
needs_core = pytest.mark.skipif(not COMPILED, reason="pronas was installed without its compiled core")


@needs_core
@pytest.mark.parametrize("memory", ["fast", "small"])
@pytest.mark.parametrize("kernel", COMPILED)
def test_every_bit_is_the_reference_s(kernel, memory):
    compared = 0
    for seed in range(60):
        graph, images = random_graph(seed)
        data = pack(graph)
        reference = PackedNetwork(data, "reference", kernel="numpy")
        network = PackedNetwork(data, "network", kernel=kernel, memory=memory)
        for index, (expected, found) in enumerate(zip(reference.maps(images), network.maps(images), strict=True)):
            assert np.array_equal(expected, found), f"seed {seed}, map {index}: {graph.maps[index]}"
            compared += expected.size
        assert np.array_equal(reference.integers(images), network.integers(images))
        assert np.array_equal(reference.logits(images).view(np.int32), network.logits(images).view(np.int32))
        assert np.array_equal(reference(images), network(images))
    assert compared > 500_000


@needs_core
@pytest.mark.parametrize("kernel", COMPILED)
def test_small_memory_is_about_one_bit_a_weight(kernel):
    graph, _ = random_graph(7)
    weights = sum(op.weights.size for op in graph.ops if op.weights is not None)
    small, fast = (PackedNetwork(pack(graph), "n", kernel=kernel, memory=m).weight_bytes for m in ("small", "fast"))
    assert small < fast
    assert weights / 8 <= small


@needs_core
def test_threads_split_a_batch_without_changing_it():
    graph, _ = random_graph(3)
    images = np.random.default_rng(0).integers(0, 256, (37, *graph.input_shape), dtype=np.uint8)
    one = PackedNetwork(pack(graph), "n").logits(images)
    for threads in (2, 3, 64):
        assert np.array_equal(one, PackedNetwork(pack(graph), "n", n_threads=threads).logits(images))


@needs_core
def test_python_threads_may_share_a_network():
    graph, _ = random_graph(11)
    network = PackedNetwork(pack(graph), "n")
    images = np.random.default_rng(1).integers(0, 256, (64, *graph.input_shape), dtype=np.uint8)
    expected, wrong = network.logits(images), []

    def work():
        for _ in range(5):
            if not np.array_equal(network.logits(images), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_equal_logits_go_to_the_first_class():
    graph, images = random_graph(1)
    values = graph.ops[-1].logits.values
    values[:] = 0
    for kernel in available_kernels():
        assert (PackedNetwork(pack(graph), "n", kernel=kernel)(images) == 0).all()


def test_an_empty_batch_and_a_wrong_one():
    graph, images = random_graph(2)
    network = PackedNetwork(pack(graph), "net")
    assert network(images[:0]).shape == (0,)
    assert network.logits(images[:0]).shape == (0, 10)
    for wrong in (images.astype(np.float32), images[0], images[:, :, :-1]):
        with pytest.raises(UsageError, match="net reads uint8 images of shape"):
            network(wrong)
    assert np.array_equal(network(images[:, :, ::-1, ::-1][:, :, ::-1, ::-1]), network(images))


def test_unknown_kernels_and_options():
    graph, _ = random_graph(2)
    for options in ({"kernel": "avx3"}, {"memory": "tiny"}, {"n_threads": 0}):
        with pytest.raises(UsageError):
            PackedNetwork(pack(graph), "net", **options)


def test_without_a_core_numpy_works_and_says_that_it_is_slow(tmp_path):
    graph, images = random_graph(5)
    (tmp_path / "net.packed").write_bytes(pack(graph))
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, warnings, numpy as np\nwarnings.simplefilter('always')\nfrom pronas.deploy import load_packed\n"
        "net = load_packed(sys.argv[1] + '/net.packed')\nassert net.kernel == 'numpy'\n"
        "print(*net(np.load(sys.argv[1] + '/images.npy')))\nassert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PRONAS_CORE": "", "PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0, done.stderr
    assert "a hundred times slower" in done.stderr
    assert done.stdout.split() == [str(c) for c in PackedNetwork(pack(graph), "n")(images)]
