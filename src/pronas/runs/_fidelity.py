"""How far children are trained (the fidelity of their rewards): rungs of early stopping, and inherited weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pronas.files import write_atomic
from pronas.runs._children import Children
from pronas.runs._config import Config
from pronas.runs._disk import disk_errors
from pronas.runs._halving import Rungs, rungs
from pronas.runs.store import Child, Store
from pronas.space import Cell
from pronas.training import ChildResult

WEIGHTS = Path("weights") / "children"


class Fidelity:
    """How far each child of a search is trained, and the parents' weights in the run folder that some start from.

    Args:
        folder: the run folder.
        config: resolved.
        children: of the run.
        store: of the run.

    Attributes:
        lengths: the epochs of each rung; one: children are trained whole at once.
        factor: the best one in so many goes on to the next rung; ``None``: nobody is stopped early.
        inherit: epochs of a child that begins with its parent's weights; ``None``: none does.
        rungs: what children got to on each rung.
    """

    def __init__(self, folder: Path, config: Config, children: Children, store: Store) -> None:
        assert config.children.epochs is not None
        self.factor, self.inherit = config.search.early_stop, config.search.inherit
        self.lengths = rungs(config.children.epochs, self.factor)
        self.rungs = Rungs(store, children)
        self._folder, self._children = folder, children

    @property
    def stops(self) -> bool:
        """Whether children are stopped early."""
        return len(self.lengths) > 1

    def reward(self, child: Child) -> float:
        """What the predictor learns of a settled child: all on the same rung, or its order would be theirs."""
        first = self.rungs.result(child.id, 0)
        return (child.reward or 0.0) if first is None else first.reward

    def inherits(self, child: Child) -> bool:
        """Whether the child's parent was trained and its weights are there."""
        return self._parent(child) is not None

    def parents(self, children: Sequence[Child]) -> dict[Cell, tuple[Cell, bytes]]:
        """Return the parents of those that have one, and the parents' weights."""
        found = {}
        for child in children:
            parent = self._parent(child)
            if parent is not None:
                with disk_errors(self._folder):
                    found[child.cell] = (parent.cell, self._path(parent).read_bytes())
        return found

    def keep(self, child: Child, result: ChildResult) -> None:
        """Keep a child's weights, before its result is recorded."""
        if self.inherit is not None and result.weights is not None:
            with disk_errors(self._folder):
                self._path(child).parent.mkdir(parents=True, exist_ok=True)
                write_atomic(self._path(child), result.weights)

    def forget(self, level: int) -> None:
        """Delete the weights of children that nobody at ``level`` or above inherits from."""
        self._delete(child for child in self._children if child.level < level - 1)

    def _delete(self, children: Iterable[Child]) -> None:
        if self.inherit is not None:
            for child in children:
                self._path(child).unlink(missing_ok=True)

    def _parent(self, child: Child) -> Child | None:
        """The child's cell without its last block, as a child of the level before; ``None``: none with weights."""
        if self.inherit is None or len(child.cell.blocks) < 2 or child.cell.skips:
            return None
        smaller = str(Cell(child.cell.blocks[:-1]).canonical())
        for other in self._children:
            if other.level == child.level - 1 and other.canonical == smaller and other.status == "done":
                return other if self._path(other).exists() else None
        return None

    def _path(self, child: Child) -> Path:
        return self._folder / WEIGHTS / f"{child.id}.safetensors"
