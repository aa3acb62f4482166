"""Names of operators. Only names live here, because a space checks them; what they build is the networks' business."""

from __future__ import annotations

import re

from pronas.errors import UsageError, nearest

_FLOAT = (
    *("3x3 dconv", "5x5 dconv", "7x7 dconv", "1x7-7x1 conv"),
    *("3x3 conv", "5x5 conv", "7x7 conv", "3x3 dilated conv", "3x3-3x3 conv", "none"),
    *("3x3 mbconv3", "3x3 mbconv6", "5x5 mbconv3", "5x5 mbconv6"),
)
_BINARY = (
    *("3x3 bconv", "5x5 bconv", "7x7 bconv", "1x7-7x1 bconv"),
    *("3x3 sep-bconv", "5x5 sep-bconv", "7x7 sep-bconv"),
)
_BOTH = ("3x3 maxpool", "3x3 avgpool", "identity", "linear")

#: The eight operators of the paper (arXiv 1712.00559, section 3.1); what ``operators=None`` means.
PAPER_OPERATORS: tuple[str, ...] = (
    *("3x3 dconv", "5x5 dconv", "7x7 dconv", "1x7-7x1 conv"),
    *("identity", "3x3 avgpool", "3x3 maxpool", "3x3 dilated conv"),
)

#: What residual cells are made of: the blocks of ResNet, MobileNet and MobileNetV2, the shortcut, pools.
RESIDUAL_OPERATORS: tuple[str, ...] = (
    *("3x3-3x3 conv", "3x3 conv", "3x3 dconv", "5x5 dconv"),
    *("3x3 mbconv3", "5x5 mbconv3", "identity", "3x3 maxpool", "3x3 avgpool"),
)

#: The ten operators of binarized cells: every kind of binary layer, both pools, and the shortcut.
BINARY_OPERATORS: tuple[str, ...] = (*_BINARY, "3x3 maxpool", "3x3 avgpool", "linear")

#: Second names of operators: the old binarized system says ``linear`` where the paper says ``identity``.
_SYNONYMS = {"linear": "identity"}

#: name -> True (binary only), False (full precision only), None (both)
_known: dict[str, bool | None] = {
    **dict.fromkeys(_FLOAT, False),
    **dict.fromkeys((*_BINARY, "3x3-3x3 bconv"), True),
    **dict.fromkeys(_BOTH, None),
}

# These characters separate the parts of the text forms, so a name that held one could not be read back.
_FORBIDDEN = re.compile(r"[|+:@,'\"`\[\]\\]|[^\S ]|[\x00-\x1f\x7f]")

_sound: set[str] = set()  # names that passed: they are checked again for every block


def check_operator_name(name: object) -> str:
    """Return ``name`` when it can stand in every text form of a cell.

    Raises:
        UsageError: not a string, no letter in it, spaces at an end or two together, or one of ``| + : @ , [ ]``, a
            quote, a backslash, a line break or another control character.
    """
    if not isinstance(name, str):
        raise UsageError(f"an operator's name is a string, not {type(name).__name__} {name!r}")
    if name in _sound:
        return name
    bad = _FORBIDDEN.search(name)
    if bad:
        raise UsageError(f"operator name {name!r} holds {bad[0]!r}, which separates the parts of a cell's text")
    if name != " ".join(name.split()) or not any(c.isalpha() for c in name):
        raise UsageError(f"operator name {name!r} needs a letter and single spaces within, for example '3x3 dconv'")
    _sound.add(name)
    return name


def operator_names(binary: bool | None = None) -> tuple[str, ...]:
    """Return the known operators' names in order of registration.

        >>> "3x3 bconv" in operator_names(binary=True), "3x3 bconv" in operator_names(binary=False)
        (True, False)

    Args:
        binary: ``True``: those usable in binarized cells; ``False``: in full precision; ``None``: all.

    Returns:
        The names.
    """
    return tuple(name for name, kind in _known.items() if binary is None or kind is None or kind == binary)


def operator_is_binary(name: str) -> bool | None:
    """Return ``True`` for a binary-only operator, ``False`` for a full-precision one, ``None`` for one that is both.

        >>> operator_is_binary("3x3 bconv"), operator_is_binary("3x3 conv"), operator_is_binary("identity")
        (True, False, None)

    Args:
        name: of a registered operator.

    Raises:
        UsageError: the operator is not known.
    """
    return _known[known_operator(name)]


def register_operator(name: str, binary: bool | None = None) -> None:
    """Make a user's operator known to spaces. Registering the same name again replaces what was said of it.

    Only the name: `pronas.operator` registers what it builds, and calls this.

        >>> register_operator("my operator", binary=False)
        >>> "my operator" in operator_names(binary=False)
        True

    Args:
        name: see `check_operator_name` for what a name may hold.
        binary: ``True``: only for binarized cells; ``False``: only for full precision; ``None``: both.

    Raises:
        UsageError: the name cannot stand in a cell's text.
    """
    _known[check_operator_name(name)] = binary


def canonical_operator(name: str) -> str:
    """Return the name by which an operator is compared: ``identity`` for ``linear``, any other name as it is.

        >>> canonical_operator("linear"), canonical_operator("3x3 conv")
        ('identity', '3x3 conv')

    Args:
        name: registered or not.
    """
    return _SYNONYMS.get(name, name)


def known_operator(name: str) -> str:
    """Return ``name`` if it is registered.

    Raises:
        UsageError: it is not; the message names the nearest known one.
    """
    if check_operator_name(name) not in _known:
        hint = nearest(name, _known) or "; known are " + ", ".join(_known)
        raise UsageError(f"unknown operator {name!r}{hint} (register your own with @pronas.operator)")
    return name
