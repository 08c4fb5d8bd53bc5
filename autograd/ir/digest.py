"""A digest of all that passes and lowering can see of a program."""

from __future__ import annotations

import hashlib
import marshal
from typing import Any

from autograd.ir.block import Array, Loop, Program, Window, calls_python

PLAIN = 2  # the last format of `marshal` that tells nothing of which objects are shared


def digest(program: Program) -> str | None:
    """Equal for programs that become the same machine code, whose names and lines may differ.

    None for a program that calls rules written in Python: other processes have other ones under the same names.

    Examples
    --------
    >>> from autograd import rules
    >>> from autograd.ir.builder import Builder
    >>> def scaled(by):
    ...     builder = Builder()
    ...     return builder.program([builder.apply(rules.mul, [builder.input(), builder.constant(by)])])
    >>> digest(scaled(2.0)) == digest(scaled(2.0)), digest(scaled(0.0)) == digest(scaled(-0.0))
    (True, False)
    """
    if calls_python(program.code):
        return None
    return hashlib.sha256(marshal.dumps(_Plain().program(program), PLAIN)).hexdigest()


class _Plain:
    """Writes programs as tuples. Passes tell loops and their bodies apart by identity, so each is written once."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.keep: list[Any] = []  # what has a number lives as long as the numbers

    def program(self, program: Program) -> Any:
        if (known := self._number(program)) is not None:
            return known
        code = program.code
        guards = [(guard.value, guard.expected) for guard in program.guards]
        data = [self.data(i[2]) if i[2] is not None else None for i in code]
        inputs = [self.data(kind) for kind in program.inputs]
        return [i[0] for i in code], [i[1] for i in code], data, list(program.outputs), inputs, guards

    def data(self, data: Any) -> Any:
        """What an instruction has besides operands."""
        if isinstance(data, Loop):
            return self.loop(data)
        if isinstance(data, Window):
            return type(data).__name__, *data
        return ("array", data.shape) if isinstance(data, Array) else data

    def loop(self, loop: Loop) -> Any:
        if (known := self._number(loop)) is not None:
            return known
        sizes = loop.shared, loop.carries, loop.accumulators, loop.stored
        primal = None if loop.primal is None else self.loop(loop.primal)
        return self.program(loop.body), loop.extent, sizes, loop.kinds, loop.backwards, primal, loop.test

    def _number(self, thing: Any) -> int | None:
        """Its number, if it was written before."""
        number = self.known.setdefault(id(thing), len(self.keep))
        if number < len(self.keep):
            return number
        self.keep.append(thing)
        return None
