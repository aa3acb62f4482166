"""What executing children costs beyond training them.

    python benchmarks/execution.py two                 two local workers against one (2 minutes on a quiet machine)
    python benchmarks/execution.py overhead            what a child costs beyond its training (1 minute)
    python benchmarks/execution.py overhead --ray      the same on Ray, too
    python benchmarks/execution.py scale --workers 200 the driver's time for 10,000 children that take no time, on Ray
    python benchmarks/execution.py idle --execution local   jobs that do nothing, on any executor

Children are real ones (digits, or another data set): of `two` of about a second, of `overhead` as short as possible, so
that the overhead is not lost in the noise of training. Variants take turns, so that a noisy machine is noisy for all of
them; each turn is printed. Processor time counts the process and all below it, workers that have ended included.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("two", "overhead", "scale", "idle"))
    parser.add_argument("--children", type=int, help="how many a turn (default: 24; 32 of overhead; 10,000 idle ones)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=200, help="of scale and idle")
    parser.add_argument("--execution", default="local", help="of idle: inline, local or ray")
    parser.add_argument("--ray", action="store_true", help="of overhead: measure Ray, too")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--limit", type=int, help="images (default: 1,000; 300 of overhead)")
    parser.add_argument("--epochs", type=int, help="of a child (default: 3; 1 of overhead)")
    arguments = parser.parse_args()
    {"two": two, "overhead": overhead, "scale": scale, "idle": idle}[arguments.what](arguments)


def two(arguments: argparse.Namespace) -> None:
    """Compare the children an hour of two workers and of one."""
    variants = {"local 1": ("local", 1), "local 2": ("local", 2)}
    turns = _measure(arguments, variants, children=24, limit=1000, epochs=3, filters=[8, 16])
    clock = [turn["local 1"].wall / turn["local 2"].wall for turn in turns]
    spent = [2 * turn["local 1"].processor / turn["local 2"].processor for turn in turns]
    print("children an hour, two workers against one, a turn each:")
    print(f"  by the clock            {_listed(clock)}")
    print(f"  were no core ever idle  {_listed(spent)}  (2 x processor time with one / with two: what sharing leaves)")


def overhead(arguments: argparse.Namespace) -> None:
    """Compare the processor time of children in workers with that of the same children in this process."""
    variants = {"inline": ("inline", None), "local": ("local", 1)} | ({"ray": ("ray", 1)} if arguments.ray else {})
    turns = _measure(arguments, variants, children=32, limit=300, epochs=1, filters=[4, 8])
    count = arguments.children or 32
    for name in list(variants)[1:]:
        more = [1000 * (turn[name].processor - turn["inline"].processor) / count for turn in turns]
        waited = [1000 * (turn[name].wall - turn[name].training) / count for turn in turns]
        print(f"{name}: processor time a child beyond inline, ms: {_listed(more, 1)}")
        print(f"{name}: time by the clock a child beyond its training, ms: {_listed(waited, 1)}")


class Turn:
    """What ``children`` cost in one turn of one executor: seconds by the clock, of processors, and of training."""

    def __init__(self, manager: Any, cells: list[Any]) -> None:
        start, spent = time.perf_counter(), _processor_time()
        results = list(manager.get_rewards(cells))
        self.wall, self.processor = time.perf_counter() - start, _processor_time() - spent
        self.training = sum(result.seconds for result in results)
        self.rewards = {str(result.cell): result.reward for result in results}

    def __str__(self) -> str:
        return (
            f"{self.wall:7.2f} s by the clock, {self.processor:7.2f} s of processors, {self.training:7.2f} s training"
        )


def _measure(
    arguments: argparse.Namespace, variants: Mapping[str, tuple[str, int | None]], *, children: int, limit: int,
    epochs: int, filters: list[int],
) -> list[dict[str, Turn]]:  # fmt: skip
    import numpy as np

    from pronas.data import load_dataset
    from pronas.networks import skeleton
    from pronas.space import named_space
    from pronas.training import NetworkManager

    dataset = load_dataset(arguments.data, data_dir=arguments.data_dir, limit=arguments.limit or limit)
    space = named_space("flat", 2)
    cells = space.decode(space.sample(arguments.children or children, 2, np.random.default_rng(0)))
    turns: list[dict[str, Turn]] = []
    with ExitStack() as stack:
        managers = {}
        for name, (execution, workers) in variants.items():
            options = {"execution": execution, "workers": workers, "skeleton": skeleton("flat", filters=filters)}
            manager = NetworkManager(dataset, arguments.epochs or epochs, 64, **options)
            managers[name] = stack.enter_context(manager)
            list(manager.get_rewards(cells[:2]))  # starts fork server and workers
        for number in range(arguments.turns):
            turns.append({})
            for name, manager in managers.items():
                turns[-1][name] = Turn(manager, cells)
                print(f"turn {number + 1} {name:8} {len(cells)} children: {turns[-1][name]}", flush=True)
    first = next(iter(turns[0].values())).rewards
    assert all(turn.rewards == first for found in turns for turn in found.values()), "rewards differ"
    print(f"load average {' '.join(f'{load:.1f}' for load in os.getloadavg())}; all rewards equal")
    return turns


def _listed(values: list[float], digits: int = 2) -> str:
    each = " ".join(f"{value:.{digits}f}" for value in values)
    return f"{statistics.median(values):.{digits}f} ({each})"


def scale(arguments: argparse.Namespace) -> None:
    """Let Ray do many jobs that take no time."""
    arguments.execution = "ray"
    idle(arguments)


def idle(arguments: argparse.Namespace) -> None:
    """Let an executor do many jobs that take no time."""
    from pronas.execution import Job, Outcome, make_executor

    count = arguments.children or 10_000
    workers = None if arguments.execution == "inline" else arguments.workers
    with make_executor(arguments.execution, "_noop:run", "_noop:setup", {}, workers=workers) as executor:
        for number in range(-workers if workers else 0, 0):  # workers are started before the clock is
            executor.submit(Job(number))
        for _ in executor.events():
            pass
        start, cpu, everything, seen = time.perf_counter(), time.process_time(), _processor_time(), 0
        memory, named = [_resident()], set()
        for number in range(count):
            executor.submit(Job(number, {"cell": "0:identity + 0:identity", "seed": number}))
        for event in executor.events():
            if isinstance(event, Outcome):
                seen += 1
                named.add(event.worker)
                if seen % max(1, count // 10) == 0:
                    memory.append(_resident())
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        everything = _processor_time() - everything
        room = executor.workers
    print(f"{count} jobs that take no time, {arguments.execution}, room for {room}, {len(named)} workers did them")
    print(f"wall time a job {1000 * wall / count:.2f} ms, processor time of the driver {1000 * cpu / count:.2f} ms,")
    print(f"processor time of all processes together {1000 * everything / count:.2f} ms")
    sizes = " ".join(f"{size / 2**20:.0f}" for size in memory)
    print(f"the driver's memory, MiB, at the start and after each tenth: {sizes}")


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
