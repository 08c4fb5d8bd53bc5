"""A user's program for type checkers: `tests/test_types.py` checks it strictly, and that wrong lines are found."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import autograd
import autograd.math as am
from autograd import (
    Value,
    checkpoint,
    custom_gradient,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    no_grad,
    scan,
    value_and_grad,
    vjp,
    vmap,
)
from nn import MLP, SGD, mean_squared_error


def area(width: float, height: float = 2.0) -> float:
    """Two numbers, one with a default."""
    return width * height


def length(x: NDArray[np.float64]) -> float:
    """An array."""
    size: float = np.sum(x * x) ** 0.5
    return size


def with_unit(x: float) -> tuple[float, str]:
    """A value, and something besides."""
    return x * x, "m²"


def weighted(model: MLP, weights: list[float]) -> Value:
    """A model and a list."""
    error: Value = mean_squared_error([model([weight]) for weight in weights], weights)
    return error


def anything(x: Any, power: Any) -> Any:
    """Anything."""
    return x**power


# The parameters stay, results are known, and a gradient has the type of its argument.
assert_type(value_and_grad(area)(1.0, height=3.0), tuple[float, float])
assert_type(value_and_grad(area, argnums=1)(1.0, 3.0), tuple[float, Any])
assert_type(value_and_grad(area, argnums=(0, 1))(1.0, 2.0), tuple[float, tuple[float, float]])
assert_type(value_and_grad(area, argnums=[1, 0])(1.0, 2.0), tuple[float, tuple[Any, ...]])
assert_type(value_and_grad(with_unit, has_aux=True)(1.0), tuple[tuple[float, str], float])
assert_type(value_and_grad(weighted)(MLP(1, [1], seed=0), [1.0]), tuple[Value, MLP])
assert_type(grad(with_unit, has_aux=True)(1.0), tuple[float, str])
assert_type(grad(area)(1.0, height=3.0), float)
assert_type(grad(area, argnums=(0, 1))(1.0, 2.0), tuple[float, float])
first = grad(area)
assert_type(grad(first)(1.0), float)
assert_type(grad(length)(np.ones(2)), NDArray[np.float64])
assert_type(grad(am.sin)(0.5), float)
assert_type(grad(anything)(2.0, 3.0), Any)
assert_type(grad(lambda x: x**3)(2.0), Any)
assert_type(grad(grad(lambda x: x**3))(2.0), Any)
matrix: NDArray[np.float64] = hessian(length)(np.ones(2))
row: NDArray[np.float64] = jacobian(length)(np.ones(2))
curvatures: list[list[float]] = hessian(lambda x: x[0] ** 2 * x[1])([3.0, 5.0])
assert_type(jvp(area, (1.0, 2.0), (1.0, 0.0)), tuple[float, float])
value, pullback = vjp(area, 1.0, 2.0)
assert_type(value, float)
assert_type(pullback(1.0), tuple[float, float])
assert_type(hvp(length)(np.ones(2), np.array([1.0, 0.0])), NDArray[np.float64])
compiled = jit(area)
assert_type(compiled(1.0, height=3.0), float)
assert_type(compiled.stats(), dict[str, Any])
assert_type(jit(value_and_grad(area))(1.0), tuple[float, float])
assert_type(checkpoint(area)(1.0), float)


@jit
def product(a: float, b: float) -> float:
    """A decorated function."""
    return a * b


@jit(accurate=True)
def accurate_product(a: float, b: float) -> float:
    """A function decorated with options."""
    return a * b


assert_type(product(1.0, 2.0), float)
assert_type(accurate_product(1.0, b=2.0), float)

# Mapped functions take rows in place of numbers.
areas: list[float] = vmap(area)([1.0, 2.0])
assert_type(vmap(area, in_axes=(None, 0), reduce="mean")(1.0, np.ones(3)), float)
assert_type(value_and_grad(vmap(area, in_axes=(None, 0), reduce="sum"))(1.0, np.ones(3)), tuple[float, Any])
last, path = scan(lambda x, _: (x - 0.1 * x, x), 1.0, length=10)


@custom_gradient(lambda x, y: 3.0 * x * x)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
def cube(x: float) -> float:
    """A primitive of one's own."""
    return x**3


# Values, functions of them, networks.
x = Value(0.5, label="x")
assert_type(am.exp(x) * 2.0, Value)
assert_type(am.exp(0.5), float)
with no_grad():
    number: float = (x * 2.0).data
model = MLP(2, [3, 1], seed=0)
optimiser = SGD(model.parameters(), learning_rate=0.1)
loss: Value = mean_squared_error([model([0.5, -0.5])], [1.0])
loss.backward()
if __name__ == "__main__":  # pytest imports this file to look for doctests
    autograd.view.flow(loss).save("loss.html")
optimiser.step()
print(autograd.view.explain(loss, model.parameters()[0]), autograd.math.pi, cube(2.0))
