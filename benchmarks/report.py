"""Time what people wait for when they look at a search: the report, its page, the ranking, and what watching costs.

    python benchmarks/report.py [--only report page rank watch] [--children 2000] [--rows 1000000]

Made-up runs are used; `page` needs Chromium and playwright. Times are the least of ``--repeats`` runs, because other
programs on the machine can only add to them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("make_run", ROOT / "tests" / "report" / "make_run.py")
runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(runs)


def timed(function, repeats):
    """Least wall and processor seconds of several calls, those of child processes included."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), sum(os.times()[:4])
        function()
        walls.append(time.perf_counter() - wall)
        cpus.append(sum(os.times()[:4]) - cpu)
    return min(walls), min(cpus)


def cli(*arguments, cwd):
    subprocess.run([sys.executable, "-m", "pronas", *arguments], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def report(folder, options):
    run = runs.make_run(folder / "run", options.children)
    wall, cpu = timed(lambda: cli("report", str(run), cwd=folder), options.repeats)
    size = (folder / "report.html").stat().st_size / 1e6
    print(f"report   {options.children:,} children: {wall:.2f} s ({cpu:.2f} s of processor), bound 3, start included;")
    print(f"         {size:.2f} MB, bound 3")


def page(folder, options):
    from playwright.sync_api import sync_playwright

    run = runs.make_run(folder / "paged", options.children)
    cli("report", str(run), "--out", "page.html", cwd=folder)
    with sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        marks = []
        for _ in range(max(5, options.repeats)):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto((folder / "page.html").as_uri())
            tab.wait_for_selector("html[data-ready]")
            marks.append(tab.evaluate("performance.getEntriesByType('mark').map(m => m.startTime)"))
            tab.close()
        browser.close()
    first, all_ = (min(column) / 1000 for column in zip(*marks, strict=True))
    print(f"page     first plot drawn after {first:.2f} s (bound 1), everything after {all_:.2f} s")


def rank(folder, options):
    rng, names = random.Random(0), list(runs.OPERATORS)
    pool = [
        ",".join(f"{rng.randint(-2, b - 1)},{rng.choice(names)}" for b in range(5) for _ in "ab") for _ in range(9973)
    ]
    with open(folder / "scores_5.csv", "w") as file:
        file.writelines(f"{rng.gauss(0.6, 0.1):.4f},{pool[i % 9973]}\n" for i in range(options.rows))
    wall, cpu = timed(lambda: cli("rank", "-f", "scores_5.csv", "--save", "rank.png", cwd=folder), options.repeats)
    print(f"rank     {options.rows:,} rows of five blocks: {wall:.2f} s ({cpu:.2f} s of processor), bound 5")


def watch(folder, options):
    """What the live page's server takes of a processor, and what the writer's commits wait for it."""
    from pronas.report import Feed

    run = runs.make_run(folder / "watched", options.children, state="searching")
    server = subprocess.Popen(
        [sys.executable, "-m", "pronas", "watch", str(run), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    url = server.stdout.readline().split(" at ")[1].split()[0]
    client = subprocess.Popen(["curl", "-sN", url + "events"], stdout=subprocess.DEVNULL)
    settle(server.pid)
    before, began = processor_seconds(server.pid), time.perf_counter()
    alone, watched = [], []
    for number in range(options.commits):
        watched.append(commit(run, options.children + 1 + number))
        time.sleep(0.5)  # a child every half second: faster than searches are
    spent, took = processor_seconds(server.pid) - before, time.perf_counter() - began
    client.terminate()
    server.terminate()
    for process in (client, server):
        process.wait()
    for number in range(options.commits):
        alone.append(commit(run, 2 * options.children + number))
    feed = Feed(run)
    feed.poll()
    idle, _ = timed(lambda: [feed.poll() for _ in range(400)], options.repeats)
    waits = f"{1e3 * statistics.median(watched):.1f} ms watched, {1e3 * statistics.median(alone):.1f} ms alone"
    each = spent / options.commits
    print(f"watch    {100 * spent / took:.2f} % of one processor at {options.commits / took:.1f} children a second,")
    print(f"         {1e3 * each:.1f} ms a child: {each / 4:.2%} of a child of 4 processor seconds (bound 1 %);")
    print(f"         a commit takes {waits}; an idle look {1e6 * idle / 400:.0f} us, four a second")


def settle(pid):
    """Wait until a process rests: the first full message is not what watching costs."""
    before = -1.0
    while (now := processor_seconds(pid)) - before > 0.02:
        before = now
        time.sleep(2)


def commit(run, number):
    store = runs.open_store(run)
    row = runs.child(number, 5, time.time(), random.Random(number), runs.OPERATORS)
    begin = time.perf_counter()
    runs.insert(store, [row])
    store.execute("INSERT OR REPLACE INTO meta VALUES ('revision', ?)", (str(number),))
    store.commit()
    taken = time.perf_counter() - begin
    store.close()
    return taken


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    known = {"report": report, "page": page, "rank": rank, "watch": watch}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=known, default=list(known))
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--commits", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            known[name](Path(folder), options)


if __name__ == "__main__":
    main()
