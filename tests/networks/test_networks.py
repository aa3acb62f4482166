"""Networks built from cells: fixed points, wiring, gradients, determinism, errors."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from pronas.errors import UsageError
from pronas.networks import (
    Binary,
    Flat,
    MaxPool,
    OperatorContext,
    PnasCifar,
    PnasImagenet,
    QuantConv2d,
    Sign,
    SumPool,
    operator,
    operators,
    skeleton,
    skeleton_from_dict,
)
from pronas.space import Cell

PNASNET5 = Cell.parse(
    "-2:5x5 dconv + -2:3x3 maxpool | -1:7x7 dconv + -1:3x3 maxpool | -1:5x5 dconv + -1:3x3 dconv"
    " | 2:3x3 dconv + -1:3x3 maxpool | -2:3x3 dconv + -1:identity"
)
SMALL_PNAS = PnasCifar(N=1, F=4)
TINY_FLAT = Flat(filters=(6, 8))
TINY_BINARY = Binary(filters=(6, 8), dense=(7,))


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def images(shape, n=4, seed=0):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("macro", "shape", "classes", "count"),
    [
        (PnasCifar(N=3, F=48, outputs="all"), (3, 32, 32), 10, 3_176_602),
        (PnasImagenet(N=4, F=216, outputs="all"), (3, 331, 331), 1000, 86_057_668),
    ],
)
def test_pnasnet5_has_the_published_number_of_parameters(macro, shape, classes, count):
    with torch.device("meta"):
        assert parameters(macro.build(PNASNET5, shape, classes)) == count


@pytest.mark.parametrize(
    ("binary", "macro"),
    [
        (False, TINY_FLAT),
        (False, Flat(filters=(6,), combine="add", stem=5)),
        (False, SMALL_PNAS),
        (True, TINY_BINARY),
        (True, Binary(filters=(6, 8), combine="add", xnor=True, h="Glorot", rate="Glorot")),
    ],
)
def test_gradients_reach_every_operator(binary, macro):
    torch.manual_seed(1)
    for name in operators(binary):
        if name.startswith("test") or name == "none":  # nothing can be learnt through a map of zeros
            continue
        for text in (f"0:{name} + 0:{name} | 1:{name} + 0:{name}", f"-2:{name} + -1:{name} | 0:{name} + -1:{name}"):
            network = macro.build(Cell.parse(text), (3, 9, 12), 3)
            loss = nn.functional.cross_entropy(network(images((3, 9, 12), 8)), torch.arange(8) % 3)
            loss.backward()
            silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            # A logit's batch norm bias and scale always get one; every kernel must.
            assert not silent, (name, text, silent)


def outputs_of_cells(network, pixels):
    seen = []
    hooks = [c.register_forward_hook(lambda m, i, o: seen.append(o)) for c in network.cells]
    network(pixels)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("macro", [TINY_FLAT, SMALL_PNAS])
@pytest.mark.parametrize("value", [-3, -2, -1])
def test_the_input_value_decides_which_cell_is_read(macro, value):
    network = macro.build(Cell.parse(f"{value}:3x3 dconv + {value}:3x3 maxpool"), (3, 16, 16), 3).eval()
    for position, cell in enumerate(network.cells):
        assert [i.sources for i in cell.inputs] == [(max(position + 1 + value, 0),)]
    reads = []
    network.cells[-1].blocks[0].left.register_forward_pre_hook(lambda m, i: reads.append(i[0]))
    states = [network.stem(network.scale(images((3, 16, 16)).clone())).detach()]
    for cell in network.cells[:-1]:
        states.append(cell(states).detach())
    last = len(states)
    for changed in range(last):
        reads.clear()
        network.cells[-1](states)
        network.cells[-1]([s + 1.7 * (i == changed) * torch.randn_like(s) for i, s in enumerate(states)])
        differs = not torch.equal(reads[0], reads[1])
        assert differs == (changed == max(last + value, 0))


@pytest.mark.parametrize("value", [0, 1, 2])
def test_later_blocks_read_the_block_they_name(value):
    text = f"0:3x3 conv + 0:5x5 conv | 0:3x3 dconv + 0:3x3 maxpool | {value}:3x3 conv + {value}:identity"
    network = TINY_FLAT.build(Cell.parse(text), (3, 16, 16), 3).eval()
    cell = network.cells[0]
    assert cell.blocks[2].sources == (value, value)  # node 0 is the input, node v block v - 1
    stride = cell.blocks[2].left[0].stride
    assert stride == ((2, 2) if value == 0 else (1, 1))
    seen = {}
    for i, block in enumerate(cell.blocks):
        block.register_forward_hook(lambda m, a, o, i=i: seen.__setitem__(i + 1, o))
    cell.blocks[2].left.register_forward_pre_hook(lambda m, a: seen.__setitem__("read", a[0]))
    pixels = images((3, 16, 16))
    network(pixels)
    seen[0] = network.scale(pixels)
    assert torch.equal(seen["read"], seen[value])


def test_unused_blocks_are_the_output_and_used_ones_are_not():
    cell = Cell.parse("0:3x3 conv + 0:3x3 conv | 1:3x3 conv + 0:3x3 conv | 0:5x5 conv + 0:3x3 maxpool")
    network = TINY_FLAT.build(cell, (3, 16, 16), 3)
    assert network.cells[0].outputs == (2, 3)
    assert outputs_of_cells(network, images((3, 16, 16)))[0].shape == (4, 6 + 6 + 6 + 3, 8, 8)


@pytest.mark.parametrize("macro", [TINY_FLAT, SMALL_PNAS, Flat(filters=(6, 8, 10), strides=(2, 1, 2))])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (2, 28, 28)])
def test_sizes_are_halved_rounding_up(macro, shape):
    network = macro.build(Cell.parse("-2:7x7 dconv + -1:3x3 avgpool | 0:1x7-7x1 conv + -2:3x3 dilated conv"), shape, 5)
    stride = 1
    for cell, out in zip(network.plan.cells, outputs_of_cells(network, images(shape)), strict=True):
        stride = cell.state.stride
        assert out.shape[1:] == (cell.state.channels, -(-shape[1] // stride), -(-shape[2] // stride))
    assert stride == 4
    assert network(images(shape)).shape[1] == 5 if not network.auxiliary else True


@pytest.mark.parametrize(
    "macro", [TINY_BINARY, Binary(filters=(6, 8, 9), combine="add"), Binary(filters=(5,), xnor=True)]
)
@pytest.mark.parametrize("lookback", [0, -1, -2])
def test_binary_maps_are_plus_or_minus_one(macro, lookback):
    """Every map between operators, and every map a binary layer reads but the image, is ±1; sums are integers."""
    later = 1 if lookback == 0 else 0
    reads, sums = [], []
    for name in operators(True):
        if name.startswith("test"):
            continue
        text = f"{lookback}:{name} + {lookback}:3x3 maxpool | {later}:{name} + {lookback}:linear"
        network = macro.build(Cell.parse(text), (3, 11, 9), 4)
        for layer in network.quantized_layers():
            layer.register_forward_pre_hook(lambda m, i: reads.append(i[0]))
            if not macro.xnor:
                layer.register_forward_hook(lambda m, i, o: sums.append(o))
        maps = outputs_of_cells(network, images((3, 11, 9)))
        assert all(set(m.unique().tolist()) <= {-1.0, 1.0} for m in maps), name
        for block in (b for c in network.cells for b in c.blocks):
            assert {m.__class__ for m in (*block.left, *block.right)} <= set(CLOSED), name
    image = 2 * images((3, 11, 9)).float() - 255
    for values in reads:
        assert torch.equal(values, image) or values.shape[1] == 3 or values.abs().eq(1).all()
    assert all(torch.equal(s, s.round()) for s in sums)


CLOSED = [QuantConv2d, nn.BatchNorm2d, Sign, MaxPool, SumPool]


def test_wrong_kind_of_operator_is_refused_with_its_counterpart():
    with pytest.raises(UsageError, match=r"'1x7-7x1 conv' is a full-precision operator.*use '1x7-7x1 bconv'"):
        Binary().build(Cell.parse("0:1x7-7x1 conv + 0:3x3 bconv"), (1, 28, 28), 10)
    with pytest.raises(UsageError, match=r"'3x3 sep-bconv' is a binary operator.*use '3x3 dconv'"):
        Flat().build(Cell.parse("0:3x3 sep-bconv + 0:3x3 dconv"), (1, 28, 28), 10)


def test_every_built_in_of_one_kind_alone_names_its_counterpart():
    for binary, macro in ((False, TINY_BINARY), (True, TINY_FLAT)):
        for name in set(operators(binary)) - set(operators(not binary)):
            if not name.startswith("test"):
                with pytest.raises(UsageError, match="use '"):
                    macro.plan(Cell.parse(f"0:{name} + 0:{name}"), (3, 16, 16), 3)


@pytest.mark.parametrize("macro", [TINY_FLAT, TINY_BINARY, SMALL_PNAS])
def test_the_seed_decides_the_weights_and_nothing_else_changes(macro):
    cell = Cell.parse("-2:3x3 maxpool + -1:identity | 0:linear + -1:3x3 avgpool")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, two, other = (macro.build(cell, (1, 8, 8), 3, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    "macro",
    [
        Flat(filters=[8, 9], strides=[1, 2], combine="add", stem=3, dropout=0.2, drop_path=0.1),
        Flat(),
        Binary(filters=[4], dense=(), h="Glorot", rate="Glorot", xnor=True, input_dropout=0.1, dropout=0.5),
        PnasCifar(N=2, F=24, auxiliary=True, drop_path=0.3),
        PnasImagenet(outputs="all"),
    ],
)
def test_skeletons_survive_plain_data(macro):
    import json

    assert skeleton_from_dict(json.loads(json.dumps(macro.to_dict()))) == macro
    assert skeleton(macro.name, **{k: v for k, v in macro.to_dict().items() if k != "name"}) == macro


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: skeleton("flta"), "did you mean 'flat'"),
        (lambda: skeleton("flat", filtres=(3,)), "did you mean 'filters'"),
        (lambda: Flat(filters=()), "filters"),
        (lambda: Flat(filters=(0, 3)), "filters"),
        (lambda: Flat(strides=(2, 2, 2)), "3 strides for 2 cells"),
        (lambda: Flat(combine="mul"), "'concat' or 'add'"),
        (lambda: Flat(dropout=1.0), "dropout"),
        (lambda: Binary(h="glorrot"), "H is 'glorrot'"),
        (lambda: Binary(rate=-1), "rate multiplier"),
        (lambda: PnasCifar(N=0), "N is 0"),
        (lambda: PnasCifar(outputs="some"), "outputs"),
        (lambda: Flat().build(PNASNET5, (3, 7, 8), 10), "8 or more"),
        (lambda: Flat().build(PNASNET5, (3, 8), 10), "channels, height, width"),
        (lambda: Flat().build(PNASNET5, (3, 8, 8), 1), "classes"),
        (lambda: Flat().build(PNASNET5, (3, 8, 8), 2, scale=([1], [1])), "scale"),
        (lambda: Flat().build(PNASNET5, (1, 8, 8), 2, scale=([1], [0])), "scale"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("macro", [Flat(filters=(4, 5, 6)), Binary(filters=(4, 5, 6)), SMALL_PNAS])
def test_skips_bring_an_earlier_cell_to_a_later_one(macro):
    plain = Cell.parse("-1:3x3 maxpool + -1:identity")
    joined = Cell(plain.blocks, skips=((0, 2),))
    network = macro.build(joined, (3, 16, 16), 3)
    target = network.cells[2].inputs[0]
    assert target.sources == (2, 1)
    assert network.cells[1].inputs[0].sources == (1,)
    kernel = next(m for m in target.adapter if isinstance(m, QuantConv2d))
    assert kernel.in_channels == sum(network.plan.states[s].channels for s in (2, 1))
    network(images((3, 16, 16))).sum().backward()
    assert kernel.weight.grad is not None
    if macro.binary:
        assert all(m.abs().eq(1).all() for m in outputs_of_cells(network, images((3, 16, 16))))
    with pytest.raises(UsageError, match="skip 1>7"):
        macro.plan(Cell(plain.blocks, skips=((1, 7),)), (3, 16, 16), 3)


def test_scale_is_kept_with_the_network_and_uint8_equals_float():
    cell = Cell.parse("0:3x3 conv + 0:3x3 maxpool")
    network = TINY_FLAT.build(cell, (2, 8, 8), 3, scale=([10.0, 20.0], [2.0, 4.0])).eval()
    pixels = images((2, 8, 8))
    expected = (pixels.float() - torch.tensor([10.0, 20.0]).view(2, 1, 1)) / torch.tensor([2.0, 4.0]).view(2, 1, 1)
    torch.testing.assert_close(network.scale(pixels), expected)
    assert torch.equal(network(pixels), network(pixels.float()))
    assert any(k.startswith("scale") for k in network.state_dict())
    binary = TINY_BINARY.build(Cell.parse("0:3x3 bconv + 0:linear"), (2, 8, 8), 3, scale=([1.0, 2.0], [3.0, 4.0]))
    assert torch.equal(binary.scale(pixels), 2 * pixels.float() - 255)


def test_auxiliary_head_speaks_in_training_only():
    for macro, shape in (
        (PnasCifar(N=1, F=4, auxiliary=True), (3, 16, 16)),
        (PnasImagenet(N=1, F=8, auxiliary=True), (3, 33, 40)),
    ):
        network = macro.build(PNASNET5, shape, 7)
        logits, auxiliary = network(images(shape))
        assert logits.shape == auxiliary.shape == (4, 7)
        auxiliary.sum().backward()
        assert network.eval()(images(shape)).shape == (4, 7)
        assert network.plan.auxiliary[0] == len(network.cells) - 1


def test_drop_path_grows_with_progress_and_depth():
    network = PnasCifar(N=1, F=4, drop_path=0.6).build(PNASNET5, (3, 16, 16), 3)
    pixels = images((3, 16, 16), 64)
    zeroed = []
    for progress, position in itertools.product((0.0, 0.5, 1.0), (0, 2)):
        network.drop_path_progress = progress
        torch.manual_seed(0)
        maps = []
        hook = network.cells[position].blocks[0].register_forward_hook(lambda m, i, o, maps=maps: maps.append(o))
        network(pixels)
        hook.remove()
        zeroed.append(float(maps[0].flatten(1).abs().sum(1).eq(0).float().mean()))
    assert zeroed[0] == zeroed[1] == 0.0
    assert zeroed[5] > zeroed[3] > 0.01
    assert 0.2 < zeroed[5] < 0.55  # both operators dropped: 0.6 ** 2
    network.eval()
    assert torch.equal(network(pixels), network(pixels))


def test_users_operators_are_built_checked_and_searched():
    @operator("test 1x1", binary=False)
    def one(context: OperatorContext) -> nn.Module:
        return nn.Conv2d(context.channels, context.filters, 1, context.stride)

    network = TINY_FLAT.build(Cell.parse("0:test 1x1 + 0:test 1x1"), (3, 8, 8), 3)
    assert isinstance(network.cells[0].blocks[0].left, nn.Conv2d)
    with pytest.raises(UsageError, match="full-precision operator"):
        TINY_BINARY.plan(Cell.parse("0:test 1x1 + 0:linear"), (3, 8, 8), 3)

    @operator("test 1x1", binary=False)
    def unstrided(context: OperatorContext) -> nn.Module:
        return nn.Conv2d(context.channels, context.filters, 1)

    with pytest.raises(UsageError, match="8x8 of 8x8 with stride 2"):
        TINY_FLAT.plan(Cell.parse("0:test 1x1 + 0:test 1x1"), (3, 8, 8), 3)

    @operator("test 1x1", binary=False)
    def narrow(context: OperatorContext) -> nn.Module:
        return nn.Conv2d(context.channels, context.filters + 1, 1, context.stride)

    with pytest.raises(UsageError, match="returned 7 channels: it must return 6"):
        TINY_FLAT.plan(Cell.parse("0:test 1x1 + 0:test 1x1"), (3, 8, 8), 3)


def test_wide_and_deep_cells_build_everywhere():
    blocks = " | ".join(f"{i - 1}:identity + {-1 - i % 2}:3x3 maxpool" for i in range(10)).replace(
        "-1:identity", "-2:identity", 1
    )
    for macro in (Flat(filters=(4, 4, 4, 4)), Binary(filters=(4, 4, 4, 4)), PnasCifar(N=1, F=4)):
        network = macro.build(Cell.parse(blocks), (3, 8, 8), 3)
        assert network(images((3, 8, 8))).shape == (4, 3)
        assert max(s.channels for s in network.plan.states) <= 2 * 10 * 16


@pytest.mark.parametrize("filters", [1, 2, 3, 5])
def test_the_narrowest_networks_have_no_layer_without_filters(filters):
    for macro in (PnasImagenet(N=1, F=filters, stem=4), PnasCifar(N=1, F=filters)):
        network = macro.build(Cell.parse("-1:3x3 dconv + -2:3x3 maxpool"), (3, 16, 16), 4, seed=0)
        assert all(parameter.numel() for parameter in network.parameters())
        assert network.eval()(torch.zeros(2, 3, 16, 16)).shape == (2, 4)
