"""Pictures of cells: nothing overlaps, every line arrives, any name is only text."""

import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pronas.errors import UsageError
from pronas.report import best_cell, draw_cell
from pronas.space import SIZES, Block, Cell, cell_layout, cell_svg

CHAIN = "-1:3x3 dconv + -1:identity | 0:3x3 maxpool + 0:3x3 dconv | 1:3x3 dconv + 1:identity"
PNASNET = (
    "-2:5x5 dconv + -2:3x3 maxpool | -1:7x7 dconv + -1:3x3 maxpool | -1:5x5 dconv + -1:3x3 dconv | "
    "2:3x3 dconv + -1:3x3 maxpool | -2:3x3 dconv + -1:identity"
)
SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def some_cells(draw, flat=None):
    flat = draw(st.booleans()) if flat is None else flat
    count = draw(st.integers(1, 6))
    ranges = [st.integers(0, b) if flat else st.integers(-2, b - 1) for b in range(count)]
    return Cell(tuple(Block(draw(r), "3x3 dconv", draw(r), "identity") for r in ranges))


@given(some_cells())
def test_blocks_never_overlap_and_lie_inside(cell):
    layout = cell_layout(cell)
    half = SIZES["operator"] + SIZES["gap"] / 2
    for x, y in layout.blocks:
        assert half <= x <= layout.width - half
        assert 0 < y < layout.height - SIZES["block"]
    for (x0, y0), (x1, y1) in itertools.combinations(layout.blocks, 2):
        assert y0 != y1 or abs(x0 - x1) >= 2 * half


@given(some_cells())
def test_every_input_of_a_block_is_joined_to_what_it_reads(cell):
    layout = cell_layout(cell)
    ends = {(edge[-1]): edge[0] for edge in layout.edges if edge[-1][1] != layout.output[1] - SIZES["node"] / 2}
    for index, block in enumerate(cell.blocks):
        for slot, (value, _) in enumerate(block.halves):
            start = ends[round(layout.operator_x(index, slot), 1), layout.blocks[index][1]]
            source = cell.source_block(value)
            assert start[0] == (layout.inputs[value] if source is None else layout.blocks[source])[0]
    outputs = sum(edge[-1][1] == layout.output[1] - SIZES["node"] / 2 for edge in layout.edges)
    assert outputs == len(cell.unused)


@given(some_cells())
def test_lines_run_down_and_never_through_a_block(cell):
    layout = cell_layout(cell)
    half = SIZES["operator"] + SIZES["gap"] / 2
    for edge in layout.edges:
        assert all(upper[1] < lower[1] for upper, lower in itertools.pairwise(edge))
        for upper, lower in itertools.pairwise(edge):
            for x, y in layout.blocks:
                if upper[0] == lower[0] and upper[1] < y + SIZES["block"] and lower[1] > y:
                    assert abs(upper[0] - x) >= half


@pytest.mark.parametrize("text", [CHAIN, PNASNET, "0:3x3 dconv + 0:identity | 1:identity + 0:3x3 dconv"])
def test_plain_cells_have_no_crossings(text):
    assert cell_layout(Cell.parse(text)).crossings == 0


@given(some_cells(), st.sampled_from(["auto", "light", "dark"]))
def test_svg_is_xml_with_every_operator(cell, theme):
    root = ET.fromstring(cell_svg(cell, theme))
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert texts.count("3x3 dconv") == texts.count("identity") == len(cell)
    assert texts.count("output") == 1


def test_unused_inputs_and_skips_are_shown():
    root = ET.fromstring(Cell.parse("-1:identity + -1:3x3 dconv @ 0>2, 1>3").to_svg())
    assert [r.get("class") for r in root.iter(f"{SVG}rect")].count("io unused") == 1
    assert "skips between cells: 0 → 2, 1 → 3" in [node.text for node in root.iter(f"{SVG}text")]


def test_names_are_escaped():
    svg = Cell((Block(-1, "<script>a&b</script>", -1, "x" * 60),))._repr_svg_()
    root = ET.fromstring(svg)
    assert "<script>" not in svg
    titles = [node.text for node in root.iter(f"{SVG}title")]
    assert "<script>a&b</script>" in titles
    assert "x" * 60 in titles
    assert "x" * 15 + "…" in [node.text for node in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_png_has_the_svgs_proportions(tmp_path, theme):
    cell = Cell.parse(PNASNET)
    layout = cell_layout(cell)
    picture = Image.open(draw_cell(cell, tmp_path / "cell.png", theme))
    assert picture.width / picture.height == pytest.approx(layout.width / layout.height, rel=0.01)
    corner = picture.convert("L").getpixel((1, 1))
    assert (corner < 60) == (theme == "dark")


@pytest.mark.parametrize(("name", "theme"), [("a.gif", "auto"), ("a", "auto"), ("a.svg", "pink"), ("a.png", "pink")])
def test_unknown_kinds_and_themes_are_refused(tmp_path, name, theme):
    with pytest.raises(UsageError):
        draw_cell(Cell.parse(CHAIN), tmp_path / name, theme)
    assert not list(tmp_path.iterdir())


def test_a_runs_best_cell_is_drawn(tmp_path, runs):
    run = runs.make_run(tmp_path / "r", 20, state="searching")
    store = runs.open_store(run)
    store.execute("UPDATE children SET reward = 0.999, cell = ? WHERE id = 3", (CHAIN,))
    store.commit()
    store.close()
    assert str(best_cell(run)) == CHAIN
    with pytest.raises(UsageError, match="nothing is trained"):
        best_cell(runs.make_run(tmp_path / "empty", 0, state="searching"))


def test_a_command_line_may_begin_with_a_minus(tmp_path):
    import subprocess
    import sys

    command = [sys.executable, "-m", "pronas", "draw", PNASNET, "--out", str(tmp_path / "c.svg")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
