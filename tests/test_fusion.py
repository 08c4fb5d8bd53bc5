"""Maps fused into one loop: the same program, whatever the order of what stands between them."""

import random
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import jit, vmap
from autograd.ir.block import Program, loops
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.passes import simplify
from autograd.ir.passes.fusion import fused
from autograd.ir.roll.rolling import rolled
from autograd.ir.verify import verify

N = 70


def captured(function: Any, x: Any) -> Program:
    """The program of a function, with its loops found."""
    fast = jit(function)
    fast(x)
    return simplify.simplify(rolled(fast.paths()[0].captured))


def whole_arrays(x: Any) -> Any:
    """NumPy's operations on whole arrays, some on shifted ones, and a sum in between."""
    u, v = x[:N], x[N:]
    a = u * v + am.sin(1.0)
    b = np.concatenate([a[:1], a[:-1]]) * np.sin(u) + a
    total = np.sum(b * b)
    c = (b - total) * np.cos(a)
    return [*(c[1:] * b[:-1]), total]


def composed(seed: int) -> Any:
    """A random composition of maps, sums and shifts."""

    def function(x: Any) -> Any:
        draw = random.Random(seed)
        arrays, numbers = [x[:N], x[N:]], [2.0]
        for _ in range(8):
            one, other, number = draw.choice(arrays), draw.choice(arrays), draw.choice(numbers)
            kind = draw.randrange(5)
            if kind == 0:
                numbers.append(vmap(lambda a, s: a * s, in_axes=(0, None), reduce="sum")(one, number))
            elif kind == 1:
                arrays.append(np.concatenate([one[3:], one[:3]]))
            elif kind == 2:
                found = vmap(lambda a, b: (a + b, am.sin(a) * b))(one, other)
                arrays += found
            else:
                arrays.append(vmap(lambda a, b, s: a * s - b, in_axes=(0, 0, None))(one, other, number))
        return [*arrays[-1], *arrays[-2], *numbers]

    return function


@pytest.mark.parametrize("function", [whole_arrays, *[composed(seed) for seed in range(12)]])
def test_a_fused_program_computes_the_same(function):
    """To the last bit, and the verifier finds nothing."""
    x = np.linspace(0.2, 1.4, 2 * N)
    program = captured(function, x)
    together = verify(simplify.simplify(fused(program)))
    assert len(list(loops(together))) <= len(list(loops(program)))
    given = [x.tolist()]
    assert flat(evaluate(program, given)[0]) == flat(evaluate(together, given)[0])


def test_operations_on_whole_arrays_are_one_loop():
    """A chain of them, through a shift: one loop before it and one after."""

    def function(x):
        return np.exp(np.sin(x * x) + 2.0 * x) / (1.0 + x)

    program = captured(function, np.linspace(0.0, 1.0, 300))
    assert len(list(loops(program))) > 3
    assert 1 == len(list(loops(simplify.simplify(fused(program)))))
