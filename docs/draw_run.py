"""Take the pictures of a run out of its report, each an SVG by itself that follows the viewer (light or dark).

    python docs/draw_run.py my-run docs/pictures

Writes `reward.svg`, `levels.svg`, `predicted.svg`, `pareto.svg` and `cell.svg` as the report draws them, and
`search.svg`: the children of the run beside the cell that won. Needs Chromium and playwright, as the tests do.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from html import escape
from pathlib import Path

from playwright.sync_api import sync_playwright

from pronas import Experiment
from pronas.report import best_cell, draw_cell, write_report

PLOTS = ("reward", "levels", "predicted", "pareto")
#: A chart's text, and the rules of the page's style that act in it.
TAKE = """(id) => {
  const chart = document.getElementById(id).cloneNode(true), page = document.createElement("div");
  if (!chart.querySelector(".pt")) return null;
  for (const one of chart.querySelectorAll("[visibility=hidden]")) one.remove();
  page.append(chart);
  const rules = [], plain = (text) => !/[:*]|body|html/.test(text);
  const acts = ({ selectorText: text }) => /:root/.test(text) || (plain(text) && page.querySelector(text));
  const short = (rule) => rule.cssText.replace(/\\s+/g, " ");
  for (const rule of document.styleSheets[0].cssRules) {
    if (rule.selectorText && acts(rule)) rules.push(short(rule));
    else if (rule.conditionText && /color-scheme/.test(rule.conditionText)) rules.push(short(rule));
  }
  for (const name of ["tabindex", "role", "aria-label"]) chart.removeAttribute(name);
  return [chart.outerHTML, rules.join("\\n"), chart.viewBox.baseVal.width, chart.viewBox.baseVal.height];
}"""
FONT = 'font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif'


def plots(run: Path) -> dict[str, tuple[str, str, float, float]]:
    """Each plot of a run's report that has points: its text, its style, width and height."""
    found = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = write_report(run, Path(folder) / "report.html")
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        window = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = window.new_page(viewport={"width": 1280, "height": 900})
        page.goto(Path(page_file).resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        for name in PLOTS:
            if taken := page.evaluate(TAKE, name):
                found[name] = tuple(taken)
        window.close()
    return found


def alone(chart: str, style: str, width: float, height: float, title: str) -> str:
    """A chart as a file of its own."""
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>'
    return f"{head}\n<style>{style}\nsvg{{{FONT}}}</style>\n{chart}\n</svg>\n"


def together(run: Experiment, plot: tuple[str, str, float, float], cell: str) -> str:
    """The children of a run, and its best cell: beside them, or below where it is wide."""
    chart, style, width, height = plot
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', cell)
    assert box is not None
    w, h = float(box[1]), float(box[2])
    below = w > 1.6 * h
    scale = min(1.0, width / w) if below else min(1.0, 330 / w, (height - 40) / h)
    x, y = ((width - w * scale) / 2, height + 62) if below else (width + 10, 30 + (height - 30 - h * scale) / 2)
    place = f'x="{x:.0f}" y="{y:.0f}" width="{w * scale:.0f}" height="{h * scale:.0f}"'
    bare = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", cell, count=1)
    left, right = captions(run)
    end = f'x="62" y="{height + 50:.0f}"' if below else f'x="{width + 334:.0f}" y="16" text-anchor="end"'
    words = f'<text class="h" x="62" y="16">{escape(left)}</text><text class="h" {end}>{escape(right)}</text>'
    moved = chart.replace("<svg ", f'<svg y="26" width="{width:.0f}" ', 1)
    whole = (width, height + 70 + h * scale) if below else (width + 350, height + 30)
    look = f"{style}\n.h{{font-size:14px;fill:var(--ink)}}"
    return alone(words + moved + bare.replace("<svg ", f"<svg {place} ", 1), look, *whole, f"{left}; {right}")


def captions(run: Experiment) -> tuple[str, str]:
    """What is said above the children, and above the cell."""
    count = sum(child.status == "done" for child in run.children())
    right = "the cell that won"
    if run.test_accuracy is not None and run.final:
        right += f": {run.test_accuracy:.2%} of the test images, {run.final['parameters']:,} parameters"
    return f"{count} networks, in the order in which they were trained", right


def main(folder: str, out: str) -> None:
    """Write the pictures."""
    run, home = Experiment(folder), Path(out)
    home.mkdir(parents=True, exist_ok=True)
    found = plots(run.path)
    for name, plot in found.items():
        (home / f"{name}.svg").write_text(alone(*plot, title=f"{name} of {run.path.name}"), "utf-8")
    draw_cell(best_cell(run.path), home / "cell.svg")
    (home / "search.svg").write_text(together(run, found["reward"], (home / "cell.svg").read_text("utf-8")), "utf-8")
    for path in sorted(home.glob("*.svg")):
        print(f"{path}: {path.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:3])
