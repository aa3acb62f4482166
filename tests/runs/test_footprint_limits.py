"""Limits of flash and RAM: what is proposed is what fits, to the byte of the exported C."""

import pytest
from typer.testing import CliRunner

import pronas
from pronas.cli import build_app
from pronas.deploy import footprint, target
from pronas.deploy.integer import calibrate, integer_c, lower, quantize
from pronas.errors import UsageError
from pronas.runs import SETTINGS, Config
from pronas.runs.planning import WIDTHS, Constraints, LimitConfig, Sizer
from pronas.runs.steps import asked, parse, resolve
from pronas.space import Cell

SHAPE = (1, 8, 8)
CELLS = [
    Cell.parse(text)
    for text in ("0:3x3-3x3 conv + 0:identity", "0:3x3 mbconv3 + 0:identity", "0:3x3 dconv + 0:3x3 maxpool")
]


@pytest.mark.parametrize(
    ("text", "bytes_"), [("256k", 262_144), ("64K", 65_536), ("1.5 MB", 1_572_864), ("1MiB", 1 << 20), ("700", 700)]
)
def test_bytes_are_read_as_people_write_them(text, bytes_):
    assert Config.from_dict(asked({"max_flash": text})).limits.flash == bytes_
    assert Config.from_dict({"limits": {"ram": text}}).limits.ram == bytes_


@pytest.mark.parametrize("value", ["lots", "64q", "-1k", "0", "", -5, 1.5, True, "k"])
def test_what_is_no_number_of_bytes_is_refused(value):
    with pytest.raises(UsageError, match=r"limits.ram must be"):
        Config.from_dict(asked({"max_ram": value}))
    assert SETTINGS["max_ram"].flag == "--max-ram"


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_widest_network_that_fits_is_as_large_as_it_was_foretold(cell):
    images = pronas.load_dataset("digits").test.images[:50]
    limits = LimitConfig(flash=30_000, ram=3_000)
    skeleton = pronas.skeleton("residual")
    chosen = Sizer(skeleton, SHAPE, 10, limits, 1e9).skeleton(cell)
    graph = lower(chosen.build(cell, SHAPE, 10).eval())
    made = integer_c(quantize(graph, calibrate(graph, images, "minmax")), "net")
    foretold = footprint(chosen.plan(cell, SHAPE, 10))
    assert (made.constant_bytes, made.buffer_bytes) == (foretold.constants, foretold.ram)
    assert foretold.flash <= 30_000
    assert foretold.ram <= 3_000
    wider = skeleton.scaled(next(w for w in WIDTHS if skeleton.scaled(w).stem > chosen.stem))
    assert not Constraints(wider, SHAPE, 10, limits).feasible([cell])[0]


def test_binary_networks_are_sized_to_flash_and_ram():
    cell, limits = Cell.parse("0:3x3 bconv + 0:5x5 bconv"), LimitConfig(flash=8_000, ram=2_000)
    skeleton = pronas.skeleton("binary")
    chosen = Sizer(skeleton, (1, 28, 28), 10, limits, 1e9).skeleton(cell)
    found = footprint(chosen.plan(cell, (1, 28, 28), 10))
    assert found.flash <= 8_000
    assert found.ram <= 2_000
    wider = next(one for one in map(skeleton.scaled, WIDTHS) if one.filters[-1] > chosen.filters[-1])
    assert not Constraints(wider, (1, 28, 28), 10, limits).feasible([cell])[0]


def test_a_target_fills_in_what_was_not_said(tmp_path):
    def limits(**settings):
        return resolve(parse("digits", {"blocks": 1, **settings})).config.limits

    assert (limits(target="pico").flash, limits(target="pico").ram) == (2_097_152, 270_336)
    assert limits(target="pico", max_ram="10k").ram == 10_240
    assert limits(target="cortex-m7").flash is None
    mine = tmp_path / "mine.toml"
    mine.write_text('[boards.mine]\nprocessor = "cortex-m0plus"\nflash = 90000\nram = 9000\nmegahertz = 1\n')
    assert limits(target="mine", targets=mine).ram == 9_000


def test_the_winner_s_flash_and_ram_are_known_without_an_export(tmp_path):
    run = pronas.search(
        "digits", out=tmp_path / "run", space="flat", operators="3x3 maxpool,3x3 dconv", filters=4, limit=200, blocks=1,
        first=1, epochs=1, final_epochs=1, threads=1, execution="inline", max_flash="64k",
    )  # fmt: skip
    found = footprint(run.load().plan, "cortex-m4")
    assert (run.final["flash"], run.final["ram"]) == (found.flash, found.ram)
    assert CliRunner().invoke(build_app(), ["show", str(run.path)]).stdout.count(f"{found.flash:,} bytes of flash") == 1
    assert not list(run.path.rglob("*.c"))


def test_latency_on_a_target_is_estimated():
    limits = LimitConfig(latency_us=1e9, target="nucleo-f446re")
    seen = Constraints(pronas.skeleton("residual"), SHAPE, 10, limits)
    found = seen.matrix(["latency_us", "macs"], CELLS)
    assert found[:, 0] == pytest.approx([target("nucleo-f446re").microseconds(int(macs)) for macs in found[:, 1]])


@pytest.mark.parametrize(
    ("settings", "said", "setting"),
    [
        ({"max_flash": "2k"}, r"limits.flash: no network is within 2,048; the smallest network has \d", "max_flash"),
        ({"max_ram": 100}, r"limits.ram: no network is within 100; the smallest network has \d", "max_ram"),
        ({"budget": "10s", "max_ram": 100}, r"limits.ram: no network is within 100; the smallest", "max_ram"),
        ({"target": "picco"}, "limits.target: no target is called 'picco'; did you mean 'pico'", "target"),
        (
            {"space": "binary", "target": "pico", "max_latency_us": 9},
            "a binary network takes on pico",
            "max_latency_us",
        ),
        ({"space": "binary", "max_flash": "1k"}, r"limits.flash: no network is within 1,024; the small", "max_flash"),
        ({"targets": "/nowhere.toml"}, "not a table of targets", "targets"),
    ],
)
def test_what_cannot_be_met_is_one_line_and_writes_nothing(settings, said, setting, tmp_path):
    with pytest.raises(UsageError, match=said) as caught:
        pronas.search("digits", out=tmp_path / "run", **({} if "budget" in settings else {"blocks": 1}), **settings)
    assert caught.value.setting == setting
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()
