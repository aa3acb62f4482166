"""What executing children costs beyond training them.

    python benchmarks/execution.py children            two workers against one, and the overhead of a child
    python benchmarks/execution.py children --ray      the same on Ray, too
    python benchmarks/execution.py scale --workers 200 the driver's time for 10,000 children that take no time, on Ray
    python benchmarks/execution.py idle --execution local   jobs that do nothing, on any executor

Children are real ones (Fashion-MNIST or digits), short enough for the overhead to show. The variants take turns, so
that a noisy machine is noisy for all of them; ratios are of sums over all turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("children", "scale", "idle"))
    parser.add_argument("--children", type=int, help="how many (default: 12 a turn; 10,000 that take no time)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=200, help="of scale and idle")
    parser.add_argument("--execution", default="local", help="of idle: inline, local or ray")
    parser.add_argument("--ray", action="store_true", help="measure Ray, too")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    {"children": children, "scale": scale, "idle": idle}[arguments.what](arguments)


def children(arguments: argparse.Namespace) -> None:
    from pronas.data import load_dataset
    from pronas.networks import skeleton
    from pronas.space import named_space
    from pronas.training import NetworkManager

    dataset = load_dataset(arguments.data, data_dir=arguments.data_dir, limit=arguments.limit)
    space = named_space("flat", 2)
    count = arguments.children or 12
    import numpy as np

    cells = space.decode(space.sample(count, 2, np.random.default_rng(0)))
    variants = {"inline": ("inline", None), "local 1": ("local", 1), "local 2": ("local", 2)}
    if arguments.ray:
        variants |= {"ray 1": ("ray", 1)}  # two Ray workers: a second cluster cannot be joined by one process
    with ExitStack() as stack:
        managers = {}
        for name, (execution, workers) in variants.items():
            manager = NetworkManager(
                dataset, arguments.epochs, 64, skeleton=skeleton("flat", filters=[8, 16]), execution=execution,
                workers=workers,
            )  # fmt: skip
            managers[name] = stack.enter_context(manager)
            list(manager.get_rewards(cells[:2]))  # starts fork server and workers
        walls, spent, trained = (dict.fromkeys(variants, 0.0) for _ in range(3))
        rewards = {}
        for _ in range(arguments.turns):
            for name, manager in managers.items():
                start, cpu = time.perf_counter(), _processor_time()
                results = list(manager.get_rewards(cells))
                walls[name] += time.perf_counter() - start
                spent[name] += _processor_time() - cpu
                trained[name] += sum(result.seconds for result in results)
                rewards[name] = {str(result.cell): result.reward for result in results}
    total = count * arguments.turns
    assert all(found == rewards["inline"] for found in rewards.values()), "rewards differ between executors"
    print(f"{arguments.turns} turns of {count} children; a child's mean:")
    for name in variants:
        waited = 1000 * (walls[name] - trained[name] / (2 if name[-1] == "2" else 1)) / total
        more = 1000 * (spent[name] - spent["inline"]) / total
        print(
            f"{name:8} {1000 * walls[name] / total:6.0f} ms of wall time, {waited:5.1f} ms of it not training; "
            f"{1000 * spent[name] / total:6.0f} ms of processor time, {more:5.1f} ms more than inline"
        )
    print(f"children an hour, two local workers against one: {walls['local 1'] / walls['local 2']:.2f}")


def scale(arguments: argparse.Namespace) -> None:
    arguments.execution = "ray"
    idle(arguments)


def idle(arguments: argparse.Namespace) -> None:
    from pronas.execution import Job, Outcome, make_executor

    count = arguments.children or 10_000
    workers = None if arguments.execution == "inline" else arguments.workers
    with make_executor(arguments.execution, "_noop:run", "_noop:setup", {}, workers=workers) as executor:
        for number in range(-workers if workers else 0, 0):  # workers are started before the clock is
            executor.submit(Job(number))
        for _ in executor.events():
            pass
        start, cpu, seen = time.perf_counter(), time.process_time(), 0
        everything = _processor_time()
        memory = [_resident()]
        for number in range(count):
            executor.submit(Job(number, {"cell": "0:identity + 0:identity", "seed": number}))
        for event in executor.events():
            seen += isinstance(event, Outcome)
            if seen % max(1, count // 5) == 0 and len(memory) <= 5 * seen // count:
                memory.append(_resident())
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        everything = _processor_time() - everything
        processes = executor.workers
    print(f"{count} jobs that take no time, {arguments.execution}, {processes} workers")
    print(f"wall time a job {1000 * wall / count:.2f} ms, processor time of the driver {1000 * cpu / count:.2f} ms,")
    print(f"processor time of all processes together {1000 * everything / count:.2f} ms")
    print(
        "the driver's memory, MiB, before and after each fifth: " + " ".join(f"{size / 2**20:.0f}" for size in memory)
    )


def _processor_time() -> float:
    """Seconds of processor time of this process and all below it, those that have ended included."""
    parents, times = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            times[int(entry.name)] = sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and ours(parents[pid]))

    return sum(seconds for pid, seconds in times.items() if ours(pid))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
