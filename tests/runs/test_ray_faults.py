"""A search on a Ray cluster that loses workers, nodes, its network or its driver ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pronas.execution import prepare_ray
from pronas.runs import Experiment, search

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
#: Ray's own measures of a silent node, lowered: by default it asks five times, each time for up to 13 seconds, and a
#: driver that pronas prepares gives a connection up after 20 (`tests/execution/test_ray.py`).
IMPATIENT = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_grpc_client_keepalive_time_ms": "3000",
    "RAY_grpc_client_keepalive_timeout_ms": "4000",
}


@pytest.fixture(scope="module")
def small(small):
    return small | {"first": 5, "children": 2, "limit": 800}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, small, facts):
    return facts(search("digits", out=tmp_path_factory.mktemp("quiet") / "run", execution="inline", **small))


@pytest.fixture(scope="module", autouse=True)
def _ray():
    pytest.importorskip("ray", reason="Ray is not installed")
    prepare_ray()


@contextmanager
def cluster(**head):
    made = _patiently(lambda: _start({"num_cpus": 1, **NODE, **head}))
    try:
        yield made
    finally:
        made.shutdown()


def _start(head):
    from ray.cluster_utils import Cluster

    return Cluster(initialize_head=True, head_node_args=head)


def _patiently(start):
    """Ray gives a node thirty seconds to start, which a busy machine may not."""
    for last in (False, False, True):
        try:
            return start()
        except Exception:
            if last:
                raise


@contextmanager
def driver(out: Path, address: str, settings: dict):
    """``pronas search`` in a process of its own; gives it, and an iterator over its events."""
    flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "pronas", "search", "--json", "--execution", "ray", "--address", address]
    process = subprocess.Popen([*command, "--out", str(out), *flags], stdout=subprocess.PIPE, text=True)
    try:
        yield process, map(json.loads, process.stdout)
    finally:
        process.kill()
        process.wait()


def workers_of(node) -> list[int]:
    """Process numbers of the workers that have a child in hand."""
    raylet = node.all_processes["raylet"][0].process.pid
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == raylet and (entry / "cmdline").read_bytes().startswith(b"ray::do_job"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_killed_worker_a_removed_node_and_a_killed_driver_change_nothing(tmp_path, small, facts, quiet):
    """One search loses them one after the other: starting a cluster, a driver and workers takes most of the time."""
    killed = removed = False
    with cluster(num_cpus=2) as made:
        node = _patiently(lambda: made.add_node(num_cpus=2, **NODE))
        with driver(tmp_path / "run", made.address, small) as (process, events):
            for event in events:
                victims = workers_of(node) if event["event"] == "progress" and not killed and not removed else []
                if victims:
                    os.kill(victims[0], signal.SIGKILL)
                    killed = True
                if event["event"] == "child" and event["done"] == 3:
                    removed = True
                    made.remove_node(node, allow_graceful=False)
                if event["event"] == "child" and event["done"] == 5:
                    process.kill()
                    break
        assert killed
        assert removed
        before = {child.id: child.finished for child in Experiment(tmp_path / "run").children() if child.settled}
        assert len(before) >= 5
        with driver(tmp_path / "run", made.address, small) as (process, events):
            known = [event["id"] for event in events if event["event"] == "child" and event["known"]]
            assert process.wait() == 0
    experiment = Experiment(tmp_path / "run")
    assert facts(experiment) == quiet
    assert set(known) == set(before)
    assert before.items() <= {child.id: child.finished for child in experiment.children()}.items()


def _ip(*words: str) -> bool:
    try:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def far():
    """A network namespace, joined to this one by a cable: its name, our address, its address, our end of the cable."""
    name, here, there = f"pronas{os.getpid()}", f"pr{os.getpid()}a", f"pr{os.getpid()}b"
    if os.geteuid() or not _ip("netns", "add", name):
        pytest.skip("network namespaces need root and the command ip")
    inside = ("-n", name)
    made = (
        _ip("link", "add", here, "type", "veth", "peer", "name", there)
        and _ip("link", "set", there, "netns", name)
        and _ip("addr", "add", "10.213.77.1/24", "dev", here)
        and _ip("link", "set", here, "up")
        and _ip(*inside, "addr", "add", "10.213.77.2/24", "dev", there)
        and _ip(*inside, "link", "set", there, "up")
        and _ip(*inside, "link", "set", "lo", "up")
    )
    try:
        if not made:
            pytest.skip("a pair of virtual network devices cannot be made here")
        yield name, "10.213.77.1", "10.213.77.2", here
    finally:
        _ip("link", "del", here)
        _ip("netns", "del", name)


@contextmanager
def node_in(namespace: str, address: str, own: str):
    """A Ray node in a network namespace."""
    start = ["ray", "start", "--block", "--address", address, "--node-ip-address", own, "--num-cpus", "2"]
    start[0] = str(Path(sys.executable).with_name("ray"))
    command = ["ip", "netns", "exec", namespace, *start, "--object-store-memory", str(80 * 2**20)]
    node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield node
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        node.wait()


def _far_workers(namespace: str) -> bool:
    """Whether a worker in the namespace has a child in hand."""
    done = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    names = [Path(f"/proc/{pid}/cmdline") for pid in done.stdout.split()]
    return any(name.exists() and name.read_bytes().startswith(b"ray::do_job") for name in names)


def test_a_node_cut_off_from_the_network_is_given_up_soon(tmp_path, small, facts, quiet, far, monkeypatch):
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)  # for the cluster's processes and the driver's
    namespace, ours, theirs, cable = far
    with cluster(node_ip_address=ours) as made, node_in(namespace, made.address, theirs) as node:
        while len(made.global_state._live_node_ids()) < 2:
            assert node.poll() is None, "the far node did not start"
            time.sleep(0.2)
        cut = None
        with driver(tmp_path / "run", made.address, small) as (process, events):
            for event in events:
                if cut is None and event["event"] == "progress" and _far_workers(namespace):
                    assert _ip("link", "set", cable, "down")
                    cut = time.monotonic()
            assert cut is not None, "no child was in flight on the far node"
            seconds = time.monotonic() - cut
            assert process.wait() == 0
        _ip("link", "set", cable, "up")  # or the far node takes its leave for half a minute
    print(f"the search ended {seconds:.0f} s after the cut")
    assert facts(Experiment(tmp_path / "run")) == quiet
    assert seconds < 180  # some 20 on a quiet machine; with Ray's own settings it takes seven minutes
