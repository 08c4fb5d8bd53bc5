"""Sums over the steps of a loop in lanes whose terms are products of few factors, as in machine code.

The steps of two blocks only keep the factors. Then the products of both blocks are added to each sum, in loops where
factors and sums are evenly spaced. See `lower/rows/sums`.
"""

from __future__ import annotations

from typing import NamedTuple

from autograd.compiler.export.expressions import LANE, Affine, View
from autograd.compiler.export.lanes import MOST
from autograd.compiler.lower.rows.sums import SAVING, Factors
from autograd.ir.block import Loop


class Kept(NamedTuple):
    """The factors that steps keep.

    Attributes
    ----------
    sums : list of (int, int or None)
        The factors of each sum, as values of the body.
    order : dict
        Factor → its index in the array.
    base : str
        The array for the factors of two blocks.
    half : str
        The variable that is 0 in the first of two blocks and 1 in the second.
    """

    sums: list[Factors]
    order: dict[int, int]
    base: str
    half: str

    def products(self, loop: Loop) -> list[int]:
        """The products; the steps do not compute them."""
        outs = zip(loop.body.outputs[loop.handed :], loop.kinds)
        values = [o for o, kind in outs if kind == "sum"]
        return [o for o, (_, other) in zip(values, self.sums) if other is not None]

    def here(self, value: int) -> View:
        """Where this block keeps a factor."""
        start = Affine(MOST * self.order[value], ((self.half, MOST * len(self.order)), (LANE, 1)))
        return View(self.base, start, (), ())

    def of(self, value: int, block: int) -> View:
        """Where one of the two blocks keeps a factor."""
        return View(self.base, Affine(MOST * (self.order[value] + block * len(self.order)), ((LANE, 1),)), (), ())


def factors_of(loop: Loop) -> tuple[list[Factors], dict[int, int]] | None:
    """The factors of each sum, and all factors with their indices; None if there are too many."""
    body = loop.body
    uses = body.uses()
    sums: list[Factors] = []
    for value in [o for o, kind in zip(body.outputs[loop.handed :], loop.kinds) if kind == "sum"]:
        op, operands, _ = body.code[value]
        sums.append((operands[0], operands[1]) if op == "mul" and uses[value] == 1 else (value, None))
    factors = dict.fromkeys([x for pair in sums for x in pair if x is not None])
    if loop.accumulators or SAVING * len(factors) > len(sums):
        return None
    return sums, {x: k for k, x in enumerate(factors)}
