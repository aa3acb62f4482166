"""The documents as a site, as far as that needs no Sphinx: pages, links, workflows, what is published."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("how-to/*.md"))]
_spec = importlib.util.spec_from_file_location("_pages", DOCS / "_pages.py")
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


def test_every_public_name_is_on_a_page(tmp_path):
    made.write_api(tmp_path)
    index = (tmp_path / "index.md").read_text("utf-8")
    for name in made.public_modules():
        page = (tmp_path / f"{name}.md").read_text("utf-8")
        assert name in index
        for public in made.public_names(importlib.import_module(name)):
            assert public in page, f"{name}.{public} is on no page"


def test_every_page_is_in_the_contents():
    listed = set(re.findall(r"^([\w/-]+)$", (DOCS / "index.md").read_text("utf-8"), re.M))
    here = {path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES if DOCS in path.parents} - {"index"}
    books = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.glob("notebooks/*.ipynb")}
    taken = {f"project/{page.removesuffix('.md')}" for page in made.TAKEN_IN.values()}
    assert listed == here | books | taken | {"api/index"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", page.read_text("utf-8")):
        path = target.partition("#")[0]
        if path.startswith(("api/", "project/", "../project/")):  # made when the site is built
            continue
        assert (page.parent / path).exists(), f"{page.name} links to {target}"


def test_taken_in_documents_link_to_pages(tmp_path):
    made.take_in(ROOT, tmp_path)
    for page in tmp_path.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", page.read_text("utf-8")):
            path = tmp_path / target.partition("#")[0]
            assert path.exists() or (DOCS / "project" / target).resolve().exists(), f"{page.name} links to {target}"


def test_notebooks_are_kept_without_results():
    """They are executed when the site is built: what they show is always this version's."""
    for path in DOCS.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), path.name


def test_pictures_are_small_and_load_nothing():
    for path in DOCS.rglob("*.svg"):
        text = path.read_text("utf-8")
        assert len(text) < 200_000, path.name
        assert not re.search(r"<script|href=|url\(http|@import", text), path.name


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_are_valid_and_pin_what_they_use(path):
    workflow = pytest.importorskip("yaml").safe_load(path.read_text("utf-8"))
    assert workflow["name"]
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+(/[\w-]+)?@[\w./-]+", step["uses"]), step
    assert not re.search(r"https?://|password|(?<!id-)token:|secrets\.", path.read_text("utf-8").lower())


def test_the_release_is_published_without_a_secret():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert set(jobs["publish"]["needs"]) == {"sdist", "wheels"}
    assert any("cibuildwheel" in step.get("uses", "") for step in jobs["wheels"]["steps"])


def test_the_wheel_serves_every_python_from_3_11_on():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    named = {one.rpartition(" ")[2] for one in project["project"]["classifiers"] if ":: 3." in one}
    assert named == {"3.11", "3.12", "3.13", "3.14"}
    assert project["project"]["requires-python"] == ">=3.11"
    assert project["tool"]["scikit-build"]["wheel"]["py-api"] == "py3"


def test_nothing_breaks_on_newer_pythons():
    """What 3.12 to 3.14 removed or warn of, in every module: invalid escapes, and modules that are gone."""
    gone = "asynchat|asyncore|imp|distutils|smtpd|cgi|crypt|pipes|telnetlib|uu|xdrlib|imghdr|sndhdr|audioop"
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").glob("*.py")]
    for path in sources:
        assert not re.search(rf"^\s*(import|from) ({gone})\b", path.read_text("utf-8"), re.M), path
    check = "import sys; [compile(open(name, encoding='utf-8').read(), name, 'exec') for name in sys.argv[1:]]"
    subprocess.run([sys.executable, "-W", "error", "-c", check, *map(str, sources)], check=True)
