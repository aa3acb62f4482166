"""Scalars for TensorBoard under ``logs/``."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pronas.runs.store import Child, Store

LOGS = "logs"


class TensorBoard:
    """Writes rewards of children and curves of the final training. Steps are child numbers and epochs.

    Event files are not durable and cannot be mended, so they are written anew from the store whenever a run is opened.
    """

    def __init__(self, folder: Path, store: Store, children: Iterable[Child]) -> None:
        from tensorboardX import SummaryWriter

        shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(str(folder), flush_secs=10)
        self._best = 0.0
        for child in children:
            if child.settled:
                self.child(child)
        for level, report in store.fits():
            self.fit(level, report)
        self.curves((store.meta("final") or {}).get("curves", {}))

    def child(self, child: Child) -> None:
        """Write one settled child."""
        reward = child.reward or 0.0
        self._best = max(self._best, reward)
        scalars = {"reward": reward, "best": self._best, "level": child.level, "seconds": child.seconds}
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(f"child/{name}", value, child.id)
        if child.predicted is not None:
            self._writer.add_scalar("child/predicted", child.predicted, child.id)

    def curves(self, curves: Mapping[str, Sequence[float | None]], start: int = 0) -> None:
        """Write the final training's curves from epoch ``start`` on."""
        for name, values in curves.items():
            for epoch, value in enumerate(values[start:], start=start + 1):
                if value is not None:  # it was not finite
                    self._writer.add_scalar(f"final/{name}", value, epoch)

    def fit(self, step: int, report: Mapping[str, Any]) -> None:
        """Write a fit's rank correlations; ``step`` is the level."""
        for name in ("in_sample", "cross_validated", "extrapolation"):
            ranking = report.get(name) or {}
            if ranking.get("spearman") is not None:
                self._writer.add_scalar(f"predictor/{name}_spearman", ranking["spearman"], step)

    def close(self) -> None:
        """Flush and close.

        A full disk costs curves, nothing else: the store says what is wrong, and the curves are written anew from it.
        """
        with contextlib.suppress(OSError):
            self._writer.close()
