"""A random forest over a space's features (scikit-learn's), kept as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pronas.predictors._checked import check_arrays, check_counts
from pronas.predictors._fit import floored, joined
from pronas.predictors._predictor import Arrays, Floats, History, Predictor, Rows, check_history

if TYPE_CHECKING:
    from pronas.space import Space

#: Rows that walk down the trees together.
BATCH = 8192


class ForestPredictor(Predictor):
    """Bagged regression trees, a third of the features tried at each split; every tree is a member."""

    name = "forest"

    def __init__(self, space: Space, *, trees: int = 100, leaf: int = 2) -> None:
        super().__init__(space)
        check_counts(self.name, 100_000, trees=trees, leaf=leaf)
        self.trees, self.leaf = trees, leaf
        self.nodes: Arrays = {}

    @property
    def fitted(self) -> bool:
        """Whether there are trees."""
        return bool(self.nodes)

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make this predictor again."""
        return {"trees": self.trees, "leaf": self.leaf}

    def fit(self, history: History, seed: int = 0) -> None:
        """Grow the trees."""
        from sklearn.ensemble import RandomForestRegressor

        parts = check_history(history)
        features = np.concatenate([self.space.features(part.rows) for part in parts])
        forest = RandomForestRegressor(
            self.trees, min_samples_leaf=self.leaf, max_features=1 / 3, random_state=seed % 2**32, n_jobs=1
        ).fit(features, floored(joined(parts)))
        trees = [estimator.tree_ for estimator in forest.estimators_]
        starts = np.cumsum([0] + [tree.node_count for tree in trees])
        self.nodes = {
            "roots": starts[:-1].astype(np.int64),
            "feature": np.concatenate([tree.feature for tree in trees]).astype(np.int64),
            "threshold": np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
            "left": np.concatenate([tree.children_left + s for tree, s in zip(trees, starts, strict=False)]),
            "right": np.concatenate([tree.children_right + s for tree, s in zip(trees, starts, strict=False)]),
            "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(np.float64),
        }

    def ensemble(self, rows: Rows) -> Floats:
        """Predictions of every tree (trees, n)."""
        self._must_be_fitted()
        parts: list[Floats] = [np.empty((self.trees, 0))]
        parts += [self._walk(self.space.features(rows[start : start + BATCH])) for start in range(0, len(rows), BATCH)]
        return np.concatenate(parts, axis=1)

    def _walk(self, features: Floats) -> Floats:
        nodes = self.nodes
        place = np.repeat(nodes["roots"][:, None], len(features), axis=1)
        row = np.arange(len(features))
        while (inner := nodes["feature"][place] >= 0).any():
            value = features[row, np.maximum(nodes["feature"][place], 0)]
            below = np.where(value <= nodes["threshold"][place], nodes["left"][place], nodes["right"][place])
            place = np.where(inner, below, place)
        return np.asarray(nodes["value"][place])

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """The trees' nodes."""
        self._must_be_fitted()
        return dict(self.nodes), {}

    def set_state(self, tensors: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take the state that ``state`` gave."""
        count = len(tensors["feature"])
        shapes = dict.fromkeys(("feature", "left", "right"), (count,)) | {"roots": (self.trees,)}
        check_arrays({name: tensors[name] for name in shapes}, shapes, "i")
        check_arrays(
            {name: one for name, one in tensors.items() if name not in shapes},
            {"threshold": (count,), "value": (count,)},
        )
        nodes = {name: np.array(value) for name, value in tensors.items()}
        inner, numbers = nodes["feature"] >= 0, np.arange(count)
        below = np.stack([nodes["left"], nodes["right"]])
        # every branch leads further on, so that a walk ends
        if not ((below > numbers) & (below < count))[:, inner].all() or not _within(nodes["roots"], count):
            raise ValueError("its trees lead nowhere")
        if not _within(nodes["feature"][inner], len(self.space.feature_names())):
            raise ValueError("its trees are of another space")
        self.nodes = nodes


def _within(indexes: NDArray[Any], count: int) -> bool:
    return bool(((indexes >= 0) & (indexes < count)).all())
