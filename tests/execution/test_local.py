"""What only worker processes can do: die, be stopped, and leave nothing behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from pronas.errors import RunError
from pronas.execution import Job, Outcome, Progress, make_executor

RUN, SETUP = "pronas_test_work:run", "pronas_test_work:setup"


def local(**options):
    return make_executor("local", RUN, SETUP, {}, **{"workers": 2, **options})


def outcomes(executor):
    return {event.id: event for event in executor.events() if isinstance(event, Outcome)}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_killed_worker_is_replaced(tmp_path):
    with local() as executor:
        executor.submit(Job(1, {"marker": str(tmp_path / "died-once"), "x": 3}))
        executor.submit(Job(2, {"x": 1}))
        ended = outcomes(executor)
    assert (ended[1].value["double"], ended[1].attempts) == (6, 2)
    assert ended[2].attempts == 1


def test_a_job_that_always_kills_its_worker_is_given_up():
    with local() as executor:
        executor.submit(Job(1, {"die": True}))
        executor.submit(Job(2, {"x": 1}))
        ended = outcomes(executor)
    assert ended[1].status == "failed"
    assert ended[1].attempts == 3
    assert "SIGKILL" in ended[1].error
    assert ended[2].status == "ok"


def test_time_limit():
    with local(timeout=1.0) as executor:
        executor.submit(Job(1, {"forever": True}))
        executor.submit(Job(2, {"x": 1}))
        ended = outcomes(executor)
    assert "time limit of 1 s" in ended[1].error
    assert ended[2].status == "ok"


def test_memory_limit():
    with local(memory_limit=600 * 2**20) as executor:
        executor.submit(Job(1, {"eat": 900 * 2**20}))
        executor.submit(Job(2, {"x": 1}))
        ended = outcomes(executor)
    assert "memory limit of 600 MiB" in ended[1].error
    assert ended[2].status == "ok"


def test_devices_keep_their_workers():
    with local(devices=["a", "b"]) as executor:
        for number in range(6):
            executor.submit(Job(number))
        ended = outcomes(executor).values()
    assert {event.value["device"] for event in ended} <= {"a", "b"}
    assert len({event.value["pid"] for event in ended}) <= 2


def pids(executor):
    return [event.value["pid"] for event in executor.events() if isinstance(event, Outcome) and event.value]


def test_a_worker_does_sixteen_jobs():
    with local(workers=1) as executor:
        for number in range(20):
            executor.submit(Job(number))
        seen = pids(executor)
        executor.submit(Job(20))
        seen += pids(executor)
    assert [seen.count(pid) for pid in dict.fromkeys(seen)] == [16, 5]


@pytest.mark.parametrize("wrong", [{"raise": True}, {"more": {"error": "it diverged"}}])
def test_a_job_that_failed_ends_its_worker(wrong):
    with local(workers=1) as executor:
        for number, payload in enumerate([{}, {}, wrong, {}]):
            executor.submit(Job(number, payload))
        seen = pids(executor)
    assert seen[0] == seen[1]
    assert seen[-1] != seen[0]


def test_an_idle_worker_that_died_costs_no_attempt():
    with local(workers=1) as executor:
        executor.submit(Job(1))
        (pid,) = pids(executor)
        descriptor = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        # ready when its last thread is gone and its pipe closed; /proc calls it a zombie as soon as the first one is
        wait([descriptor])
        os.close(descriptor)
        executor.submit(Job(2))
        ended = outcomes(executor)[2]
    assert (ended.status, ended.attempts) == ("ok", 1)


def test_memory_that_an_earlier_job_left_does_not_count():
    with local(workers=1, memory_limit=800 * 2**20) as executor:
        executor.submit(Job(1, {"leave": 350 * 2**20}))
        executor.submit(Job(2, {"hold": 350 * 2**20}))
        executor.submit(Job(3, {"hold": 900 * 2**20}))
        ended = outcomes(executor)
    assert [ended[number].status for number in (1, 2, 3)] == ["ok", "ok", "failed"]
    assert ended[1].value["pid"] != ended[2].value["pid"]
    assert ended[2].attempts == 1
    assert "memory limit of 800 MiB" in ended[3].error


def test_limits_hold_when_the_fork_server_is_gone():
    with local(timeout=3.0) as executor:
        executor.submit(Job(1, {"forever": True, "steps": 1}))
        assert isinstance(next(executor.events()), Progress)
        (worker,) = multiprocessing.active_children()
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        executor.submit(Job(2, {"x": 1}))  # starts another server, and has the dead one's workers taken for ended
        ended = outcomes(executor)
        assert "time limit of 3 s" in ended[1].error
        assert ended[2].status == "ok"
        assert not alive(worker.pid)


def test_close_leaves_no_process():
    with local(devices=["a", "b"]) as executor:
        executor.submit(Job(1))
        pid = outcomes(executor)[1].value["pid"]
        executor.submit(Job(2, {"forever": True, "steps": 1}))
        assert isinstance(next(executor.events()), Progress)
        assert alive(pid)
    assert not alive(pid)


SCRIPT = """
import sys
sys.path.insert(0, {work!r})
from pronas.execution import make_executor, Job
if __name__ == "__main__":
    executor = make_executor("local", "pronas_test_work:run", "pronas_test_work:setup", {{}}, workers=1, devices=["a"])
    executor.submit(Job(1))
    for event in executor.events():
        pid = event.value["pid"]
    executor.submit(Job(2, {{"forever": True}}))
    print(pid, flush=True)
    for event in executor.events():
        pass
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_the_driver_is_killed(tmp_path, how):
    script = tmp_path / "driver.py"
    script.write_text(SCRIPT.format(work=str(Path(__file__).parent)))
    driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pid = int(driver.stdout.readline())
    os.kill(driver.pid, how)
    driver.wait()
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


UNGUARDED = """
import sys
sys.path.insert(0, {work!r})
from pronas.execution import make_executor, Job
executor = make_executor("local", "pronas_test_work:run", "pronas_test_work:setup", {{}}, workers=1)
executor.submit(Job(1))
for event in executor.events():
    print(event.error)
executor.close()
"""


def test_a_script_without_the_main_guard_is_told_so(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(UNGUARDED.format(work=str(Path(__file__).parent)))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=280, check=False)
    assert "__main__" in done.stdout + done.stderr
    assert "its worker died 3 times" in done.stdout


COUNTED = """
import sys
sys.path.insert(0, {work!r})
from pronas.execution import make_executor, Job
open({marks!r}, "a").write("x")
if __name__ == "__main__":
    with make_executor("local", "pronas_test_work:run", "pronas_test_work:setup", {{}}, workers=2) as executor:
        for number in range(5):
            executor.submit(Job(number))
        print(*sorted(event.id for event in executor.events()))
"""


def test_a_script_is_imported_once_for_all_workers(tmp_path):
    script, marks = tmp_path / "driver.py", tmp_path / "marks"
    script.write_text(COUNTED.format(work=str(Path(__file__).parent), marks=str(marks)))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=280, check=True)
    assert done.stdout == "0 1 2 3 4\n"
    assert marks.read_text() == "xx"


def test_a_worker_killed_as_it_starts_is_started_again(monkeypatch):
    start, failures = ForkServerProcess.start, [EOFError("unexpected EOF")] * 2

    def start_at_the_third_time(process):
        if failures:
            raise failures.pop()
        start(process)

    monkeypatch.setattr(ForkServerProcess, "start", start_at_the_third_time)
    with local() as executor:
        executor.submit(Job(1, {"x": 2}))
        assert outcomes(executor)[1].value["double"] == 4


def test_workers_that_never_start_are_an_error(monkeypatch):
    def never(process):
        raise EOFError("unexpected EOF")

    monkeypatch.setattr(ForkServerProcess, "start", never)
    with local() as executor, pytest.raises(RunError, match="killed as they start"):
        executor.submit(Job(1))
