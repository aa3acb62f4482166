"""Made-up runs, and a real browser that complains of everything."""

import importlib.util
import shutil
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("make_run", Path(__file__).with_name("make_run.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def runs():
    """The module that makes run folders."""
    return _module


@pytest.fixture(scope="session")
def big_run(tmp_path_factory, runs):
    """A finished run of 2,000 children."""
    return runs.make_run(tmp_path_factory.mktemp("big") / "fashion")


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        window = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield window
        window.close()


@pytest.fixture
def open_page(browser):
    """Open an address; at the end nothing may have been complained of, and nothing asked for elsewhere."""
    opened = []

    def open_(url, tolerate=(), **options):
        tab = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        tab.problems, tab.requested = [], []
        tab.on("console", lambda m: m.type in ("error", "warning") and tab.problems.append(m.text))
        tab.on("pageerror", lambda e: tab.problems.append(str(e)))
        tab.on("request", lambda r: tab.requested.append(r.url))
        opened.append((tab, url, tolerate))
        tab.goto(url)
        tab.wait_for_selector("html[data-ready]", timeout=30_000)
        return tab

    yield open_
    for tab, url, tolerate in opened:
        problems = [p for p in tab.problems if not any(word in p for word in tolerate)]
        strangers = [r for r in tab.requested if not r.startswith((url, "data:"))]
        tab.close()
        assert not problems
        assert not strangers


@pytest.fixture(scope="session")
def serious():
    """What axe-core finds serious or critical in a page that was opened with ``bypass_csp``."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("axe-core is not here")
    axe = (Path(package.origin).parent / "axe.min.js").read_text("utf-8")

    def find(tab):
        tab.evaluate(axe)
        found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]

    return find
