"""``Experiment``: a run folder, read."""

from __future__ import annotations

import dataclasses
import html
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from pronas.errors import RunError, require
from pronas.files import fold_journal
from pronas.runs._comparison import Comparison
from pronas.runs._config import Config
from pronas.runs._schema import connect
from pronas.runs.store import STORE, Child, read_children, read_meta
from pronas.space import Cell

if TYPE_CHECKING:
    import sqlite3

    from pandas import DataFrame

    from pronas.networks import Network
    from pronas.sharing import Card

BEST = Path("weights") / "best"


@final
class Experiment:
    """A search on disk. It only reads, so it may be used while the search runs, here or in another process.

    Args:
        path: the run folder.

    Raises:
        RunError: there is no run, or another version's.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._reading():
            pass  # a folder that cannot be read is refused here, not at first use

    def __fspath__(self) -> str:
        """The run folder: what takes a run's folder takes its experiment, too."""
        return str(self.path)

    @property
    def state(self) -> str:
        """``searching``, ``training`` (the winner), ``done`` or ``failed``."""
        return str(self.meta("state") or "searching")

    @property
    def config(self) -> Config:
        """The resolved configuration."""
        return Config.from_dict(self.meta("config") or {}, str(self.path))

    @property
    def final(self) -> dict[str, Any] | None:
        """What became of the winner (``cell``, ``test_accuracy``, ``curves``, …), once it is trained."""
        found = self.meta("final")
        return dict(found) if found else None

    @property
    def test_accuracy(self) -> float | None:
        """The winner's accuracy on the test set, in [0, 1], once it is trained."""
        final = self.final
        return None if final is None else final.get("test_accuracy")

    @property
    def comparison(self) -> Comparison | None:
        """The winner beside hand-made networks, once ``pronas.baseline`` has trained some."""
        found = self.meta("comparison")
        return Comparison(**{**found, "baselines": tuple(found["baselines"])}) if found else None

    def children(self) -> list[Child]:
        """Return every child in the order of proposal, those not yet trained included."""
        with self._reading() as connection:
            return read_children(connection)

    def ranked(self) -> list[Child]:
        """Return the trained children, best reward first (the earlier of equals first)."""
        return sorted((child for child in self.children() if child.status == "done"), key=lambda child: -_reward(child))

    @property
    def best(self) -> Child:
        """The child with the highest reward.

        Raises:
            RunError: none is trained yet.
        """
        ranked = self.ranked()
        if not ranked:
            raise RunError(f"{self.path}: no child is trained yet; run the search on")
        return ranked[0]

    @property
    def cell(self) -> Cell:
        """The best child's cell."""
        return self.best.cell

    def load(self) -> Network:
        """Return the trained winner in evaluation mode: pixel values (n, C, H, W) in, logits (n, classes) out.

        Its class names are in ``final["classes"]``; ``pronas.load_model`` of ``weights/best`` gives all that is known.

        Raises:
            RunError: it is not trained yet.
        """
        from pronas.training import load_model

        path = (self.path / BEST).with_suffix(".safetensors")
        if not path.exists():
            raise RunError(f"{self.path}: the winner is not trained yet; resume the search to train it")
        return load_model(path).network

    def card(self, license: str | None = None) -> Card:
        """Return what there is to tell of the winner, as a card for those who get it.

        Args:
            license: under which it is given away: ``mit``, ``apache-2.0``, …; None: the card says that nothing is said.

        Raises:
            RunError: the winner is not trained yet.
            UsageError: that is no name of a licence.
        """
        from pronas.runs._sharing import card_of

        return card_of(self, license)

    def push_to_hub(
        self, repo: str, *, license: str | None = None, private: bool | None = None, token: str | None = None,
        message: str | None = None,
    ) -> str:  # fmt: skip
        """Put the winner on a hub: safetensors, its description, a card; ``pronas.from_pretrained`` gets it back.

        Args:
            repo: ``owner/name``; it is made where it is not there.
            license: as for `card`.
            private: whether a new one is seen by its owner alone; None: as the owner's account says.
            token: the right to write; None: that of the environment (``HF_TOKEN``) or of an earlier login.
            message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            RunError: the winner is not trained yet, or the hub does not take it.
            UsageError: ``repo`` or the licence is no such name.
            MissingExtraError: huggingface_hub is not installed.
        """
        from pronas.sharing import push

        return push(self.path / BEST, self.card(license), repo, private=private, token=token, message=message)

    def to_dataframe(self) -> DataFrame:
        """Return the children as a pandas DataFrame, a row each; cells are text.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        pandas = require("pandas", "pandas")
        rows = [{**dataclasses.asdict(child), "cell": str(child.cell)} for child in self.children()]
        names = [field.name for field in dataclasses.fields(Child)]
        frame: DataFrame = pandas.DataFrame(rows, columns=names)
        return frame.set_index("id")

    def __repr__(self) -> str:
        ranked = self.ranked()
        best = f", best {_reward(ranked[0]):.4f}" if ranked else ""
        return f"Experiment({str(self.path)!r}, {self.state}, {len(ranked)} children{best})"

    def _repr_html_(self) -> str:
        """Show itself in a notebook: state, test accuracy, and the ten best cells."""
        head = f"{self.path}: {self.state}"
        if self.test_accuracy is not None:
            head += f", test accuracy {self.test_accuracy:.4f}"
        rows = "".join(
            f"<tr><td>{child.level}</td><td>{_reward(child):.4f}</td>"
            f"<td><code>{html.escape(str(child.cell))}</code></td></tr>"
            for child in self.ranked()[:10]
        )
        return (
            f"<p>{html.escape(head)}</p><table><thead><tr><th>level</th><th>reward</th><th>cell</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )

    def meta(self, key: str) -> Any:
        """Return one entry of the store's ``meta``, or ``None``; see ARCHITECTURE.md."""
        with self._reading() as connection:
            return read_meta(connection, key)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = connect(self.path / STORE, read_only=True)
        try:
            yield connection
        finally:
            connection.close()
            fold_journal(self.path / STORE)  # of a search that was killed


def stored_config(folder: Path) -> Config:
    """Return the resolved configuration of a run.

    Raises:
        RunError: there is none, or it is of another version.
    """
    connection = connect(folder / STORE, read_only=True)
    try:
        found = read_meta(connection, "config")
    finally:
        connection.close()
    if found is None:
        raise RunError(f"{folder}: the run was stopped before it began; start it again")
    search = found.setdefault("search", {})
    if isinstance(search, dict):  # a damaged one is refused below
        search.setdefault("diversity", "greedy")  # runs of version 0.1 say nothing
    return Config.from_dict(found, str(folder))


def _reward(child: Child) -> float:
    return child.reward or 0.0
