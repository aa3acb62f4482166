"""How fast levels are scored and predictors fitted (one core), and how soon the old predictor's ranking is reached.

    python benchmarks/controller.py            # everything
    python benchmarks/controller.py --score --candidates 1e8
    python benchmarks/controller.py --fit
    python benchmarks/controller.py --reach

CPU seconds are printed beside wall seconds: on a shared machine only the first are comparable. The peers, plain batched
scoring and fitting one sample at a time as the old systems did, run interleaved with ours in the same process.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

from pronas.predictors import Observed, TopK, _native, make_predictor, rank_correlations
from pronas.predictors import _lstm_core as core
from pronas.predictors._tokens import compose
from pronas.space import StateSpace

SPACE = StateSpace(5)
FORMS = {
    "single, two steps a block": ("lstm", {"form": "halves"}),
    "single, four tokens a block": ("lstm", {"form": "tokens"}),
    "ensemble of five, two steps": ("lstm-ensemble", {"form": "halves"}),
    "ensemble of five, four tokens": ("lstm-ensemble", {"form": "tokens"}),
    "MLP ensemble of five": ("mlp-ensemble", {}),
}


def truth(rows: np.ndarray) -> np.ndarray:
    """A smooth reward with interactions, in [0, 1]."""
    features = SPACE.features(rows).astype(np.float64)
    weights = np.random.default_rng(7).normal(size=features.shape[1]) / np.sqrt(features.shape[1])
    linear = (features / (1 + features)) @ weights
    return 1 / (1 + np.exp(-1 - 3 * linear - np.sin(8 * linear)))


def observed(count: int, blocks: int, seed: int = 0) -> Observed:
    rows = SPACE.sample(count, blocks, np.random.default_rng(seed))
    return Observed(rows, truth(rows))


class Clock:
    """Wall and CPU seconds of a body."""

    def __enter__(self) -> Clock:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def score(candidates: float, only: list[str]) -> None:
    """Figure 1: stream a level through the top 256."""
    if _native.library() is None:
        print("the compiled scorer is missing: this is PyTorch alone")
    blocks = SPACE.extensions(5)
    small = SPACE.sample(6, 3, np.random.default_rng(1))
    for name, (kind, options) in FORMS.items():
        if only and name not in only:
            continue
        predictor = make_predictor(kind, SPACE, steps=10, **options)
        predictor.fit([observed(136, 1), observed(200, 3), observed(200, 4)], 0)
        share = 1.0 if name.startswith("single, two") else 0.1
        parents = SPACE.sample(max(1, int(candidates * share) // len(blocks)), 4, np.random.default_rng(2))
        rate, cpu = stream(predictor, parents, blocks)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        few, few_cpu = max((stream(predictor, small, SPACE.extensions(4)) for _ in range(5)), key=lambda pair: pair[1])
        plain, plain_cpu = plainly(predictor, parents[: 20 if "five" in name else 60], blocks)
        error = disagreement(predictor, parents[:20], blocks)
        print(
            f"{name}: {len(parents) * len(blocks):,} candidates, {cpu / 1e6:.2f} M/CPU s ({rate / 1e6:.2f} M/s wall); "
            f"plain batches {plain_cpu / 1e6:.3f} ({plain / 1e6:.3f}); ratio {cpu / plain_cpu:.0f}; "
            f"level of {len(small) * len(SPACE.extensions(4)):,}: {few_cpu / 1e6:.2f} M/CPU s ({few / 1e6:.2f}); "
            f"largest difference {error:.1e}; peak memory by the end of the level {memory:.0f} MB",
            flush=True,
        )


def stream(predictor, parents, blocks) -> tuple[float, float]:
    top = TopK(SPACE, 256)
    with Clock() as clock:
        for start, (mean, _) in predictor.extension_scores(parents, blocks):
            top.offer(parents[start : start + len(mean)], blocks, mean)
        assert len(top.best().rows) == min(256, len(top.best().rows))
    count = len(parents) * len(blocks)
    return count / clock.wall, count / clock.cpu


def plainly(predictor, parents, blocks) -> tuple[float, float]:
    with Clock() as clock:
        predictor.predict(compose(parents, blocks))
    count = len(parents) * len(blocks)
    return count / clock.wall, count / clock.cpu


def disagreement(predictor, parents, blocks) -> float:
    shared = np.concatenate([np.stack(scores) for _, scores in predictor.extension_scores(parents, blocks)], axis=1)
    plain = np.stack(predictor.predict(compose(parents, blocks))).reshape(shared.shape)
    return float(np.abs(shared - plain).max())


def fit() -> None:
    """Figure 2a: samples a second in fitting; a sample is one cell through one optimisation step of every member."""
    for name, (kind, options) in FORMS.items():
        for level in (1, 2, 3):
            data = [observed(256, level)]
            rates = []
            for _ in range(3):
                predictor = make_predictor(kind, SPACE, steps=20, batch=128, **options)
                with Clock() as clock:
                    predictor.fit(data, 0)
                rates.append((20 * 128 / clock.cpu, 20 * 128 / clock.wall))
            cpu, wall = max(rates)
            members = predictor.count
            print(
                f"fit {name}, cells of {level} blocks: {cpu:,.0f} cells/CPU s ({wall:,.0f} wall), "
                f"{cpu * members:,.0f} member samples/CPU s",
                flush=True,
            )


def one_at_a_time(data: Observed, test: Observed, epochs: int) -> tuple[float, float, float]:
    """The old systems' way: one LSTM, one cell a step (TensorFlow's loop in PyTorch, which is kinder to it)."""
    tokens = SPACE.ordered_tokens(data.rows)
    sizes = list(SPACE.token_sizes)
    kinds = SPACE.token_kinds(data.rows.shape[1] // 4)
    parameters = core.initial_parameters(
        torch.Generator().manual_seed(0), members=1, sizes=sizes, embedding=100, cells=100, form="halves"
    )
    for value in parameters.values():
        value.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters.values(), lr=0.002)
    steps = core.step_indexes(tokens, kinds, sizes, "halves")
    target = torch.from_numpy(data.rewards).float()
    order = np.random.default_rng(0)
    with Clock() as clock:
        for _ in range(epochs):
            for i in order.permutation(len(data)):
                h, _ = core.run(parameters, core.gate_table(parameters, "halves"), steps[:, i : i + 1])
                loss = (torch.sigmoid(core.logits(parameters, h)) - target[i]).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    with torch.inference_mode():
        unseen = core.step_indexes(SPACE.ordered_tokens(test.rows), kinds, sizes, "halves")
        h, _ = core.run(parameters, core.gate_table(parameters, "halves"), unseen)
        found = core.logits(parameters, h)[0].numpy()
    return rank_correlations(found, test.rewards).spearman or 0.0, clock.cpu, clock.wall


def reach() -> None:
    """Figure 2b: CPU time until a predictor ranks held-out cells as well as the old way does after fifteen epochs."""
    data, test = observed(256, 2, 1), observed(1000, 2, 2)
    goal, cpu, wall = one_at_a_time(data, test, 15)
    print(f"one at a time, 15 epochs: Spearman {goal:.3f} in {cpu:.1f} CPU s ({wall:.1f} wall)", flush=True)
    for kind, options, sizes in (
        ("lstm", {"form": "halves"}, (10, 20, 40, 60, 80, 120, 160)),
        ("lstm-ensemble", {"form": "halves"}, (10, 20, 40, 60, 80, 120, 160)),
        ("lstm", {}, (10, 20, 40, 60, 80, 120, 160, 240)),
        ("mlp-ensemble", {}, (10, 20, 40, 80, 160, 320)),
        ("gp", {}, (None,)),
        ("forest", {}, (None,)),
    ):
        for steps in sizes:
            predictor = make_predictor(kind, SPACE, **(options if steps is None else {"steps": steps} | options))
            with Clock() as clock:
                predictor.fit([data], 0)
            found = rank_correlations(predictor.predict(test.rows)[0], test.rewards).spearman or 0.0
            if found >= goal or steps == sizes[-1]:
                print(
                    f"{kind} {options} {steps or ''}: Spearman {found:.3f} in {clock.cpu:.2f} CPU s ({clock.wall:.2f})"
                )
                break


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("score", "fit", "reach"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--candidates", type=float, default=1e7, help="of the single LSTM; the others get a tenth")
    parser.add_argument("--forms", nargs="*", default=[], choices=list(FORMS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    everything = not (arguments.score or arguments.fit or arguments.reach)
    if arguments.score or everything:
        score(arguments.candidates, arguments.forms)
    if arguments.fit or everything:
        fit()
    if arguments.reach or everything:
        reach()


if __name__ == "__main__":
    main()
