"""The report in a real browser."""

import json
import re

import pytest

from pronas.errors import RunError
from pronas.report import write_report

HOSTILE = "<script>hacked=1</script>"
IMAGE = "<img src=x onerror=hacked=1>"


@pytest.fixture(scope="module")
def report(big_run, tmp_path_factory):
    return write_report(big_run, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def tab(report, open_page):
    return open_page(report.as_uri())


def test_is_one_small_file(report):
    text = report.read_text("utf-8")
    assert len(text.encode()) <= 3_000_000
    assert not re.findall(r"""(?:src|href)=["']?(?!data:,)[a-z/]""", text.split('<script type="application/json"')[0])


def test_shows_every_child_as_a_point(tab):
    assert tab.locator("#reward .pt").count() == 2000
    failed = tab.locator("#reward .pt.failed").count()
    assert failed > 0
    assert tab.locator("#levels .pt").count() == 2000 - failed
    assert tab.locator("#pareto .pt").count() == 2000 - failed


def test_hover_names_the_cell_under_the_mouse(tab, big_run):
    # the best child stands alone at the top of its plot
    dot = tab.locator("#reward .pt:not(.failed)").evaluate_all(
        "dots => dots.sort((a, b) => a.getAttribute('cy') - b.getAttribute('cy')).slice(0, 1).map(d => d.dataset.id)[0]"
    )
    where = tab.locator(f'#reward .pt[data-id="{dot}"]').bounding_box()
    tab.mouse.move(where["x"] + where["width"] / 2, where["y"] + where["height"] / 2)
    import sqlite3

    with sqlite3.connect(big_run / "store.sqlite") as store:
        cell, reward = store.execute("SELECT cell, reward FROM children WHERE id = ?", (dot,)).fetchone()
    assert tab.locator(".tooltip code").inner_text() == cell
    assert tab.locator(".tooltip strong").inner_text() == f"{reward:.4f}"
    assert tab.locator(".tooltip svg.pc").count() == 1


def test_classes_and_hand_made_networks_are_beside_the_winner(tab):
    rows = tab.locator("#classes tbody tr")
    assert rows.count() == 10
    assert rows.first.locator("th").inner_text() == "T-shirt"
    assert rows.first.locator("td").first.inner_text() == "1,000"
    assert "the search paid: +1.02 ± 0.37 points" in tab.locator("#hand-made").inner_text()
    assert tab.locator("#hand-made tbody tr").count() == 2


def test_exported_files_are_beside_the_winner(tmp_path, runs, open_page):
    run = runs.make_run(tmp_path / "r", 20)
    facts = {"file": "net.c", "format": "c", "accuracy": "0.90 in int8", "same class": "0.99 of these images"}
    (run / "exports.json").write_text(json.dumps({"net.c": facts, "x": {"file": IMAGE}}))
    page = open_page(write_report(run, tmp_path / "report.html").as_uri())
    assert page.locator("#exports tbody tr").first.inner_text().split("\t")[:3] == ["net.c", "c", "0.90 in int8"]
    assert page.locator("#exports img").count() == 0


def test_level_filter_applies_everywhere(tab):
    tab.locator('.chip[data-level="1"]').click()
    assert tab.locator("#reward .pt").count() == 1600
    assert tab.locator(".chip[data-level='1']").get_attribute("aria-pressed") == "false"
    assert "1,600" in tab.locator("#children .tools").inner_text()


def test_drag_zooms_and_double_click_resets(tab):
    box = tab.locator("#predicted").bounding_box()
    tab.locator("#predicted").scroll_into_view_if_needed()
    box = tab.locator("#predicted").bounding_box()
    ticks = tab.locator("#predicted .tx").all_inner_texts()
    tab.mouse.move(box["x"] + 150, box["y"] + 60)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 260, box["y"] + 140, steps=4)
    tab.mouse.up()
    assert tab.locator("#predicted .tx").all_inner_texts() != ticks
    tab.locator("#predicted ~ button.reset").click()
    assert tab.locator("#predicted .tx").all_inner_texts() == ticks


def test_keyboard_walks_the_points_and_opens_one(tab):
    tab.locator("#reward").focus()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    assert "child 3" in tab.locator(".tooltip").inner_text()
    assert "child 3" in tab.locator("#announce").inner_text()
    tab.keyboard.press("Enter")
    assert tab.locator("dialog").is_visible()
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog").is_visible()


def test_table_sorts_and_searches(tab):
    first = lambda: tab.locator("#children tbody tr").first.get_attribute("data-id")  # noqa: E731
    best = first()
    tab.locator("#children th button[data-key=id]").click()
    assert first() == "1"
    assert tab.locator("#children th.k-id").get_attribute("aria-sort") == "ascending"
    tab.locator("#children th button[data-key=reward]").click()
    assert first() == best
    tab.locator("#children input").fill("no such operator")
    assert tab.locator("#children tbody tr").count() == 0


def test_pareto_front_is_what_no_other_child_beats(tab):
    data = json.loads(tab.locator("#data").text_content())
    at = {name: i for i, name in enumerate(data["fields"])}
    rows = [r for r in data["rows"] if r[at["status"]] == "done"]
    points = [(r[at["parameters"]], r[at["reward"]]) for r in rows]
    front = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)}
    assert tab.locator("#pareto .ring").count() == len(front)


def test_spearman_agrees_with_scipy(tab):
    stats = pytest.importorskip("scipy.stats")
    data = json.loads(tab.locator("#data").text_content())
    at = {name: i for i, name in enumerate(data["fields"])}
    rows = [r for r in data["rows"] if r[at["status"]] == "done" and r[at["level"]] == 2]
    rho = stats.spearmanr([r[at["predicted"]] for r in rows], [r[at["reward"]] for r in rows]).statistic
    assert tab.locator("#predictor tbody tr").first.locator("td").last.inner_text() == f"{rho:.3f} ({len(rows)})"


@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_overflows(report, open_page, width):
    tab = open_page(report.as_uri(), viewport={"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_prints_without_controls(tab):
    tab.emulate_media(media="print")
    assert not tab.locator(".filter").is_visible()
    assert tab.locator("#reward").is_visible()


def test_everything_from_outside_stays_text(tmp_path, runs, open_page):
    operators = {HOSTILE: (1.0, 9), IMAGE: (0.5, 0)}
    run = runs.make_run(tmp_path / "<b>run", 40, operators=operators)
    store = runs.open_store(run)
    for key, text in {
        "config": {HOSTILE: IMAGE, "data": {"name": HOSTILE}},
        "state": IMAGE,
        "version": HOSTILE,
    }.items():
        store.execute("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(text), key))
    final = json.loads(store.execute("SELECT value FROM meta WHERE key = 'final'").fetchone()[0])
    final |= {"classes": [HOSTILE] * 10, "curves": {"</script>" + IMAGE: [1, 2]}}
    store.execute("UPDATE meta SET value = ? WHERE key = 'final'", (json.dumps(final),))
    store.execute(
        "UPDATE children SET error = ?, worker = ?, status = 'failed' WHERE id < 5", (HOSTILE + "\u2028", IMAGE)
    )
    store.execute("UPDATE children SET cell = ? WHERE id = 6", (f"no cell {HOSTILE}",))
    store.commit()
    tab = open_page(write_report(run, tmp_path / "r.html").as_uri())
    tab.locator("#children tbody tr .link").first.click()
    tab.keyboard.press("Escape")
    tab.locator("#reward").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("typeof hacked") == "undefined"
    assert tab.locator("img, b b, main script").count() == 0
    assert HOSTILE in tab.locator("#configuration").inner_text()
    assert HOSTILE in tab.locator(".tooltip").text_content()
    assert tab.locator("h1").inner_text() == "<b>run"


def test_half_filled_runs_are_shown(tmp_path, runs, open_page):
    for name, children in (("empty", 0), ("one", 1)):
        run = runs.make_run(tmp_path / name, children, state="searching")
        tab = open_page(write_report(run, tmp_path / f"{name}.html").as_uri())
        assert tab.locator("#reward .pt").count() == children
        assert tab.locator(".state").inner_text() == "searching"


def test_what_is_no_run_is_said_in_one_line(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        write_report(tmp_path, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
