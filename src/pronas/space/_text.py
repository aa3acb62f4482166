"""The text forms of a cell: block text, list, CSV row, one-hot representation string. All of them round-trip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from pronas.errors import UsageError
from pronas.space._block import Block

Blocks = tuple[Block, ...]
Skips = tuple[tuple[int, int], ...]

_QUOTES = "'\"`"
_GROUP = re.compile(r"\[([^\[\]]*)\]")
# what may stand between the one-hot groups of a representation string that was copied from somewhere
_BETWEEN = re.compile(r"(?:[\s,'\"`\[\]()]|\\n|array|dtype=\w+)*")
_SKIP = re.compile(r"\s*(\d+)\s*>\s*(\d+)\s*")
_STYLES = ("one", "index")


class CellSpace(Protocol):
    """What reading and writing one-hot strings needs of a space of cells (`StateSpace`)."""

    @property
    def B(self) -> int:  # noqa: N802
        """The largest number of blocks."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators' names."""

    def inputs(self, b: int) -> tuple[int, ...]:
        """Return the input values that block b may read."""

    def operator_index(self, name: str) -> int:
        """Return the place of an operator."""

    def check(self, cell: Any) -> None:
        """Raise a UsageError unless the cell is of this space."""


def to_text(blocks: Blocks, skips: Skips) -> str:
    """Return the block text, ``-2:5x5 dconv + -2:3x3 maxpool | … @ 0>2, 1>3``."""
    return " | ".join(map(str, blocks)) + _suffix(skips)


def to_csv(blocks: Blocks, skips: Skips) -> str:
    """Return the CSV row, ``input1,op1,input2,op2,…[,@ 0>2 1>3]``."""
    fields = [str(x) for block in blocks for half in block.halves for x in half]
    return ",".join(fields + (["@ " + _skips_text(skips, " ")] if skips else []))


def check_style(style: str) -> None:
    """Raise a UsageError unless there is that style of representation strings."""
    if style not in _STYLES:
        raise UsageError(f"unknown style {style!r} of a representation string; it is 'one' or 'index'")


def to_representation(blocks: Blocks, skips: Skips, space: CellSpace, style: str) -> str:
    """Return the one-hot string of blocks that are of the space; see `Cell.representation`."""
    values = space.inputs(space.B)
    sizes = (len(values), len(space.operators))
    groups = []
    for block in blocks:
        for value, operator in block.halves:
            places = (values.index(value), space.operator_index(operator))
            groups += [_one_hot(place, size, style) for place, size in zip(places, sizes, strict=True)]
    return " ".join(groups) + _suffix(skips)


def _suffix(skips: Skips) -> str:
    return " @ " + _skips_text(skips, ", ") if skips else ""


def _one_hot(place: int, size: int, style: str) -> str:
    hot = place + 1 if style == "index" else 1
    return "[[" + " ".join(f"{hot if i == place else 0}." for i in range(size)) + "]]"


def _skips_text(skips: Skips, separator: str) -> str:
    return separator.join(f"{a}>{b}" for a, b in skips)


def parse(text: str, space: CellSpace | None = None) -> tuple[Blocks, Skips]:
    """Read the blocks and skips of any of the forms; see `Cell.parse`."""
    if not isinstance(text, str):
        raise UsageError(f"a cell's text is a string, not {type(text).__name__}; for lists there is Cell.from_list")
    body, _, suffix = _unquote(text).partition("@")
    skips = _parse_skips(suffix) if "@" in text else ()
    body = _unquote(body.strip().rstrip(","))
    if not body:
        raise UsageError("the cell is empty; write for example '-1:3x3 dconv + -1:identity'")
    if body.startswith(("[", "array", "(")):
        return _parse_brackets(body, space), skips
    if ":" in body:
        return tuple(_parse_block(part, i) for i, part in enumerate(body.split("|"))), skips
    return _parse_csv(body), skips


def _unquote(text: str) -> str:
    """Strip space and matching quotes around the whole text, as copying from files and shells leaves them."""
    text = text.strip()
    while len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0]:
        text = text[1:-1].strip()
    return text


def _parse_skips(text: str) -> Skips:
    skips = []
    for part in re.split(r"[,;]|(?<=\d)\s+(?=\d+\s*>)", text.strip().strip(_QUOTES)):
        match = _SKIP.fullmatch(part)
        if not match:
            raise UsageError(f"cannot read the skip {part.strip()!r}; after '@' write for example '0>2, 1>3'")
        skips.append((int(match[1]), int(match[2])))
    return tuple(skips)


def _parse_block(text: str, index: int) -> Block:
    halves = [part.partition(":") for part in text.split("+")]
    # A sign may stand before an input value, and '+' separates the halves: '+1:x' would be three parts.
    if len(halves) != 2 or not all(colon for _, colon, _ in halves):
        raise UsageError(f"cannot read block {index} {text.strip()!r}; write 'input:operator + input:operator'")
    (a, _, op1), (b, _, op2) = halves
    return Block(_whole(a, index), _name(op1), _whole(b, index), _name(op2))


def _whole(item: object, index: int) -> int:
    if isinstance(item, bool) or not (isinstance(item, str) or hasattr(item, "__index__")):
        raise UsageError(f"block {index}: an input is a whole number, not {item!r}")
    try:
        return int(item.strip() if isinstance(item, str) else item)
    except ValueError:
        raise UsageError(f"block {index}: an input is a whole number, not {str(item).strip()!r}") from None


def _name(item: object) -> str:
    # spaces within a name may have been broken over lines in a copied text
    return " ".join(item.strip().strip(_QUOTES).split()) if isinstance(item, str) else item  # type: ignore[return-value]


def from_items(items: Sequence[object]) -> Blocks:
    """Read blocks from a flat list of inputs and operators; see `Cell.from_list`."""
    if not items or len(items) % 4:
        raise UsageError(f"a cell has four items a block (input, operator, input, operator), not {len(items)} in all")
    blocks = []
    for i in range(0, len(items), 4):
        a, op1, b, op2 = items[i : i + 4]
        blocks.append(Block(_whole(a, i // 4), _name(op1), _whole(b, i // 4), _name(op2)))
    return tuple(blocks)


def _parse_csv(body: str) -> Blocks:
    fields = [_unquote(field.strip().strip(_QUOTES)) for field in body.split(",")]  # names hold no commas or quotes
    if len(fields) % 4 == 1 and len(fields) > 1:  # the count tells a row of the history from a bare cell
        _check_reward(fields.pop(0))
    if len(fields) < 4:
        raise UsageError(f"cannot read {body!r} as a cell; write for example '-1:3x3 dconv + -1:identity'")
    return from_items(fields)


def _check_reward(field: str) -> None:
    try:
        float(field)
    except ValueError:
        raise UsageError(f"the first of these CSV fields should be a reward, not {field!r}") from None


def _parse_brackets(body: str, space: CellSpace | None) -> Blocks:
    groups = _numeric_groups(body)
    if groups is not None:
        return _parse_representation(groups, space)
    inner = body.replace("\\n", " ").strip("[]() \t\r\n,")
    return from_items([part.strip() for part in inner.split(",")])


def _numeric_groups(body: str) -> list[list[float]] | None:
    """Return the numbers of each innermost ``[…]``, or ``None`` where this is no representation string."""
    groups = []
    for match in _GROUP.finditer(body):
        try:
            groups.append([float(x) for x in match[1].replace("\\n", " ").replace(",", " ").split()])
        except ValueError:
            return None
    return groups if groups and _BETWEEN.fullmatch(_GROUP.sub(" ", body)) else None


def _parse_representation(groups: list[list[float]], space: CellSpace | None) -> Blocks:
    if space is None:
        raise UsageError("a representation string can only be read with its search space: give one", "space")
    if len(groups) % 4:
        raise UsageError(f"a representation string has four one-hot groups a block, not {len(groups)} in all")
    values, operators = space.inputs(space.B), space.operators
    items: list[object] = []
    for i, group in enumerate(groups):
        place = _hot_place(group, i)
        # The old systems allot one input more than any block can read when cells have several inputs.
        widths = {len(operators)} if i % 2 else {len(values), len(values) + 1}
        known: Sequence[object] = operators if i % 2 else values
        if len(group) not in widths or place >= len(known):
            kind = "operators" if i % 2 else f"inputs at B={space.B}"
            raise UsageError(f"one-hot group {i} has {len(group)} entries, but the space has {len(known)} {kind}")
        items.append(known[place])
    return from_items(items)


def _hot_place(group: list[float], index: int) -> int:
    hot = [i for i, x in enumerate(group) if x]
    if len(hot) != 1 or group[hot[0]] not in (1, hot[0] + 1):
        raise UsageError(f"one-hot group {index} {group} must hold a single 1, or a single index + 1, and zeros")
    return hot[0]
