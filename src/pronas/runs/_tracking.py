"""What a search or a training tells trackers: TensorBoard always of a search, another one where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pronas import tracking
from pronas.runs._config import Config
from pronas.runs._tensorboard import LOGS, TensorBoard
from pronas.runs.store import Child, Store
from pronas.space import Cell

_FACTS = ("level", "round", "predicted", "parameters", "macs", "binary_macs", "weight_bits", "worker", "error")
_EPOCH = ("loss", "accuracy", "best", "seconds")
_FINAL = ("test_accuracy", "validation_accuracy", "parameters", "macs", "weight_bits", "seconds")


class Observers:
    """TensorBoard's files, written anew from the store, and the tracker that a setting names.

    A search that goes on begins a run of its own there, with what it trains.
    """

    def __init__(self, folder: Path, config: Config, store: Store, children: Iterable[Child]) -> None:
        self._board, self._best = TensorBoard(folder / LOGS, store, children), 0.0
        self._feeder = _feeder(folder, config)

    def child(self, child: Child) -> None:
        """Tell of a settled child."""
        self._board.child(child)
        if self._feeder is not None:
            self._best = max(self._best, child.reward or 0.0)
            known = {name: getattr(child, name) for name in _FACTS if getattr(child, name) is not None}
            result = {"reward": child.reward, "seconds": child.seconds}
            facts = {"cell": str(child.cell), **known}
            self._feeder.child(f"child {child.id}", facts, child.metrics, result, failed=child.status == "failed")
            self._feeder.log({"reward": child.reward, "best": self._best}, child.id)

    def fit(self, level: int, report: Mapping[str, Any]) -> None:
        """Tell of a fit of the predictor."""
        self._board.fit(level, report)

    def final(self, final: Mapping[str, Any], children: int) -> None:
        """Tell of the winner, whose steps in a tracker follow those of the children."""
        self._board.curves(final["curves"])
        if self._feeder is not None:
            curves = {f"final/{name}": values for name, values in final["curves"].items()}
            self._feeder.curves(curves, start=children)
            longest = max((len(values) for values in curves.values()), default=0)
            self._feeder.log({f"final/{name}": final.get(name) for name in _FINAL}, children + longest + 1)

    def close(self) -> None:
        """Write and tell what is still to be, and end."""
        self._board.close()
        if self._feeder is not None:
            self._feeder.close()


class TrainingObserver:
    """Tells the tracker that a setting names, if any, of a single training: its epochs as they come, its result."""

    def __init__(self, folder: Path, config: Config, cell: Cell) -> None:
        self._feeder = _feeder(folder, config, cell=str(cell))
        self._epoch = 0

    def listening(self, emit: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
        """Return a function that hands events on and tells of epochs."""

        def both(event: dict[str, Any]) -> None:
            emit(event)
            if self._feeder is not None and event["event"] == "epoch":
                self._epoch = event["epoch"]
                self._feeder.log({name: event.get(name) for name in _EPOCH}, self._epoch)

        return both

    def final(self, final: Mapping[str, Any]) -> None:
        """Tell of the result, at the step of the last epoch."""
        if self._feeder is not None:
            self._feeder.log({name: final.get(name) for name in _FINAL}, self._epoch)

    def close(self) -> None:
        """Tell what is still to be told, and end."""
        if self._feeder is not None:
            self._feeder.close()


def _feeder(folder: Path, config: Config, **more: str) -> tracking.Feeder | None:
    """What feeds the tracker that is asked for; it is made when there is something to tell."""
    name = config.execution.track
    if name is None:
        return None
    return tracking.Feeder(lambda: tracking.make_tracker(name), folder.resolve().name, config.flat() | more)
