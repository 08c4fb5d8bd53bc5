"""Whether two programs are equal in all that the verifier looks at: most passes leave most programs as they were."""

from dataclasses import fields
from itertools import chain
from typing import Any

from autograd.ir.block import Loop, Program

HERE = ("outputs", "inputs", "guards")
OF_LOOPS = [field.name for field in fields(Loop) if field.name not in ("body", "primal", "known_types")]


def same_program(new: Program, verified: Program) -> bool:
    """Whether all instructions, outputs, inputs and guards of two programs are equal, those of their loops too.

    What a loop is a derivative of may differ. A new program with an operand that is not an int is never the same.
    """
    if new is verified:
        return True
    if len(new.code) != len(verified.code) or any(getattr(new, name) != getattr(verified, name) for name in HERE):
        return False
    for a, b in zip(new.code, verified.code):
        if a is not b and (a.op != b.op or a.operands != b.operands or not _same_data(a.data, b.data)):
            return False
    return {int} >= {*map(type, chain.from_iterable([a.operands for a in new.code]))}  # 1 == 1.0


def _same_data(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Loop) and isinstance(other, Loop):
        return same_program(one.body, other.body) and all(getattr(one, x) == getattr(other, x) for x in OF_LOOPS)
    return type(one) is type(other) and bool(one == other)
