"""Maps fused with their sweeps: any composition of maps compiles and gives the eager results."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import grad, hessian, jit, value_and_grad, vmap
from autograd.ir.block import Instruction, Program
from autograd.ir.passes import simplify

pytestmark = pytest.mark.slow

X = [0.3, -0.7, 1.1, 0.6]
SMOOTH = (am.tanh, am.sin, am.sigmoid, lambda a: a * a, lambda a: am.log(a * a + 1.0))
TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "gradient": lambda f: value_and_grad(f, argnums=(0, 1)),
    "hessian": hessian,
}


def composition(seed: int) -> Callable[[Any, Any], Any]:
    """A random composition of reduced and other maps over one list of rows or over each other's results."""

    def function(w: Any, x: Any) -> Any:
        draw = random.Random(seed)
        scalars, columns = [w, w * 0.5 + 0.2], [x]
        for _ in range(draw.randint(2, 4)):
            inner = [draw.choice(SMOOTH) for _ in range(2)]
            shared = [draw.choice(scalars) for _ in range(2)]
            rows = [draw.choice(columns) for _ in range(draw.randint(1, 2))]
            form = draw.randrange(3)

            def row(*row: Any, inner: Any = inner, shared: Any = shared, form: int = form) -> Any:
                a, b = row[0], row[-1]
                if form == 0:
                    return inner[0](shared[0] * a) * b
                return inner[0](a * b + shared[0]) if form == 1 else shared[0] * a * a + inner[1](b) * shared[1]

            kind = draw.choice(["sum", "mean", None])
            found = vmap(row, reduce=kind)(*rows)
            if kind is None:
                columns.append(found)
            else:
                scalars.append(found * draw.choice(scalars) if draw.random() < 0.6 else draw.choice(SMOOTH)(found))
        return sum(a * b for a, b in zip(scalars[1:], [*scalars[2:], scalars[0]])) + am.dot(columns[-1], columns[0])

    return function


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("part", range(4))
def test_random_compositions(transform: str, part: int) -> None:
    """Compiled programs of maps give the eager numbers, no matter which maps can be fused with their sweeps."""
    for seed in range(25 * part, 25 * (part + 1)):
        function = TRANSFORMS[transform](composition(seed))
        expected, actual = (flat(f(0.4, X)) for f in (function, jit(function)))
        assert expected == pytest.approx(actual, rel=1e-11, abs=1e-11), seed


def flat(tree: Any) -> list[float]:
    """All numbers of nested sequences."""
    return [y for part in tree for y in flat(part)] if isinstance(tree, (list, tuple)) else [tree]


def test_maps_whose_sweeps_need_each_other() -> None:
    """The sweep of each factor has the other factor as its seed, so only one of the two maps can be fused."""

    def function(w: Any, x: Any) -> Any:
        first, second = vmap(lambda a: w * a, reduce="mean"), vmap(lambda a: w * a * a, reduce="mean")
        return first(x) * second(x)

    compiled = jit(value_and_grad(function))
    expected = value_and_grad(function)(0.3, X)
    assert expected == pytest.approx(compiled(0.3, X), rel=1e-14)
    assert 3 == compiled.program().count(" in 0..")


def test_a_map_that_cannot_be_fused_does_not_keep_others_from_it() -> None:
    """The sweep of the squared factor needs that factor itself; the other map is still fused with its own sweep."""

    def function(w: Any, x: Any) -> Any:
        other, squared = vmap(lambda a: am.sin(w * a), reduce="sum"), vmap(lambda a: w * a * a, reduce="sum")
        return other(x) * squared(x) ** 2

    compiled = jit(value_and_grad(function))
    assert value_and_grad(function)(0.3, X) == pytest.approx(compiled(0.3, X), rel=1e-14)
    assert 3 == compiled.program().count(" in 0..")


def test_independent_maps_are_fused() -> None:
    """If the seeds of the sweeps need no result of a map, its sweep computes it; maps over one array are one loop."""

    def function(w: Any, x: Any) -> Any:
        first, second = vmap(lambda a: am.sin(w * a), reduce="mean"), vmap(lambda a: w * a * a, reduce="mean")
        return first(x) + second(x)

    compiled = jit(value_and_grad(function))
    assert value_and_grad(function)(0.3, X) == pytest.approx(compiled(0.3, X), rel=1e-14)
    assert 1 == compiled.program().count(" in 0..")


def test_steps_with_inner_gradients() -> None:
    """A loop of gradient steps on a product of maps, and its own gradient."""

    def descend(w: Any, x: Any) -> Any:
        def loss(w: Any) -> Any:
            return vmap(lambda a: am.tanh(w * a), reduce="mean")(x) * vmap(lambda a: w * a * a, reduce="mean")(x)

        for _ in range(4):
            w = w - 0.1 * grad(loss)(w)
        return loss(w)

    step = value_and_grad(descend, argnums=(0, 1))
    (value, (dw, dx)), (expected, (ew, ex)) = jit(step)(0.3, X), step(0.3, X)
    assert (pytest.approx(expected, rel=1e-12), pytest.approx(ew, rel=1e-12)) == (value, dw)
    assert np.array(ex) == pytest.approx(np.array(dx), rel=1e-11)


def test_a_cycle_is_an_error() -> None:
    """A program that depends on itself is refused; the search ends."""
    code = [Instruction("input", (), 0), Instruction("add", (0, 2)), Instruction("neg", (1,))]
    with pytest.raises(ValueError, match=r"v1 = add depends on itself"):
        simplify.in_order_of_need(Program(code, [1], 1))
