"""What the reviewers of a search ask of its report; two runs side by side; keyboard, screen reader, phone."""

import json

import pytest

from pronas.errors import RunError
from pronas.report import write_comparison, write_report

HOSTILE = "<img src=x onerror=hacked=1>"
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def mistake(**changes):
    return {"true": HOSTILE, "said": "coat", "share": 0.875, "truth": 0.125, "picture": DOT, **changes}


@pytest.fixture(scope="module")
def rich_run(tmp_path_factory, runs):
    """A run with limits, a plan and mistakes; half of the latter forged."""
    run = runs.make_run(tmp_path_factory.mktemp("rich") / "rich", 60)
    store = runs.open_store(run)
    plan = {"budget": 600.0, "search": 160.0, "trials": 230.0, "first": 12, "children": 12, "levels": 5, "finalists": 3}
    config = json.loads(store.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()[0])
    config["limits"] = {"parameters": 2_800_000, "macs": None, "bits": 900_000_000, "flash": 65_536, "ram": 8_192}
    final = json.loads(store.execute("SELECT value FROM meta WHERE key = 'final'").fetchone()[0])
    final |= {"flash": 32_768, "ram": 8_000}  # known without an export
    for key, value in {"plan": plan, "spent": 590.0, "config": config, "final": final}.items():
        store.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))
    store.commit()
    store.close()
    pair = {"true": HOSTILE, "said": "coat", "count": 18, "images": [mistake(), mistake(picture="javascript:hacked=1")]}
    surest = [mistake(), mistake(picture="data:image/svg+xml;base64,AAAA"), mistake(picture=5)]
    (run / "mistakes.json").write_text(json.dumps({"pairs": [pair], "surest": surest}))
    return run


@pytest.fixture(scope="module")
def rich_report(rich_run, tmp_path_factory):
    return write_report(rich_run, tmp_path_factory.mktemp("report") / "report.html").as_uri()


@pytest.fixture(scope="module")
def comparison(rich_run, tmp_path_factory, runs):
    folder = tmp_path_factory.mktemp("two")
    other = runs.make_run(folder / "<b>other", 30, seed=4)
    return write_comparison(rich_run, other, folder / "two.html").as_uri()


def test_answers_what_reviewers_ask(rich_report, open_page):
    tab = open_page(rich_report)
    limits = [row.split("\t") for row in tab.locator("#limits tbody tr").all_inner_texts()]
    assert [(row[0], row[3], row[4]) for row in limits] == [
        ("parameters", "98 %", "binds"),
        ("weight bits", "10 %", ""),
        ("bytes of flash", "50 %", ""),
        ("bytes of RAM", "98 %", "binds"),
    ]
    done = tab.locator("#reward .pt:not(.failed)").count()
    assert tab.locator("#learning-curves .curve:not(.first)").count() == done
    assert tab.locator("#worker-line .block").count() == 60
    assert "2 workers, busy" in tab.locator("#workers").inner_text()
    assert int(tab.locator("#predicted .spread").get_attribute("data-bars")) == tab.locator("#predicted .pt").count()
    assert tab.locator("#time-left").inner_text() == "Done; 9 min 50 s of 10 min 0 s were used."
    assert tab.locator("#mistakes img").count() == 2  # what is no PNG in the page itself is left out
    shown = tab.locator("#mistakes").inner_text()
    assert f"{HOSTILE} taken for coat: 18 images" in shown
    assert "coat 88 %" in shown
    assert tab.evaluate("typeof hacked") == "undefined"
    tab.locator("#worker-line .block").first.click()
    assert tab.locator("dialog").is_visible()


def test_two_runs_stand_side_by_side(comparison, open_page, runs, tmp_path):
    tab = open_page(comparison)
    assert tab.locator("h1").inner_text() == "A: rich · B: <b>other"
    facts = {row.split("\t")[0]: row.split("\t")[1:] for row in tab.locator("#facts-table tbody tr").all_inner_texts()}
    assert facts["test accuracy"] == ["93.12 % ± 0.50", "93.12 % ± 0.50"]
    assert int(facts["children"][0]) > int(facts["children"][1])
    assert (
        "A is 0.00 ± 0.70 points better on test images than B: no more than chance."
        in tab.locator("#facts").inner_text()
    )
    differing = [row.split("\t")[0] for row in tab.locator("#settings-table tbody tr").all_inner_texts()]
    assert differing == ["limits.bits", "limits.flash", "limits.parameters", "limits.ram", "seed"]
    assert tab.locator("#best-chart path.line").count() == 2
    assert tab.locator("#cells svg.pc").count() == 2
    with pytest.raises(RunError, match="not a run folder"):
        write_comparison(tmp_path, tmp_path, tmp_path / "no.html")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(rich_report, comparison, open_page, serious, width, scheme):
    for address in (rich_report, comparison):
        tab = open_page(address, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert serious(tab) == []
