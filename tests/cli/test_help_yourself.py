"""doctor, init, completion, and the pages that errors name."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from pronas import errors
from pronas.cli import checks
from pronas.runs import SETTINGS, Config, template

ROOT = Path(__file__).parents[2]


def anchors(page):
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


def pages():
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.PronasError)]
    others = {value for name, value in vars(errors).items() if name.endswith("_PAGE")}
    return sorted({kind.page for kind in kinds} | others)


@pytest.mark.parametrize("page", pages())
def test_every_page_that_an_error_names_is_there(page):
    file, _, anchor = page.partition("#")
    assert not anchor or anchor in anchors(ROOT / file)


def test_the_pages_that_the_errors_page_names_are_there():
    text = (ROOT / "docs/errors.md").read_text("utf-8")
    for name in re.findall(r"\]\(([\w.-]+\.md)\)", text):
        assert (ROOT / "docs" / name).is_file(), name


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        (["show", "nowhere"], "#runs"),
        (["search", "--epochs", "0"], "#settings"),
        (["predict", "r", "x.png"], "#model-files"),
    ],
)
def test_an_error_names_its_page_on_its_line(pronas_main, tmp_path, monkeypatch, arguments, page):
    monkeypatch.chdir(tmp_path)
    _, _, err = pronas_main(*arguments)
    assert len(err) == 1
    assert err[0].endswith(f" (see docs/errors.md{page})")


def test_init_writes_every_setting_and_overwrites_nothing(pronas_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = pronas_main("init")
    assert code == 0
    assert out == ["pronas.toml written; set what you want in it, then: pronas search --config pronas.toml"]
    code, _, err = pronas_main("init")
    assert code == 2
    assert "'pronas.toml' exists and is not overwritten" in err[0]
    assert "--out" in err[0]


def test_the_template_sets_nothing_and_each_of_its_lines_may_be_set():
    lines = template().splitlines()
    assert Config.from_dict(tomllib.loads(template())) == Config()
    places = [number for number, line in enumerate(lines) if re.match(r"# \w+ = ", line)]
    assert len(places) == len(SETTINGS)
    for place in places:
        Config.from_dict(tomllib.loads("\n".join([*lines[:place], lines[place][2:], *lines[place + 1 :]])))


def test_doctor_says_what_is_here(pronas_main):
    code, out, _ = pronas_main("doctor", "--no-test")
    problems = [line for line in out if line.startswith("problem: ")]
    assert code == (1 if problems else 0)
    names = [line.partition(":")[0] for line in out]
    for name in ("pronas", "Python", "packages", "training", "packed", "processor", "GPUs", "cache"):
        assert name in names
    assert "self-test" not in names


def test_doctor_has_a_line_for_each_problem(pronas_main, monkeypatch):
    def broken():
        raise errors.RunError("the disk is made of cheese")

    monkeypatch.setattr(checks, "_search_and_export", lambda folder: broken())
    monkeypatch.setattr("pronas.machine.compiled_library", lambda package, name: None)
    monkeypatch.setattr(checks, "_least_versions", lambda: {"numpy": "99.0"})
    monkeypatch.setenv("PRONAS_CACHE", "/proc/no/such/cache")
    code, out, _ = pronas_main("doctor")
    problems = [line for line in out if line.startswith("problem: ")]
    assert code == 1
    assert any("numpy" in line and "too old" in line for line in problems)
    assert any("compiled kernels that train children are missing" in line for line in problems)
    assert "problem: the self-test failed: the disk is made of cheese" in problems
    assert out[-1] == f"{len(problems)} problems"


@pytest.mark.slow
def test_doctor_tries_a_search():
    facts, problems = checks.self_test()
    assert (len(facts), problems) == (1, [])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_and_completes(pronas_main, tmp_path, monkeypatch, shell):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: (shell, shutil.which(shell) or f"/bin/{shell}"))
    code, out, _ = pronas_main("--install-completion")
    assert code == 0
    assert out[0].startswith(f"{shell} completion installed in {tmp_path}")
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "_PRONAS_COMPLETE=complete_" in written
    monkeypatch.setenv("_PRONAS_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "pronas sea")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "pronas sea")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    _, out, _ = pronas_main()
    assert "search" in out[0]
