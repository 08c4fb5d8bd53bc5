"""copy.copy and copy.deepcopy in functions that are differentiated: the gradient passes through the copy."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, checkpoint, compile_graph, grad, hessian, hvp, jacobian, jit, jvp, value_and_grad, vjp, vmap
from nn import MLP

DERIVATIVES = {
    "grad": grad,
    "value_and_grad": value_and_grad,
    "rev": lambda f: jacobian(f, mode="rev"),
    "fwd": lambda f: jacobian(f, mode="fwd"),
    "jvp": lambda f: lambda x: jvp(f, (x,), (1.0,)),
    "vjp": lambda f: lambda x: vjp(f, x)[1](1.0)[0],
    "hessian": hessian,
    "hvp": lambda f: lambda x: hvp(f)(x, 1.0),
    "third": lambda f: grad(grad(grad(f))),
    "vmap": lambda f: lambda x: vmap(grad(f))([x, 2.0 * x, 3.0 * x, 4.0 * x]),
}


@dataclass
class Pair:
    """Two numbers."""

    first: Any
    second: Any


class Matrix(list[list[Any]]):
    """A matrix whose minors are deep copies without a row and a column, as in some packages."""

    def minor(self, row: int, column: int) -> "Matrix":
        """The matrix without a row and a column."""
        rest = copy.deepcopy(self)
        del rest[row]
        for line in rest:
            del line[column]
        return rest

    def determinant(self) -> Any:
        """Laplace's expansion along the first row."""
        if len(self) == 1:
            return self[0][0]
        return sum((-1.0) ** j * x * self.minor(0, j).determinant() for j, x in enumerate(self[0]))


class Named(Value):
    """A subclass with an attribute."""


def computed(x: Any, again: Any) -> Any:
    """A copy of a number computed from the input."""
    return again(x * x) * x


def shared(x: Any, again: Any) -> Any:
    """A Value that is twice in a tree is one Value in the copy."""
    z = 2.0 * x
    both = again({"a": [z, z], "b": Pair(z, (x, None)), "c": np.array([z, x])})
    assert again is copy.copy or both["a"][0] is both["a"][1] is both["b"].first
    return both["a"][0] * both["a"][1] * both["b"].second[0] + (both["c"] * both["c"]).sum()


def determinant(x: Any, again: Any) -> Any:
    """A determinant by deep copies, as a package computes it."""
    return Matrix([[x, x * x, 1.0], [2.0, am.exp(x), x], [x, 0.5, x * x]]).determinant() + again(x)


def within(x: Any, again: Any) -> Any:
    """Copies inside a map and inside a checkpoint."""
    rows = vmap(lambda t: again(t * x) * t, reduce="sum")([x, 2.0 * x, 1.0, 2.0, 3.0])
    return rows * checkpoint(lambda t: again(t * t) * again(x))(x)


PLAIN = {
    computed: lambda x: x * x * x,
    shared: lambda x: 4.0 * x * x * x + (4.0 * x * x + x * x),
    determinant: lambda x: (
        x * (am.exp(x) * x * x - 0.5 * x) - x * x * (2.0 * x * x - x * x) + (1.0 - x * am.exp(x)) + x
    ),
    within: lambda x: (x**3 + 4.0 * x**3 + 14.0 * x) * x**3,
}


@pytest.mark.slow
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("function", PLAIN, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", DERIVATIVES)
def test_as_without_the_copy(name: str, function: Any, again: Any) -> None:
    """Every transform, eager and compiled, gives the derivatives of the function without copies."""
    derive = DERIVATIVES[name]
    expected = np.ravel(derive(PLAIN[function])(1.3))
    once = lambda x: function(x, again)  # noqa: E731
    assert np.ravel(derive(once)(1.3)) == pytest.approx(expected, rel=1e-11)
    assert np.ravel(jit(derive(once))(1.3)) == pytest.approx(expected, rel=1e-11)
    assert np.ravel(derive(jit(once))(1.3)) == pytest.approx(expected, rel=1e-11)


def test_compiled_at_the_top_level_first() -> None:
    """A function compiled first where copies are leaves keeps its gradient inside transforms, and the reverse."""
    f = jit(lambda x: copy.deepcopy(x * x) * x)
    for _ in range(2):
        x = Value(3.0)
        f(x).backward()
        assert 9.0 == x.grad
        assert 27.0 == grad(f)(3.0)
        assert 18.0 == grad(grad(f))(3.0)


def test_closed_over_values() -> None:
    """Copies of Values that a function closes over: eager and compiled agree, inside transforms and outside."""
    w = Value(3.0)

    def outer(x: Any) -> Any:
        return grad(lambda t: copy.deepcopy(w * t) * copy.copy(w) * t)(x)

    for f in (outer, jit(outer)):
        w.grad = 0.0
        y = f(Value(2.0))
        y.backward()
        assert (36.0, 24.0) == (y.data, w.grad)  # 2 t w² by w
    for f in (lambda x: copy.deepcopy(w * w) * w * x, jit(lambda x: copy.deepcopy(w * w) * w * x)):
        w.grad = 0.0
        f(Value(2.0)).backward()
        assert 18.0 == w.grad  # the copy's gradient belongs to the copy


def test_checkpoint_at_the_top_level() -> None:
    """What checkpoint keeps of a function's graph includes its copies."""
    x = Value(3.0)
    checkpoint(lambda t: copy.deepcopy(t * t) * copy.copy(t))(x).backward()
    assert 27.0 == x.grad


def test_a_copy_of_a_model() -> None:
    """If a loss copies a module, the model still gets its gradient."""
    model = MLP(2, [3, 1], activation="tanh", seed=1)

    def loss(model: Any) -> Any:
        return copy.deepcopy(model)([0.5, -0.3]) ** 2

    plain = grad(lambda model: model([0.5, -0.3]) ** 2)(model)
    for gradient in (grad(loss), jit(grad(loss))):
        found = [p.data for p in gradient(model).parameters()]
        assert found == pytest.approx([p.data for p in plain.parameters()], rel=1e-12)
        assert any(found)


def test_a_copy_is_a_new_node() -> None:
    """Inside a transform a copy is a computed node: its data cannot be assigned, and the original keeps its label."""

    def f(x: Value) -> Value:
        x.label = "x"
        twin = copy.deepcopy(x)
        assert twin is not x
        assert "x" == twin.label
        with pytest.raises(AttributeError, match="computed node"):
            twin.data = 1.0
        twin.label = "y"
        assert "x" == x.label
        return twin * x

    assert 6.0 == grad(f)(3.0)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_subclass(again: Any) -> None:
    """A copy of a subclass instance has its class, its attributes (which may refer to the node) and the gradient."""
    weight = Named(3.0)
    weight.unit, weight.own = ["kg"], weight  # type: ignore[attr-defined]

    def f(x: Any) -> Any:
        twin = again(weight)
        assert type(twin) is Named
        assert ["kg"] == twin.unit
        assert (twin.unit is weight.unit) == (again is copy.copy)  # type: ignore[attr-defined]
        assert twin.own is (weight if again is copy.copy else twin)
        return twin * x * x

    y = grad(f)(Value(2.0))
    y.backward()
    assert (12.0, 4.0) == (y.data, weight.grad)
    assert 12.0 == grad(lambda x: checkpoint(f)(x))(2.0)
    del weight.own  # type: ignore[attr-defined]


def test_at_the_top_level_copies_are_graphs_of_their_own() -> None:
    """Outside transforms a deep copy is a separate graph, and a shallow copy is a second node on the same operands."""
    x = Value(3.0)
    y = x * x
    twin = copy.deepcopy(y)
    twin.backward()
    assert (0.0, 6.0) == (x.grad, twin.parents[0].grad)
    assert (x, x) == copy.copy(y).parents
    assert () == copy.deepcopy(x).operands
    compiled = compile_graph(copy.deepcopy(y), [x])
    assert 9.0 == compiled(4.0)  # the copy is another graph
