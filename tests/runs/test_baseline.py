"""Hand-made networks beside a search's winner: each result kept before the next begins, and the verdict in words."""

import json

import pytest
from typer.testing import CliRunner

import pronas
from pronas.cli import build_app
from pronas.errors import RunError, UsageError
from pronas.networks import describe, references
from pronas.runs import Comparison, Config, baselines
from pronas.runs.baselines import comparison, recipes, sized, spent
from pronas.runs.planning import LimitConfig, slowing, until

ONE = {"name": "resnet8", "recipe": "light", "test_accuracy": 0.9, "parameters": 78_000}


@pytest.fixture
def run(tiny, tmp_path):
    return pronas.search("digits", out=tmp_path / "run", **{**tiny, "blocks": 1})


@pytest.fixture
def quick(monkeypatch):
    """Trainings of one step, and how many there were."""
    real, calls = baselines.train_network, []

    def train_network(cell, data, skeleton, recipe, **options):
        calls.append((str(cell), recipe.augmentation))
        return real(cell, data, skeleton.scaled(0.25), recipe.replace(epochs=1, images=64), seed=options["seed"])

    monkeypatch.setattr(baselines, "train_network", train_network)
    monkeypatch.setattr(baselines, "images_per_second", lambda *_, **__: 1000.0)
    return calls


def test_each_network_is_trained_with_each_recipe_once(run, quick):
    told = []
    found = pronas.baseline(run.path, only=["resnet8", "ds-cnn"], budget="10s", on_event=told.append)
    assert [one[1] for one in quick] == ["light", "standard", "light", "standard"]
    assert len(found.baselines) == 4
    assert found.baselines[0]["test_accuracy"] == max(one["test_accuracy"] for one in found.baselines)
    assert found.text == told[-1]["text"]
    assert pronas.Experiment(run.path).comparison == found
    assert (run.path / "weights" / "baseline.safetensors").exists()
    pronas.baseline(run.path, only=["ds-cnn", "mobilenetv2"], budget="10s")
    assert len(quick) == 6  # what is known is not trained again


def test_what_was_cut_off_goes_on(run, quick):
    def stop(event):
        return "stop" if "light augmentation" in event["text"] else None

    found = pronas.baseline(run.path, only=["resnet8"], budget="10s", on_event=stop)
    assert len(found.baselines) == len(quick) == 1
    assert len(pronas.baseline(run.path, only=["resnet8"], budget="10s").baselines) == len(quick) == 2


def test_show_and_the_command_say_whether_it_paid(run, quick):
    def asked(*arguments):
        return CliRunner().invoke(build_app(), [*arguments])

    assert "did it pay? beside hand-made networks" in asked("show", str(run.path)).stdout
    done = asked("baseline", str(run.path), "--only", "resnet8", "--budget", "10s", "--json")
    assert done.exit_code == 0
    text = json.loads(done.stdout)["text"]
    shown = asked("show", str(run.path)).stdout
    assert "best hand-made: resnet8" in shown
    assert text in shown
    assert json.loads(asked("show", str(run.path), "--json").stdout)["comparison"]["text"] == text


def test_a_search_trains_them_in_the_end_if_asked(tiny, tmp_path, quick):
    asked = {**tiny, "blocks": 1}
    pronas.search("digits", out=tmp_path / "run", **asked)
    run = pronas.search("digits", out=tmp_path / "run", baselines=True, **asked)  # the same search still
    assert run.state == "done"
    assert len(run.comparison.baselines) == 2 * len(references())


@pytest.mark.parametrize(
    ("mine", "images", "words"),
    [(0.95, 10_000, "the search paid"), (0.85, 10_000, "the search did not pay"), (0.91, 100, "no clear difference")],
)
def test_the_verdict_minds_chance(mine, images, words):
    found = comparison({"test_accuracy": mine, "parameters": 70_000}, [ONE, {**ONE, "test_accuracy": 0.8}], images)
    assert found.text.startswith(f"{words}: {100 * (mine - 0.9):+.2f} ± ")
    assert "70,000 parameters against 78,000" in found.text
    assert found.best == ONE
    assert isinstance(found, Comparison)


def test_they_are_sized_to_the_runs_limits():
    data = pronas.load_dataset("digits")
    for one, skeleton in sized(references(), data, LimitConfig(parameters=20_000)):
        assert describe(one.cell, skeleton, data.input_shape, 10).parameters <= 20_000
    plain = list(sized(references(), data, LimitConfig()))
    assert [skeleton for _, skeleton in plain] == [one.skeleton for one in references()]
    assert not list(sized(references(), data, LimitConfig(parameters=10)))


def test_binary_networks_have_recipes_of_their_own():
    assert [name for name, _ in recipes(Config(), True)] == ["none", "light"]
    assert [recipe.augmentation for _, recipe in recipes(Config(), False)] == ["light", "standard"]


def test_a_training_ends_in_time():
    class Epoch:
        number, seconds = 3, 2.0

    import time

    def ends(at):
        return lambda: at - time.monotonic()

    assert until(ends(time.monotonic() + 9), least=1)(Epoch()) in (6, 7)
    assert until(ends(time.monotonic() - 9), least=5)(Epoch()) == 5


def test_a_run_by_numbers_took_as_long_as_its_trainings(finished):
    run, _ = finished
    assert 0 < spent(run) <= sum(child.seconds for child in run.children()) + run.final["seconds"]


def test_what_makes_no_sense_is_refused(run, tiny, tmp_path):
    with pytest.raises(UsageError, match=r"no hand-made network of this kind is called 'resnet9'; did you mean"):
        pronas.baseline(run.path, only=["resnet9"])
    with pytest.raises(UsageError, match="budget must be a length of time"):
        pronas.baseline(run.path, budget="soon")
    with pytest.raises(RunError):
        pronas.baseline(tmp_path / "nowhere")
    untrained = pronas.search("digits", out=tmp_path / "other", **{**tiny, "blocks": 1, "final_epochs": 0})
    with pytest.raises(RunError, match="its winner is not trained yet"):
        pronas.baseline(untrained.path)
    assert pronas.Experiment(run.path).comparison is None


def test_what_diverges_is_trained_again_at_a_lower_rate():
    rates, told = [], []

    def train(recipe, fails):
        rates.append(recipe.learning_rate)
        if len(rates) <= fails:
            raise RunError("the training diverged: nan")
        return "trained"

    recipe = pronas.Recipe(learning_rate=1.0)
    assert slowing(lambda r: train(r, 2), recipe, times=2, tell=lambda error, share: told.append(share)) == "trained"
    assert rates == pytest.approx([1, 0.2, 0.04])
    assert told == pytest.approx([0.2, 0.04])
    with pytest.raises(RunError, match="diverged"):
        slowing(lambda r: train(r, 9), recipe, times=1)
