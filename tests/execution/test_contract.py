"""One contract, every executor."""

import numpy as np
import pytest

from pronas.errors import UsageError
from pronas.execution import Job, Outcome, Progress, make_executor

RUN, SETUP = "pronas_test_work:run", "pronas_test_work:setup"


@pytest.fixture(params=["inline", "local", "local-devices", "ray"])
def make(request):
    made = []

    def build(shared=None, setup=SETUP, **options):
        name = request.param.partition("-")[0]
        if request.param == "local-devices":
            options["devices"] = ["left", "right"]
        if name == "local":
            options.setdefault("workers", 2)
        if name == "ray":
            request.getfixturevalue("ray_cluster")
        made.append(make_executor(name, RUN, setup, shared or {}, **options))
        return made[-1]

    yield build
    for executor in made:
        executor.close()


def outcomes(executor):
    return {event.id: event for event in executor.events() if isinstance(event, Outcome)}


def test_every_job_has_one_outcome(make):
    executor = make()
    for number in range(7):
        executor.submit(Job(number, {"x": number}))
    seen = [event for event in executor.events() if isinstance(event, Outcome)]
    assert sorted((event.id, event.value["double"]) for event in seen) == [(n, 2 * n) for n in range(7)]
    assert all(event.status == "ok" and event.error is None and event.attempts == 1 for event in seen)


def test_nothing_submitted_ends_at_once(make):
    assert list(make().events()) == []


def test_jobs_may_be_submitted_while_reading(make):
    executor = make()
    executor.submit(Job(0, {"x": 0}))
    seen = []
    for event in executor.events():
        seen.append(event.id)
        if event.id < 3:
            executor.submit(Job(event.id + 1, {}))
    assert seen == [0, 1, 2, 3]


def test_progress_comes_in_order_and_before_the_outcome(make):
    executor = make()
    executor.submit(Job(5, {"steps": 3}))
    events = list(executor.events())
    assert [event.value["step"] for event in events[:-1] if isinstance(event, Progress)] == [0, 1, 2]
    assert isinstance(events[-1], Outcome)


def test_arrays_reach_the_worker(make):
    table = np.arange(1000, dtype=np.int64).reshape(10, 100)
    executor = make({"table": table})
    executor.submit(Job(1))
    assert outcomes(executor)[1].value["total"] == table.sum()


def test_an_exception_fails_its_job_alone_in_one_line(make):
    executor = make()
    executor.submit(Job(1, {"raise": True}))
    executor.submit(Job(2, {"x": 4}))
    ended = outcomes(executor)
    assert ended[1].status == "failed"
    assert ended[1].error == "RuntimeError: two lines"
    assert ended[1].attempts == 1
    assert ended[2].value["double"] == 8


def test_a_failed_setup_fails_the_jobs(make):
    executor = make(setup="pronas_test_work:bad_setup")
    executor.submit(Job(1))
    assert "no context today" in outcomes(executor)[1].error


def test_cancelled_jobs_have_no_outcome(make):
    executor = make()
    for number in range(4):
        executor.submit(Job(number, {"forever": number >= 0}))
    executor.cancel()
    executor.submit(Job(9, {"x": 1}))
    assert list(outcomes(executor)) == [9]


def test_close_twice(make):
    executor = make()
    executor.close()
    executor.close()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("locale", {}, "did you mean 'local'"),
        ("inline", {"timeout": 3.0}, "use execution 'local'"),
        ("local", {"workers": 0}, "workers must be above 0"),
        ("local", {"memory_limit": -1}, "memory_limit must be above 0"),
        ("local", {"gpus": 0.5}, "execution 'local' knows no 'gpus': it is for 'ray'"),
        ("inline", {"nonsense": 1}, "execution 'inline' knows no 'nonsense'"),
    ],
)
def test_bad_options(name, options, words):
    with pytest.raises(UsageError, match=words):
        make_executor(name, RUN, SETUP, {}, **options)


def test_unknown_function():
    with pytest.raises(UsageError, match="no worker function"):
        make_executor("inline", "pronas_test_work:nothing", SETUP, {})


def test_a_job_that_is_asked_to_stop_returns_what_it_got_to(make, request):
    inline = request.node.callspec.params["make"] == "inline"  # which cannot be asked while it works
    executor, most = make({"hurry": inline}), 400 if inline else 4000
    executor.submit(Job(3, {"patient": most}))
    executor.submit(Job(4, {"x": 1}))
    ended = {}
    for event in executor.events():
        if isinstance(event, Progress) and event.id == 3:
            executor.stop(3)
            executor.stop(3)
        elif isinstance(event, Outcome):
            ended[event.id] = event
    assert [ended[number].status for number in (3, 4)] == ["ok", "ok"]
    steps = ended[3].value["double"] // 2
    assert 1 <= steps < most or (steps == most and ended[3].worker == "inline")
