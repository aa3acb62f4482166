"""The live page: what it sends, whom it answers, and how it goes on after breaks."""

import json
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from pronas.errors import RunError
from pronas.report import Feed, watch

expect = pytest.importorskip("playwright.sync_api").expect
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """``pronas watch`` in a process of its own, as a user runs it."""

    def __init__(self, run, port):
        self.url = f"http://127.0.0.1:{port}/"
        command = [sys.executable, "-m", "pronas", "watch", str(run), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.url in self.process.stdout.readline()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def live_run(tmp_path, runs):
    return runs.make_run(tmp_path / "live", 30, state="searching")


@pytest.fixture
def serve():
    """Start servers that are gone after the test, whatever became of it."""
    started = []

    def start(run, port):
        started.append(Server(run, port))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def server(live_run, serve):
    return serve(live_run, free_port())


def finish(run, runs, number, **columns):
    """Commit one more finished child, as the driver does."""
    store = runs.open_store(run)
    row = runs.child(number, 3, runs.START + number, random.Random(number), runs.OPERATORS) | columns
    runs.insert(store, [row | {"status": columns.get("status", "done"), "error": None}])
    store.execute("INSERT OR REPLACE INTO meta VALUES ('revision', ?)", (str(row["revision"]),))
    store.commit()
    store.close()
    return row


def message(event):
    fields = dict(line.split(": ", 1) for line in event.strip().split("\n"))
    return fields["id"], json.loads(fields["data"])


def test_feed_sends_all_then_only_what_changed(live_run, runs):
    feed = Feed(live_run)
    last, first = message(feed.poll())
    assert len(first["rows"]) == 30
    assert first["reset"]
    assert feed.poll() is None
    finish(live_run, runs, 31)
    _, second = message(feed.poll())
    assert [row[0] for row in second["rows"]] == [31]
    assert not second["reset"]
    assert "fits" not in second
    feed.close()
    back = Feed(live_run, last)
    assert [row[0] for row in message(back.poll())[1]["rows"]] == [31]
    back.close()


def test_feed_starts_over_when_another_store_takes_the_place(live_run, runs):
    feed = Feed(live_run)
    feed.poll()
    for path in live_run.glob("store.sqlite*"):
        path.unlink()
    assert feed.poll() is None
    runs.make_run(live_run, 5, state="searching", seed=2)
    _, event = message(feed.poll())
    assert event["reset"]
    assert len(event["rows"]) == 5
    feed.close()


@pytest.mark.parametrize("last", ["", "nonsense", "-", "feedfeedfeed-7", "x-99999999999999999999"])
def test_unknown_last_ids_get_everything(live_run, last):
    feed = Feed(live_run, last)
    assert len(message(feed.poll())[1]["rows"]) == 30
    feed.close()


def fetch(url, method="GET", **headers):
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_answers_only_this_machine_and_only_get(server):
    status, headers, body = fetch(server.url)
    policy = headers["Content-Security-Policy"]
    assert status == 200
    assert b"pronas" in body
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert fetch(server.url, Host="evil.example")[0] == 400
    assert fetch(server.url + "events", Host="evil.example:80")[0] == 400
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert fetch(server.url, method)[0] == 405
        assert fetch(server.url + "events", method)[0] == 405
    assert fetch(server.url + "../../etc/passwd")[0] == 404
    with socket.socket() as probe:  # bound to the loopback interface, not to all
        probe.settimeout(1)
        outward = socket.gethostbyname(socket.gethostname())
        if not outward.startswith("127."):
            assert probe.connect_ex((outward, int(server.url.rsplit(":", 1)[1].strip("/")))) != 0


def test_what_cannot_be_watched_is_said_in_one_line(tmp_path, live_run):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="no run folder"):
        watch(tmp_path / "file")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RunError, match="port 0 picks a free one"):
            watch(live_run, taken.getsockname()[1])


def points(tab, count):
    # not wait_for_function: it evaluates text, which the page's content policy forbids
    expect(tab.locator("#reward .pt")).to_have_count(count, timeout=20_000)


def test_a_finished_child_appears_within_two_seconds(server, live_run, runs, open_page):
    tab = open_page(server.url)
    points(tab, 30)
    waits = []
    for number in (31, 32, 33):  # best of three: other programs may hold this machine up for a moment
        row = finish(live_run, runs, number, reward=0.96 + number / 1000)
        start = time.monotonic()
        tab.wait_for_selector(f'#reward .pt[data-id="{number}"]', state="attached", timeout=15_000)
        waits.append(time.monotonic() - start)
    assert min(waits) < 2
    expect(tab.locator("#best .card code").first).to_have_text(row["cell"])
    assert tab.locator(".connection").inner_text() == "live"


def test_running_children_are_shown_with_their_epoch(server, live_run, runs, open_page):
    tab = open_page(server.url)
    finish(live_run, runs, 32, status="running", reward=None)
    store = runs.open_store(live_run)
    store.execute("INSERT INTO progress VALUES (32, 3, 5, 0.8125, 0.5, ?)", (time.time(),))
    store.commit()
    row = tab.locator('#running tr[data-child="32"]')
    expect(row).to_contain_text("3/5")
    expect(row).to_contain_text("0.8125")
    assert tab.locator("#reward .pt").count() == 30
    finish(live_run, runs, 32, revision=33)
    store.execute("DELETE FROM progress")
    store.commit()
    store.close()
    points(tab, 31)
    expect(tab.locator("#running")).to_be_hidden()


def test_a_killed_server_is_picked_up_again(live_run, runs, open_page, serve):
    port = free_port()
    first = serve(live_run, port)
    tab = open_page(first.url, tolerate=("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_RESET"))
    points(tab, 30)
    first.kill()
    tab.wait_for_selector('.connection[data-state="lost"]')
    finish(live_run, runs, 31)
    serve(live_run, port)
    points(tab, 31)


WRITER = """
import importlib.util, random, sys, time
spec = importlib.util.spec_from_file_location("make_run", sys.argv[1])
m = importlib.util.module_from_spec(spec)
spec.loader.exec_module(m)
store, first = m.open_store(__import__("pathlib").Path(sys.argv[2])), int(sys.argv[3])
for number in range(first, first + 5):
    m.insert(store, [m.child(number, 3, m.START, random.Random(number), m.OPERATORS)])
    store.execute("INSERT OR REPLACE INTO meta VALUES ('revision', ?)", (str(number),)); store.commit()
print("written", flush=True)
store.execute("BEGIN IMMEDIATE"); m.insert(store, [m.child(999, 3, 0, random.Random(1), m.OPERATORS)])
time.sleep(60)
"""


def test_a_killed_search_is_picked_up_again(server, live_run, open_page, runs):
    tab = open_page(server.url)
    points(tab, 30)
    for first, total in ((31, 35), (36, 40)):
        command = [sys.executable, "-c", WRITER, runs.__file__, str(live_run), str(first)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "written\n"
        points(tab, total)
        writer.kill()  # in the middle of a transaction, which must never show
        writer.wait()
        writer.stdout.close()
    assert tab.locator('.pt[data-id="999"]').count() == 0


def test_watching_begins_before_the_search(tmp_path, runs, open_page, serve):
    run = tmp_path / "soon"
    run.mkdir()

    waiting = serve(run, free_port())
    tab = open_page(waiting.url)
    assert tab.locator(".state").inner_text() == "not started"
    runs.make_run(run, 7, state="searching")
    points(tab, 7)


def test_a_search_without_children_shows_no_empty_plots(live_run, runs, open_page, serve, serious):
    store = runs.open_store(live_run)
    store.execute("DELETE FROM children")
    store.execute("DELETE FROM fits")
    store.commit()
    store.close()
    tab = open_page(serve(live_run, free_port()).url, color_scheme="dark", bypass_csp=True)
    tab.locator("#time-left", has_text="No child has begun yet.").wait_for()
    assert not any(tab.locator(part).is_visible() for part in ("#rewards", ".filter", "#predictor"))
    assert serious(tab) == []


def test_a_feed_may_be_closed_while_it_is_polled(live_run):
    """A page that goes away does so: SQLite crashed where its connection was closed under a query."""
    code = (
        "import sqlite3, sys, threading, time; from pronas.report import Feed\n"
        "opened, real = [], sqlite3.connect\n"
        "sqlite3.connect = lambda *given, **more: opened.append(real(*given, **more)) or opened[-1]\n"
        "for number in range(400):\n"
        "    feed = Feed(sys.argv[1])\n"
        "    polling = threading.Thread(target=feed.poll)\n"
        "    polling.start(); time.sleep(number % 20 / 10000); feed.close(); polling.join()\n"
        "    assert feed.poll() is None\n"
        "    for connection in opened:\n"
        "        try: connection.execute('SELECT 1')\n"
        "        except sqlite3.ProgrammingError: continue\n"
        "        raise AssertionError('left open')\n"
        "    opened.clear()\n"
    ).replace("Feed(sys.argv[1])", "Feed(__import__('pathlib').Path(sys.argv[1]))")
    done = subprocess.run([sys.executable, "-c", code, str(live_run)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_live_page_lets_a_finished_run_become_one_file(tmp_path, runs):
    run = runs.make_run(tmp_path / "run", 3)
    store = runs.open_store(run)
    store.execute("UPDATE meta SET value = 2 WHERE key = 'revision'")
    store.commit()
    feed = Feed(run)
    assert feed.poll()
    store.close()  # as the search does, while the page looks on
    assert (run / "store.sqlite-wal").exists()
    assert feed.poll() is None
    assert not (run / "store.sqlite-wal").exists()
    assert feed.poll()  # opened anew: told that nothing changed
    assert [feed.poll() for _ in range(3)] == [None] * 3
    feed.close()


def test_a_live_page_shows_the_plan_and_the_time_left(server, live_run, runs, open_page, serious):
    store = runs.open_store(live_run)
    plan = {"budget": 600.0, "search": 160.0, "trials": 230.0, "first": 12, "children": 12, "levels": 5, "finalists": 3}
    store.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("plan", json.dumps(plan)), ("spent", "80.0")])
    store.commit()
    tab = open_page(server.url, viewport={"width": 390, "height": 800}, bypass_csp=True)
    left = lambda text: tab.locator("#time-left", has_text=text).wait_for()  # noqa: E731
    left("1 min 20 s of 10 min 0 s are spent, 8 min 40 s left.")
    assert serious(tab) == []
    assert tab.locator("#plan progress").first.get_attribute("value") == "0.500"
    store.execute("UPDATE meta SET value = '200.0' WHERE key = 'spent'")
    store.commit()
    left("6 min 40 s left")
    store.execute("DELETE FROM meta WHERE key = 'plan'")
    store.commit()
    left("Level ")
    store.close()
