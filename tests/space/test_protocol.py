"""A user's own space: a fixed number of edges, each one of a few operators, one level (as NAS-Bench-201 has)."""

from itertools import product

import numpy as np

from pronas.space import Space


class Edges(Space):
    """Architectures of ``edges`` choices among ``operators``."""

    B = 1

    def __init__(self, edges=6, operators=5):
        self.edges, self.operators = edges, operators

    @property
    def token_sizes(self):
        return (self.operators,)

    def token_kinds(self, b):
        return (0,) * self.edges

    def tokens(self, rows):
        return np.asarray(rows, dtype=np.int64)

    def level1(self):
        return np.array(list(product(range(self.operators), repeat=self.edges)), dtype=np.int16)

    def extend(self, parents, chunk=65536):
        yield from ()

    def canonical(self, rows):
        return rows

    def keys(self, rows):
        return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * 2))).reshape(-1)

    def features(self, rows):
        return np.eye(self.operators, dtype=np.float32)[rows].reshape(len(rows), -1)

    def feature_names(self):
        return tuple(f"edge{e}:{o}" for e in range(self.edges) for o in range(self.operators))

    def sample(self, count, b, generator):
        return generator.integers(0, self.operators, (count, self.edges)).astype(np.int16)

    def mutate(self, rows, generator):
        rows, n = rows.copy(), np.arange(len(rows))
        edge = generator.integers(0, self.edges, len(rows))
        rows[n, edge] = (rows[n, edge] + generator.integers(1, self.operators, len(rows))) % self.operators
        return rows

    def encode(self, cells):
        return np.array(list(cells), dtype=np.int16).reshape(-1, self.edges)

    def decode(self, rows):
        return [tuple(row) for row in rows.tolist()]

    def to_dict(self):
        return {"kind": "edges", "edges": self.edges, "operators": self.operators}


def test_a_users_space_fulfils_the_protocol():
    space: Space = Edges()
    assert isinstance(space, Space)
    rows = space.level1()
    assert len(rows) == len(np.unique(space.keys(rows))) == 15_625
    assert list(space.extend(rows)) == []
    assert space.features(rows[:3]).shape == (3, len(space.feature_names()))


def test_something_else_does_not():
    assert not isinstance(object(), Space)
