"""What a proposal leaves behind: a file of its scores, and how well its predictions ranked what was then measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pronas.controller._archive import Archive
from pronas.controller._strategies import Proposal
from pronas.files import write_atomic
from pronas.predictors import RankCorrelations, key_bytes, rank_correlations
from pronas.space import Space


def write_scores(directory: Path | None, space: Space, proposal: Proposal | None) -> None:
    """Write ``scores_B.csv``: the cells chosen for this level with their predicted scores, best first."""
    if directory is None or proposal is None or not len(proposal) or np.isnan(proposal.mean).any():
        return
    order = np.argsort(-proposal.mean, kind="stable")
    cells = space.decode(proposal.rows)
    text = "".join(f"{proposal.mean[i]:.6f},{cells[i].to_csv()}\n" for i in order)
    write_atomic(directory / f"scores_{proposal.level}.csv", text)


def extrapolation(space: Space, archive: Archive, proposal: Proposal | None) -> RankCorrelations | None:
    """Return how a proposal's predictions rank what was then measured; ``None`` where nothing was predicted."""
    if proposal is None or not len(proposal) or np.isnan(proposal.mean).any():
        return None
    keys = key_bytes(space, proposal.rows)
    told = [i for i, key in enumerate(keys) if key in archive.keys]
    return rank_correlations(proposal.mean[told], [archive.rewards[archive.keys[keys[i]]] for i in told])
