"""One sweep over a program for each of several seeds: the steps of a loop, so the program does not grow with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autograd.ir.block import NUMBER, Array, Loop, Program, types_of, with_inputs
from autograd.ir.builder import Builder
from autograd.ir.derive.derived_loop import Body
from autograd.ir.derive.forward import forward
from autograd.ir.derive.messages import mapped_rewriters
from autograd.ir.derive.reverse import reverse
from autograd.ir.rewrite import with_bodies


def without_guards(program: Program) -> Program:
    """A copy for a program that has the guards elsewhere."""
    return replace(with_bodies(program, without_guards), guards=[])


def as_steps(program: Program, steps: int) -> Loop:
    """A loop whose steps all do what a program does; the inputs of the program are shared."""
    order = range(-1, len(program.inputs))  # the counter comes first
    code = with_inputs(program.code, order)
    body = Program(code, program.outputs, (NUMBER, *program.inputs), [])
    return Loop(body, steps, len(program.inputs), kinds=("each",) * len(program.outputs))


def started(program: Program) -> tuple[Builder, list[int]]:
    """A builder with the code, the inputs and the guards of a program, and where its values are."""
    builder = Builder(mapped_rewriters())
    for kind in program.inputs:
        builder.input(kind)
    place = builder.replay(program.code, range(len(program.inputs)), merged=False)
    builder.guards = [g._replace(value=place[g.value]) for g in program.guards]
    return builder, place


def sweeps(
    program: Program, seeds: Mapping[int, Sequence[float]], steps: int, wanted: Sequence[int] | None = None
) -> tuple[Program, list[int]]:
    """A program with the results of one sweep for each step.

    Parameters
    ----------
    program : Program
        What is differentiated.
    seeds : mapping
        Input → its tangents, or output → its adjoints, those of each step one after the other. A seed of 0 is none.
    steps : int
        How many sweeps there are.
    wanted : sequence of int, optional
        For reverse sweeps: the inputs whose adjoints are the results. Without it, the sweeps are forward ones, and the
        results the tangents of the outputs.

    Returns
    -------
    (program, found)
        Its outputs are arrays with a row for each step; `found` tells of each which output (or input) it belongs to.
        The others have no derivative.
    """
    builder, _ = started(program)
    body = Body(builder, as_steps(without_guards(program), steps), False, None)
    made, inner = body.made, body.inner
    body.inputs += [made.shared(k) for k in range(len(program.inputs))]
    places: dict[int, int] = {}
    types = types_of(program)
    for k, numbers in seeds.items():
        kind = program.inputs[k] if wanted is None else types[program.outputs[k]]
        shape = (steps, *(kind.shape if isinstance(kind, Array) else ()))
        places[k] = made.element(builder.emit("table", (), (shape, tuple(numbers))))
        inner.gaps.add(places[k])
    body.copy()
    with inner.watched():
        if wanted is None:
            outputs = [body.output(k) for k in range(len(program.outputs))]
            derivatives = forward(inner, {body.inputs[k + 1]: seed for k, seed in places.items()}, outputs)
            ends = outputs
        else:
            starts: dict[int, int] = {}
            for k, seed in places.items():
                at = body.output(k)
                starts[at] = inner.emit("add", (starts[at], seed)) if at in starts else seed
            ends = [body.inputs[k + 1] for k in wanted]
            derivatives = reverse(inner, starts, ends)
    found = [k for k, at in enumerate(ends) if at in derivatives]
    loop = made.finish([], [(derivatives[ends[k]], "each") for k in found])
    items = [builder.emit("item", (loop,), k) for k in range(len(found))]
    return builder.program(items), [k if wanted is None else wanted[k] for k in found]
