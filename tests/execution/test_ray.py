"""Faults on Ray: a worker that dies, limits, lost progress."""

import os
import subprocess
import sys

import pytest

from pronas.errors import RunError
from pronas.execution import Job, Outcome, make_executor

RUN, SETUP = "pronas_test_work:run", "pronas_test_work:setup"


def outcomes(executor):
    return {event.id: event for event in executor.events() if isinstance(event, Outcome)}


@pytest.fixture
def ray(ray_cluster):
    made = []

    def build(**options):
        made.append(make_executor("ray", RUN, SETUP, {}, **options))
        return made[-1]

    yield build
    for executor in made:
        executor.close()


def test_a_killed_worker_is_replaced(ray, tmp_path):
    executor = ray()
    executor.submit(Job(1, {"marker": str(tmp_path / "died-once"), "x": 3}))
    assert outcomes(executor)[1].value["double"] == 6


def test_a_job_that_always_kills_its_worker_is_given_up(ray):
    executor = ray()
    executor.submit(Job(1, {"die": True}))
    executor.submit(Job(2, {"x": 1}))
    ended = outcomes(executor)
    assert ended[1].status == "failed"
    assert "lost 3 times" in ended[1].error
    assert ended[2].status == "ok"


def test_time_limit(ray):
    executor = ray(timeout=1.0)
    executor.submit(Job(1, {"forever": True}))
    executor.submit(Job(2, {"x": 1}))
    ended = outcomes(executor)
    assert "time limit of 1 s" in ended[1].error
    assert ended[2].status == "ok"


def test_memory_limit(ray):
    executor = ray(memory_limit=600 * 2**20)
    executor.submit(Job(1, {"eat": 900 * 2**20}))
    assert "memory limit of 600 MiB" in outcomes(executor)[1].error


def test_no_cluster_at_the_address():
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.raises(RunError, match=r"no connection to the Ray cluster at .127\.0\.0\.1:1."):
        make_executor("ray", RUN, SETUP, {}, address="127.0.0.1:1")


def test_connections_are_given_up_soon_unless_the_user_says_otherwise():
    """Ray's own settings notice a node without a network after seven minutes."""
    code = (
        "import os; from pronas.execution import prepare_ray; prepare_ray(own=False); "
        "print(*(os.environ[f'RAY_grpc_client_keepalive_{which}_ms'] for which in ('time', 'timeout')))"
    )
    for given, told in (({}, "10000 10000"), ({"RAY_grpc_client_keepalive_time_ms": "7"}, "7 10000")):
        unset = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        done = subprocess.run(
            [sys.executable, "-c", code], env=unset | given, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == told
