"""One block of a cell as plain, immutable data."""

from __future__ import annotations

from dataclasses import dataclass

from pronas.errors import UsageError
from pronas.space._names import check_operator_name


@dataclass(frozen=True, order=True)
class Block:
    """One block: two inputs, each under an operator; the two results are combined (arXiv 1712.00559, section 3.1).

    Input values: negative is an earlier cell (-1 the previous one), 0, 1, … an earlier block of this cell. In flat
    cells 0 is the cell's own input and v >= 1 is block v - 1.

        >>> print(Block(-1, "3x3 dconv", -2, "identity"))
        -1:3x3 dconv + -2:identity

    Attributes:
        input1, input2: values, whole numbers; whether a cell may hold them is checked by `Cell`.
        operator1, operator2: names; whether they are registered is checked by a space.

    Raises:
        UsageError: an input that is no whole number, or a name that cannot stand in a cell's text.
    """

    input1: int
    operator1: str
    input2: int
    operator2: str

    def __post_init__(self) -> None:
        for name, value in (("input1", self.input1), ("input2", self.input2)):
            if type(value) is int:
                continue
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise UsageError(f"a block's input is a whole number, not {value!r}")
            object.__setattr__(self, name, int(value))
        check_operator_name(self.operator1)
        check_operator_name(self.operator2)

    @property
    def halves(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """The two ``(input, operator)`` pairs."""
        return (self.input1, self.operator1), (self.input2, self.operator2)

    def __str__(self) -> str:
        return f"{self.input1}:{self.operator1} + {self.input2}:{self.operator2}"
