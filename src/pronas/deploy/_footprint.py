"""Flash and RAM of a network as exported C, known before it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from pronas.deploy._targets import Target, target
from pronas.deploy.integer import integer_footprint
from pronas.deploy.packed import packed_footprint
from pronas.errors import UsageError
from pronas.networks import NetworkPlan


@final
@dataclass(frozen=True)
class Footprint:
    """What exported C takes: int8, of binary networks bits.

    Attributes:
        constants: bytes of weights, biases, multipliers, thresholds and the operation table; exact on every processor
            (of binary networks but for logits that a training makes equal by rounding: `packed_footprint`).
        code: bytes of the functions, from the target's table: as gcc 12.2 makes them at -Os.
        ram: bytes of static memory (the arena); exact. The stack is not in it: below 768 bytes.
    """

    constants: int
    code: int
    ram: int

    @property
    def flash(self) -> int:
        """Constants and code."""
        return self.constants + self.code


def footprint(plan: NetworkPlan, on: str | Target = "cortex-m4") -> Footprint:
    """Flash and RAM of the C that `export` would write of a network with this plan, trained however.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> plan = skeleton("flat", filters=(8, 16)).plan(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 32, 32), 10)
        >>> found = footprint(plan, "cortex-m4")
        >>> found.constants, found.ram, found.flash == found.constants + found.code
        (3032, 6656, True)

    Args:
        plan: `Skeleton.plan(cell, input_shape, classes)`; int8 C of full precision, C of bits of binary networks.
        on: a board or processor (`target_names`).

    Returns:
        Bytes of constants, of code and of static memory.

    Raises:
        UsageError: a layer without an integer or packed form, or an unknown target.
    """
    where = target(on) if isinstance(on, str) else on
    if plan.factory.binary:
        constants, ram, functions = packed_footprint(plan)
        return Footprint(constants, where.bits["base"] + sum(where.bits[name] for name in functions), ram)
    constants, ram, kinds = integer_footprint(plan)
    groups = {frozenset(("maxpool", "avgpool")), frozenset(("add", "joined"))}  # kinds that share their code
    single = {kind for kind in kinds if not any(kind in group for group in groups)}
    code = where.code["base"] + sum(where.code.get(kind, 0) for kind in single)
    code += sum(max(where.code.get(kind, 0) for kind in group) for group in groups if group & kinds)
    return Footprint(constants, code, ram)


def check_fits(plan: NetworkPlan, on: str | Target) -> Footprint:
    """`footprint`, where it is within the target's flash and RAM.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> plan = skeleton("flat", filters=(8, 16)).plan(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 32, 32), 10)
        >>> check_fits(plan, "cortex-m4").ram
        6656

    Args:
        plan: as of `footprint`.
        on: a board, or a processor, which has no limits.

    Returns:
        What `footprint` returns.

    Raises:
        UsageError: it is not (the message says by how much and names the largest layer); as `footprint`.
    """
    where = target(on) if isinstance(on, str) else on
    found = footprint(plan, where)
    for what, used, limit in (("flash", found.flash, where.flash), ("RAM", found.ram, where.ram)):
        if limit is not None and used > limit:
            raise UsageError(
                f"{used:,} bytes of {what} are {used - limit:,} more than {where.name} has ({limit:,}); "
                f"the largest layer is {_largest(plan, what)}: fewer filters would do"
            )
    return found


def _largest(plan: NetworkPlan, what: str) -> str:
    from pronas.deploy.integer import largest_node
    from pronas.deploy.packed import largest_op

    if plan.factory.binary:
        return largest_op(plan, weights=what == "flash")
    return largest_node(plan, weights=what == "flash")
