"""What a search tells trackers: TensorBoard always, another one where it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pronas import tracking
from pronas.runs._config import Config
from pronas.runs._tensorboard import LOGS, TensorBoard
from pronas.runs.store import Child, Store

_FACTS = ("level", "round", "predicted", "parameters", "macs", "binary_macs", "weight_bits", "worker", "error")
_FINAL = ("test_accuracy", "validation_accuracy", "parameters", "macs", "weight_bits", "seconds")


class Observers:
    """TensorBoard's files, written anew from the store, and the tracker that a setting names.

    A search that goes on begins a run of its own there, with what it trains.
    """

    def __init__(self, folder: Path, config: Config, store: Store, children: Iterable[Child]) -> None:
        self._board, self._best = TensorBoard(folder / LOGS, store, children), 0.0
        name = config.execution.track
        facts = config.flat()
        make = lambda: tracking.make_tracker(name or "")  # noqa: E731
        self._feeder = tracking.Feeder(make, folder.resolve().name, facts) if name else None

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
