"""NumPy with Values: ufuncs by name, scalars on the left, object arrays in matrix algebra."""

import math

import numpy as np
import pytest

from autograd import Value, arrays, backward, grad
from autograd.rules import TABLE

UNARY = {
    "absolute": -0.7, "fabs": -0.7, "arccos": 0.3, "arccosh": 1.5, "arcsin": 0.3, "arcsinh": 0.3, "arctan": 0.3,
    "arctanh": 0.3, "cbrt": 0.3, "ceil": 0.3, "cos": 0.3, "cosh": 0.3, "degrees": 0.3, "rad2deg": 0.3, "exp": 0.3,
    "exp2": 0.3, "expm1": 0.3, "floor": 0.3, "log": 0.3, "log10": 0.3, "log1p": 0.3, "log2": 0.3, "negative": 0.3,
    "positive": 0.3, "radians": 0.3, "deg2rad": 0.3, "reciprocal": 0.3, "rint": 0.3, "sign": 0.3, "sin": 0.3,
    "sinh": 0.3, "sqrt": 0.3, "square": 0.3, "tan": 0.3, "tanh": 0.3, "trunc": 0.3, "conjugate": 0.3,
}  # fmt: skip  # a table
BINARY = ["add", "subtract", "multiply", "divide", "power", "floor_divide", "remainder", "fmod", "arctan2", "hypot"]
BINARY += ["copysign", "maximum", "minimum", "logaddexp", "float_power"]
NO_OBJECTS = {"fabs", "copysign", "logaddexp", "float_power"}  # NumPy itself does not take these on arrays of objects
LEFT_ASKED = {"arctan2", "hypot", "fmod"}  # on object arrays NumPy calls a method of the left element
OF_DATA = ("less", "less_equal", "equal", "not_equal", "greater", "greater_equal")


def numbers(array):
    """The data of an array of Values (NumPy's sign and maximum may put plain numbers into it)."""
    return np.vectorize(lambda v: v.data if isinstance(v, Value) else v, otypes=[float])(array)


@pytest.mark.parametrize("name", UNARY)
def test_unary_ufuncs(name):
    """np.f(v) is a node with NumPy's value and the derivative from differences; arrays work element by element."""
    ufunc, x = getattr(np, name), UNARY[name]
    v = Value(x)
    y = ufunc(v)
    y.backward()
    assert isinstance(y, Value)
    assert math.isclose(ufunc(x), y.data, rel_tol=1e-15)
    assert math.isclose((ufunc(x + 1e-6) - ufunc(x - 1e-6)) / 2e-6, v.grad, rel_tol=1e-8, abs_tol=1e-9)
    if name in NO_OBJECTS:
        return
    points = np.array([[x, x + 0.05], [x + 0.1, x]])
    result = ufunc(np.vectorize(Value, otypes=[object])(points))
    assert (2, 2) == result.shape
    np.testing.assert_allclose(numbers(result), ufunc(points), rtol=1e-15)


@pytest.mark.parametrize("name", BINARY)
def test_binary_ufuncs(name):
    """np.f(v, w), np.f(v, number) and np.f(number, v), with broadcasting over arrays."""
    ufunc = getattr(np, name)
    v, w = Value(2.5), Value(0.75)
    for y in (ufunc(v, w), ufunc(v, 0.75), ufunc(2.5, w), ufunc(np.float64(2.5), w)):
        assert isinstance(y, Value)
        assert math.isclose(ufunc(2.5, 0.75), y.data, rel_tol=1e-15)
    if name in NO_OBJECTS:
        return
    row, column = np.array([v, w, Value(1.25)]), np.array([[1.5], [2.5]])
    grid = ufunc(row, column)
    assert (2, 3) == grid.shape
    np.testing.assert_allclose(numbers(grid), ufunc([2.5, 0.75, 1.25], [[1.5], [2.5]]), rtol=1e-15)
    if name not in LEFT_ASKED:
        np.testing.assert_allclose(numbers(ufunc(column, row)), ufunc([[1.5], [2.5]], [2.5, 0.75, 1.25]), rtol=1e-15)


def test_every_ufunc_is_tested():
    """Every function that NumPy code may call on Values has a test above."""
    tested = {getattr(np, name).__name__ for name in (*UNARY, *BINARY, *OF_DATA)}
    assert set(arrays.UFUNCS) - {"divmod", "isfinite", "isinf", "isnan", "signbit"} == tested
    assert set(arrays.SAME_NAME.split()) <= set(TABLE)


@pytest.mark.parametrize("name", OF_DATA)
def test_comparisons_give_booleans(name):
    """Comparing arrays of Values gives an array of bool, which works as a mask."""
    values = np.array([Value(1.0), Value(2.0), Value(3.0)])
    result = getattr(np, name)(values, 2.0)
    assert bool is result.dtype.type or np.bool_ is result.dtype.type
    assert getattr(np, name)(np.array([1.0, 2.0, 3.0]), 2.0).tolist() == result.tolist()
    assert len(values[result]) == sum(result)


def test_tests_of_the_data():
    """isnan and similar functions test the numbers."""
    values = [Value(-1.0), Value(math.nan), Value(math.inf)]
    assert [False, True, False] == [bool(np.isnan(v)) for v in values]
    assert [False, False, True] == [bool(np.isinf(v)) for v in values]
    assert [True, False, False] == [bool(np.isfinite(v)) for v in values]
    assert [True, False, False] == [bool(np.signbit(v)) for v in values]


@pytest.mark.parametrize("scalar", [np.float64(2.0), np.float32(2.0), np.int64(2), np.bool_(True)])
def test_numpy_scalars_on_the_left(scalar):
    """A NumPy scalar times a Value is one node, not an array."""
    v = Value(3.0)
    y = scalar * v
    assert isinstance(y, Value)
    y.backward()
    assert (3.0 * float(scalar), float(scalar)) == (y.data, v.grad)


def test_arrays_on_the_left_broadcast():
    """A float array times a Value is an array of Values, in either order."""
    v = Value(3.0)
    for product in (np.array([1.0, 2.0]) * v, v * np.array([1.0, 2.0])):
        assert [3.0, 6.0] == numbers(product).tolist()
    backward(np.array([1.0, 2.0]) * v)
    assert 3.0 == v.grad


def test_matrix_products():
    """`@` and np.dot on object arrays, with a float array on either side."""
    weights = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]])
    x = np.array([10.0, 1.0])
    assert [12.0, 34.0] == numbers(weights @ x).tolist() == numbers(np.dot(weights, x)).tolist()
    assert [13.0, 24.0] == numbers(x @ weights).tolist()
    np.testing.assert_array_equal(numbers(weights @ weights), np.array([[7.0, 10.0], [15.0, 22.0]]))
    (x @ weights @ x).backward()
    assert [[100.0, 10.0], [10.0, 1.0]] == [[v.grad for v in row] for row in weights]


def test_sum_mean_and_their_like():
    """np.sum, mean, prod, max, cumsum and var of arrays of Values, along axes too."""
    values = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(6.0)]])
    assert 12.0 == np.sum(values).data == values.sum().data
    assert 3.0 == np.mean(values).data == values.mean().data
    assert 36.0 == np.prod(values).data
    assert (6.0, 1.0) == (np.max(values).data, values.min().data)
    assert [4.0, 8.0] == numbers(values.sum(axis=0)).tolist()
    assert [1.5, 4.5] == numbers(values.mean(axis=1)).tolist()
    assert [1.0, 3.0, 6.0, 12.0] == numbers(np.cumsum(values)).tolist()
    assert 3.5 == np.var(values).data
    values.mean().backward()
    assert [0.25] * 4 == [v.grad for v in values.ravel()]


def test_at_and_outer():
    """A Value is added at repeated places, and combined with each element; an array of floats cannot take it."""
    v, held = Value(2.0), np.array([Value(1.0), 4.0], dtype=object)
    np.add.at(held, [0, 0, 1], v)
    assert [5.0, 6.0] == numbers(held).tolist()
    assert [[2.0, 6.0]] == numbers(np.multiply.outer(v, np.array([[1.0, 3.0]]))).tolist()
    with pytest.raises(TypeError, match="does not turn into a float"):
        np.add.at(np.zeros(2), 0, v)


def test_reductions_of_ufuncs():
    """add.reduce and multiply.accumulate use the table."""
    values = [Value(1.0), Value(2.0), Value(3.0)]
    assert 6.0 == np.add.reduce(values).data
    assert [1.0, 2.0, 6.0] == numbers(np.multiply.accumulate(np.array(values))).tolist()


def test_where_and_out():
    """The options of ufuncs: an array for the result, and a mask."""
    values = np.array([Value(1.0), Value(4.0)])
    out = np.empty(2, dtype=object)
    assert out is np.sqrt(values, out=out)
    assert [1.0, 2.0] == numbers(out).tolist()
    masked = np.sqrt(values, out=np.array([0.0, 0.0], dtype=object), where=[False, True])
    assert 0.0 == masked[0]
    assert 2.0 == masked[1].data


def test_divmod():
    """np.divmod has two results."""
    quotient, rest = np.divmod(Value(7.5), 2.0)
    assert (3.0, 1.5) == (quotient.data, rest.data)


@pytest.mark.parametrize("ufunc", [np.nextafter, np.spacing, np.heaviside])
def test_unknown_ufuncs_say_what_to_do(ufunc):
    """The error for a ufunc without a primitive names it and gives two alternatives."""
    operands = [Value(1.0)] * ufunc.nin
    message = rf"numpy\.{ufunc.__name__} has no derivative rule here: write it with autograd\.math, or add a primitive"
    with pytest.raises(TypeError, match=message):
        ufunc(*operands)


def test_a_numpy_function_has_its_gradient():
    """Code that was written for arrays can be differentiated unchanged."""

    def softmax_loss(w):
        z = w - np.max(w)
        return np.log(np.sum(np.exp(z))) - z[0]

    w = np.array([1.0, 2.0, 3.0])
    p = np.exp(w) / np.sum(np.exp(w))
    np.testing.assert_allclose(grad(softmax_loss)(w), p - np.array([1.0, 0.0, 0.0]), rtol=1e-14)


@pytest.mark.parametrize("function", [np.gradient, np.i0, lambda a: np.linalg.qr(a.reshape(2, 2))])
def test_functions_of_numpy_that_take_floats_only(function):
    """The error says so; NumPy cannot be adopted."""
    with pytest.raises(
        TypeError, match=r"silently.* this function of NumPy computes with floats only.*autograd.linalg"
    ):
        function(np.array([Value(1.0), Value(2.0), Value(4.0), Value(3.0)]))
