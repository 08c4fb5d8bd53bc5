"""Transforms: against known derivatives, nested, on trees, in SciPy, and every error message."""

import itertools
import math
import operator
import threading
import weakref

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings

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
    sparsity,
    topological_order,
    value_and_grad,
    vjp,
    vmap,
)
from autograd.testing import check_grads
from autograd.testing.strategies import expressions

MODES = pytest.mark.parametrize("mode", ["auto", "rev", "fwd"])


# ---- grad and value_and_grad ----------------------------------------------------------------------------------


def test_plain_numbers_in_plain_numbers_out():
    """A float argument gives floats, an int counts as a float, a Value gives a Value."""
    value, gradient = value_and_grad(lambda x: x**3)(2)
    assert (8.0, 12.0) == (value, gradient)
    assert (float, float) == (type(value), type(gradient))
    x = Value(2.0)
    gradient = grad(lambda x: x**3)(x)
    assert isinstance(gradient, Value)
    gradient.backward()
    assert (12.0, 12.0) == (gradient.data, x.grad)


def test_argnums():
    """One argument, several, from the end; the others are constants of any kind."""

    def function(a, b, c, power="two"):
        return a * b + c[0] * (b**2 if power == "two" else b)

    arguments = (2.0, 3.0, [5.0])
    assert 3.0 == grad(function)(*arguments)
    assert 32.0 == grad(function, argnums=1)(*arguments)
    assert (32.0, [9.0]) == grad(function, argnums=(1, 2))(*arguments)
    assert ([9.0], 3.0) == grad(function, argnums=[-1, 0])(*arguments)
    assert (7.0,) == grad(function, argnums=(1,))(*arguments, power="one")
    assert 1.0 == grad(lambda x, text: x * len(text))(2.0, "a")


def test_has_aux():
    """aux is returned as plain numbers and is not differentiated."""

    def function(x):
        return x * x, {"double": 2 * x, "text": "kept"}

    assert ((9.0, {"double": 6.0, "text": "kept"}), 6.0) == value_and_grad(function, has_aux=True)(3.0)
    assert (6.0, {"double": 6.0, "text": "kept"}) == grad(function, has_aux=True)(3.0)


def test_a_constant_result_has_gradient_zero():
    """For a function that does not depend on its argument, or returns a plain number."""
    assert 0.0 == grad(lambda x: 5.0)(1.0)
    assert [0.0, 1.0] == grad(lambda x: x[1])([1.0, 2.0])
    assert (3, 0.0) == value_and_grad(lambda x: 3)(1.0)


def test_the_identity():
    """The result may be the argument itself."""
    assert 1.0 == grad(lambda x: x)(4.0)
    assert [[1.0, 0.0], [0.0, 1.0]] == jacobian(lambda x: x)([1.0, 2.0])


def test_arrays_of_one_number_are_numbers():
    """Array code often ends in an array of shape () or (1,)."""
    x = np.array([1.0, 2.0])
    assert [2.0, 4.0] == grad(lambda x: np.sum(x * x, keepdims=True))(x).tolist()
    assert [2.0, 4.0] == grad(lambda x: np.asarray(x @ x))(x).tolist()


def test_names_and_docstrings_are_kept():
    """A derived function is known by its function's name."""

    def energy(x):
        """Half the square."""
        return 0.5 * x * x

    for transform in (grad, value_and_grad, jacobian, hessian, hvp, vmap, checkpoint):
        assert "energy" == transform(energy).__name__
        assert "Half the square." == transform(energy).__doc__


def test_the_graph_of_a_call_is_its_own():
    """Values that a function closes over take part in backward, but grad leaves their .grad alone."""
    w = Value(3.0)
    assert 3.0 == grad(lambda x: w * x)(2.0)
    assert 0.0 == w.grad


def test_branches_and_loops():
    """Ordinary Python branches on the numbers."""

    def collatz_like(x):
        while x < 100.0:
            x = x * 3.0 if x > 10.0 else x * x
        return x

    check_grads(collatz_like, [2.5])
    assert 4 * 2.5**3 * 3.0 == grad(collatz_like)(2.5)


# ---- nesting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", range(1, 7))
def test_any_order(order):
    """grad of grad of … of exp(2x) is 2ⁿ exp(2x); of x⁵ it is what the algebra says."""
    exponential, power = (lambda x: am.exp(2.0 * x)), (lambda x: x**5)
    for _ in range(order):
        exponential, power = grad(exponential), grad(power)
    assert math.isclose(2.0**order * math.exp(0.6), exponential(0.3), rel_tol=1e-13)
    assert math.isclose(math.prod(range(6 - order, 6)) * 1.5 ** (5 - order), power(1.5), rel_tol=1e-13, abs_tol=1e-12)


@pytest.mark.parametrize("outer", [grad, lambda f: lambda x: jvp(f, (x,), (1.0,))[1]], ids=["rev", "fwd"])
@pytest.mark.parametrize("inner", [grad, lambda f: lambda x: jvp(f, (x,), (1.0,))[1]], ids=["rev", "fwd"])
class TestPerturbationConfusion:
    """Classic examples in which an engine that confuses nested derivatives gets a wrong number."""

    def test_siskind_and_pearlmutter(self, outer, inner):
        """d/dx (x · d/dy (x + y)) at 1 is 1, not 2."""
        assert 1.0 == outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0)

    def test_inner_function_of_the_outer_variable(self, outer, inner):
        """d/dx (x · d/dy (x y)|y=2) = 2x."""
        assert 6.0 == outer(lambda x: x * inner(lambda y: x * y)(2.0))(3.0)

    def test_inner_derivative_at_the_outer_variable(self, outer, inner):
        """d/dx (d/dy (x y²) at y = x) = d/dx 2x² = 4x."""
        assert 12.0 == outer(lambda x: inner(lambda y: x * y * y)(x))(3.0)

    def test_same_function_at_both_levels(self, outer, inner):
        """A closure over the outer variable that does not use the inner one has inner derivative 0."""
        assert 0.0 == outer(lambda x: inner(lambda y: x * x)(x))(3.0)

    def test_three_levels(self, outer, inner):
        """d/dx x · d/dy y · d/dz (x y z) = d/dx x · d/dy (x y²) = d/dx 2 x² y = 4 x y, at x = 3 and y = 5."""
        assert 60.0 == outer(lambda x: x * inner(lambda y: y * outer(lambda z: x * y * z)(1.0))(5.0))(3.0)

    def test_a_derivative_that_escapes(self, outer, inner):
        """A function that is returned from inside a transform and called outside has its own derivative."""
        kept = []
        outer(lambda x: kept.append(inner(lambda y: y * y * y)) or x)(1.0)
        assert 12.0 == kept[0](2.0)


def test_a_gradient_by_a_value_that_is_also_closed_over():
    """The argument is a separate variable, even if the closure uses the same Value: d/dx (x·w) at x = w."""
    w = Value(3.0)
    gradient = grad(lambda x: x * w)(w)
    assert 3.0 == gradient.data
    gradient.backward()
    assert 1.0 == w.grad


def test_mixed_partials_agree():
    """∂²f/∂x∂y = ∂²f/∂y∂x, with all four pairs of modes."""

    def function(v):
        return am.sin(v[0] * v[1]) * am.exp(v[1])

    points = [0.7, 0.3]
    found = [
        jacobian(jacobian(function, mode=inner), mode=outer)(points)
        for inner in ("rev", "fwd")
        for outer in ("rev", "fwd")
    ]
    for matrix in found:
        assert math.isclose(matrix[0][1], matrix[1][0], rel_tol=1e-14)
        np.testing.assert_allclose(matrix, found[0], rtol=1e-13)


def test_threads_nest_on_their_own():
    """A transform in one thread does not make a transform in another thread symbolic."""
    results = []

    def outer(x):
        thread = threading.Thread(target=lambda: results.append(grad(lambda y: y * y)(3.0)))
        thread.start()
        thread.join()
        return x * x

    assert 4.0 == grad(outer)(2.0)
    assert [6.0] == results
    assert float is type(results[0])


# ---- jacobian and hessian --------------------------------------------------------------------------------


@MODES
def test_jacobian_of_trees(mode):
    """The Jacobian has the shape of the result, with the shape of the argument at each leaf."""

    def function(p):
        return {"sum": p["a"] + p["b"][0], "parts": (p["a"] * p["b"][1], 7.0)}

    expected = {"sum": {"a": 1.0, "b": [1.0, 0.0]}, "parts": ({"a": 5.0, "b": [0.0, 2.0]}, {"a": 0.0, "b": [0.0, 0.0]})}
    assert expected == jacobian(function, mode=mode)({"a": 2.0, "b": [3.0, 5.0]})


@MODES
def test_jacobian_of_arrays(mode):
    """An ndarray by an ndarray has shape s + t; the linear map's Jacobian is its matrix."""
    matrix = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    found = jacobian(lambda x: matrix @ x, mode=mode)(np.array([1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(found, matrix)
    assert np.dtype(float) == found.dtype
    outer = jacobian(lambda x: np.outer(x, x), mode=mode)(np.array([1.0, 2.0]))
    assert (2, 2, 2) == outer.shape
    assert [[[2.0, 0.0], [2.0, 1.0]], [[2.0, 1.0], [0.0, 4.0]]] == outer.tolist()
    assert (2, 2, 3) == jacobian(lambda m: m[:, 0], mode=mode)(matrix).shape


@MODES
def test_jacobian_by_several_arguments(mode):
    """For a sequence of argnums each leaf holds a tuple."""
    found = jacobian(lambda x, y: [x * y, x], argnums=(0, 1), mode=mode)(2.0, 3.0)
    assert [(3.0, 2.0), (1.0, 0.0)] == found


@MODES
def test_a_direction_with_an_infinite_derivative_does_not_spoil_the_others(mode):
    """√x at 0 has an infinite derivative; the derivative by y is still right, in both modes."""
    assert [math.inf, 1.0] == jacobian(lambda v: am.sqrt(v[0]) + v[1], mode=mode)([0.0, 2.0])
    assert 1.0 == jvp(lambda x, y: am.sqrt(x) + y, (0.0, 2.0), (0.0, 1.0))[1]


def test_hessian():
    """For a quadratic form it is twice the symmetric part of its matrix; for several arguments it has blocks."""
    matrix = np.array([[2.0, 1.0], [0.0, 3.0]])
    found = hessian(lambda x: x @ matrix @ x)(np.array([1.0, -1.0]))
    np.testing.assert_array_equal(found, matrix + matrix.T)
    assert ((0.0, 6.0), (6.0, 4.0)) == hessian(lambda x, y: x * y**2, argnums=(0, 1))(2.0, 3.0)
    assert {"a": {"a": 2.0}} == hessian(lambda p: p["a"] ** 2)({"a": 5.0})


@given(expressions(max_steps=6))
@settings(max_examples=30)
def test_reverse_and_forward_agree_on_random_expressions(expression):
    """Both modes sum the same products of local derivatives along paths."""
    point = list(expression.leaves)
    reverse = jacobian(lambda xs: expression(*xs), mode="rev")(point)
    forward = jacobian(lambda xs: expression(*xs), mode="fwd")(point)
    scale = 1.0 + max(map(abs, reverse))
    assert all(abs(r - f) <= 1e-9 * scale for r, f in zip(reverse, forward, strict=True))


# ---- jvp, vjp, hvp -----------------------------------------------------------------------------------------


def test_jvp_and_vjp_are_transposed():
    """⟨u, J v⟩ = ⟨Jᵀ u, v⟩ for a function of trees."""

    def function(p, q):
        return [p["a"] * am.sin(q), q * p["b"][0], p["b"][1]]

    arguments = ({"a": 0.5, "b": (1.5, 2.5)}, 0.3)
    direction = ({"a": 1.0, "b": (-2.0, 0.5)}, 4.0)
    seeds = [3.0, -1.0, 2.0]
    value, tangent = jvp(function, arguments, direction)
    same_value, pullback = vjp(function, *arguments)
    assert value == same_value == function(*arguments)
    p_bar, q_bar = pullback(seeds)
    left = sum(map(operator.mul, seeds, tangent))
    right = p_bar["a"] - 2.0 * p_bar["b"][0] + 0.5 * p_bar["b"][1] + 4.0 * q_bar
    assert math.isclose(left, right, rel_tol=1e-14)
    assert pullback(seeds) == (p_bar, q_bar)
    assert 2 * q_bar == pullback([2 * s for s in seeds])[1]


def test_directions_are_matched_by_their_keys():
    """Tangents and seeds may have their dictionaries in another order than the arguments and the result."""
    point = {"a": 2.0, "b": 3.0}
    assert 2.0 * 10.0 * 3.0 == jvp(lambda p: p["a"] ** 2 * p["b"], (point,), ({"b": 0.0, "a": 5.0},))[1]
    _, pullback = vjp(lambda p: {"square": p["a"] ** 2, "b": p["b"]}, point)
    assert ({"a": 40.0, "b": 1.0},) == pullback({"b": 1.0, "square": 10.0})
    rows = vmap(lambda x: {"a": x, "b": 2 * x} if x < 1.5 else {"b": 2 * x, "a": x}, reduce="sum")([1.0, 2.0])
    assert {"a": 3.0, "b": 6.0} == rows


def test_vjp_of_results_that_repeat_or_are_constant():
    """A node that is twice in the result has the sum of its seeds; constants have none."""
    _, pullback = vjp(lambda x: [x, x, 1.0], 2.0)
    assert (11.0,) == pullback([1.0, 10.0, 100.0])


def test_hvp_is_the_hessian_times_a_vector():
    """For arrays and for trees, with further arguments."""

    def function(x, scale=1.0):
        return scale * am.sum([am.exp(a * b) for a, b in itertools.pairwise(x)])

    x, v = np.array([0.1, 0.2, 0.3]), np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(hvp(function)(x, v), hessian(function)(x) @ v, rtol=1e-13)
    np.testing.assert_allclose(hvp(function)(x, v, 3.0), 3.0 * hessian(function)(x) @ v, rtol=1e-13)
    assert {"a": 6.0} == hvp(lambda p: p["a"] ** 2)({"a": 1.0}, {"a": 3.0})


# ---- SciPy ---------------------------------------------------------------------------------------------------


def rosenbrock(x):
    """The banana valley in any number of dimensions, in plain Python."""
    return sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in itertools.pairwise(x))


@pytest.mark.parametrize(
    ("method", "options"),
    [("BFGS", {}), ("Newton-CG", {"hessp": hvp(rosenbrock)}), ("trust-exact", {"hess": hessian(rosenbrock)})],
)
def test_scipy_minimises_rosenbrock(method, options):
    """In 10 dimensions the minimum is at ones; SciPy takes gradient, Hessian and Hessian products directly."""
    start = np.full(10, -1.2)
    found = scipy.optimize.minimize(value_and_grad(rosenbrock), start, jac=True, method=method, tol=1e-10, **options)
    np.testing.assert_allclose(found.x, np.ones(10), atol=1e-6)
    np.testing.assert_allclose(grad(rosenbrock)(start), scipy.optimize.rosen_der(start), rtol=1e-12)
    np.testing.assert_allclose(hessian(rosenbrock)(start), scipy.optimize.rosen_hess(start), rtol=1e-12)


# ---- vmap ----------------------------------------------------------------------------------------------------


def test_vmap_over_arrays_lists_and_trees():
    """Rows of arrays give arrays, rows of lists give lists; every part of a tuple, dict or dataclass is mapped."""
    x = np.arange(6.0).reshape(3, 2)
    assert [1.0, 5.0, 9.0] == vmap(lambda row: row[0] + row[1])(x).tolist()
    assert [6.0, 9.0] == vmap(np.sum, in_axes=1)(x).tolist() == vmap(np.sum, in_axes=-1)(x).tolist()
    assert [2.0, 4.0] == vmap(lambda a: 2 * a)([1.0, 2.0])
    assert [4.0, 6.0] == vmap(lambda p: p["a"] + p["b"])({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert [(1.0, 2.0)] == vmap(lambda a: (a, 2 * a))([1.0])
    both = vmap(lambda a: {"x": a, "y": [a, -a]})(np.array([1.0, 2.0]))
    assert ([1.0, 2.0], [-1.0, -2.0]) == (both["x"].tolist(), both["y"][1].tolist())


def test_vmap_in_axes():
    """With None an argument is the same for all rows; a single axis applies to all arguments."""
    assert [3.0, 6.0] == vmap(lambda w, x: w * x, in_axes=(None, 0))(3.0, [1.0, 2.0])
    assert [5.0, 14.0] == vmap(lambda a, b: a * b + 1)([2.0, 1.0], [2.0, 13.0])


def test_vmap_reduces():
    """The sum or mean of the results is one node for each number; the gradient is reduced in the same way."""
    rows = [1.0, 2.0, 6.0]
    assert 9.0 == vmap(lambda x: x, reduce="sum")(rows)
    assert {"a": 3.0, "b": 18.0 / 3} == vmap(lambda x: {"a": x, "b": 2 * x}, reduce="mean")(rows)
    w = Value(2.0)
    loss = vmap(lambda w, x: (w * x) ** 2, in_axes=(None, 0), reduce="mean")
    assert 3 == len(loss(w, rows).parents)
    whole = grad(loss)(2.0, rows)
    parts = vmap(grad(lambda w, x: (w * x) ** 2), in_axes=(None, 0), reduce="mean")(2.0, rows)
    assert math.isclose(whole, parts, rel_tol=1e-15)
    assert 0.0 == vmap(lambda x: x, reduce="sum")([])


def test_vmap_nests_and_is_differentiated():
    """A Gram matrix by two maps, and the Jacobian of a map is diagonal."""
    dots = vmap(vmap(lambda a, b: a @ b, in_axes=(None, 0)), in_axes=(0, None))
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(dots(x, x), x @ x.T)
    assert [[2.0, 0.0], [0.0, 4.0]] == jacobian(vmap(lambda a: a * a))(np.array([1.0, 2.0])).tolist()
    assert [] == vmap(lambda a: a)([])
    assert (0,) == vmap(lambda a: a)(np.zeros(0)).shape


# ---- custom_gradient -------------------------------------------------------------------------------------------


def bisect_cube_root(x):
    """A black box that works on floats only."""
    low, high = 0.0, max(1.0, float(x))
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if middle**3 < x else (low, middle)
    return low


def test_a_black_box_as_a_primitive():
    """With floats, Values, second derivatives, both modes and vmap, a user's primitive works like one of the table."""
    root = custom_gradient(lambda x, y: 1.0 / (3.0 * y * y), symbol="∛", domain=[(0.0, math.inf)])(bisect_cube_root)
    assert float is type(root(8.0))
    assert math.isclose(2.0, root(8.0))
    x = Value(8.0)
    y = root(x)
    assert ("∛", root, (x,)) == (y.op.symbol, y.op, y.operands)
    check_grads(root, [8.0])
    check_grads(lambda a: am.exp(-root(a * a)), [1.3])
    np.testing.assert_allclose(vmap(grad(root))(np.array([1.0, 8.0])), [1 / 3, 1 / 12])
    assert "bisect_cube_root" == root.name
    assert [(0.0, math.inf)] == list(root.domain)


def test_a_derivative_may_differ_from_the_function():
    """Straight-through rounding: the value rounds, the gradient passes."""
    through = custom_gradient(lambda x, y: 1.0)(round)
    assert (3.0, 1.0) == value_and_grad(through)(2.7)


@pytest.mark.parametrize("derivatives", [(), (1.0,), (abs, None)])
def test_errors_of_custom_gradient(derivatives):
    """It needs one callable for each operand."""
    with pytest.raises(TypeError, match="one callable derivative for each operand"):
        custom_gradient(*derivatives)


# ---- checkpoint -----------------------------------------------------------------------------------------------


def steps(x, count=50):
    """Many operations on one number."""
    for _ in range(count):
        x = x - 0.1 * (x * x - 2.0)
    return x


def test_checkpoint_keeps_inputs_and_outputs_only():
    """The graph is short, value and gradient are the same."""
    x, plain = Value(1.0), Value(1.0)
    y, long = checkpoint(steps)(x), steps(plain)
    assert 2 == len(topological_order(y))
    assert 100 < len(topological_order(long))
    y.backward()
    long.backward()
    assert long.data == y.data
    assert math.isclose(plain.grad, x.grad, rel_tol=1e-14)


def test_checkpoint_frees_what_lies_between():
    """While the result is alive, the nodes that the function made are freed, also the original output node."""
    made = []

    def doubled(x):
        for _ in range(3):
            x = x + x
            made.append(weakref.ref(x))
        return x

    y = checkpoint(doubled)(Value(1.0))
    assert [None] * 3 == [node() for node in made]
    assert (8.0, (8.0,)) == (y.data, y.local_grads)


def test_checkpoint_sees_what_it_closes_over():
    """Gradients reach a model's parameters through the closure, and what these were made from only once."""
    w, b = Value(3.0), Value(4.0)
    scaled = 2.0 * w

    def model(x):
        return am.tanh(scaled * x + b)

    y = checkpoint(model)(0.1)
    y.backward()
    slope = 1.0 - math.tanh(4.6) ** 2
    assert (0.2 * slope, slope) == pytest.approx((w.grad, b.grad), rel=1e-10)
    assert {scaled, b} == set(y.parents)


def test_checkpoint_of_trees_keywords_and_constants():
    """Arguments and results are trees; a number that does not depend on a Value stays a number."""

    @checkpoint
    def function(p, *, shift):
        return {"a": p["x"] * p["y"], "b": [p["x"] + shift, 5.0], "c": p["y"]}

    x, y = Value(2.0), Value(3.0)
    result = function({"x": x, "y": y}, shift=1.0)
    assert (6.0, [3.0, 5.0], float) == (result["a"].data, result["b"], type(result["b"][1]))
    assert y is result["c"]
    assert 5.0 == function({"x": 1.0, "y": 5.0}, shift=0.0)["a"]
    (result["a"] * result["b"][0]).backward()
    assert (3.0 * 3.0 + 6.0, 2.0 * 3.0) == (x.grad, y.grad)


def test_checkpoint_to_second_order_and_in_transforms():
    """Higher derivatives run the function again; all modes agree with the plain function."""
    short = checkpoint(lambda x, y: steps(x, 10) * am.sin(y))
    plain = lambda x, y: steps(x, 10) * am.sin(y)  # noqa: E731  # the same, without
    check_grads(short, [1.0, 0.5])
    assert math.isclose(grad(grad(plain))(1.0, 0.5), grad(grad(short))(1.0, 0.5), rel_tol=1e-12)
    np.testing.assert_allclose(
        hessian(lambda v: short(v[0], v[1]))(np.array([1.0, 0.5])),
        hessian(lambda v: plain(v[0], v[1]))(np.array([1.0, 0.5])),
        rtol=1e-12,
    )
    nested = checkpoint(lambda x: short(x, x))
    assert math.isclose(grad(grad(lambda x: plain(x, x)))(0.7), grad(grad(nested))(0.7), rel_tol=1e-12)


def test_checkpoint_with_a_gradient_inside():
    """A checkpointed function may itself call grad."""
    inner = checkpoint(lambda x: grad(lambda y: y**3)(x))
    assert 12.0 == inner(2.0)
    assert 12.0 == grad(inner)(2.0)


# ---- errors ------------------------------------------------------------------------------------------------------


def two(x):
    """Two results."""
    return [x, x]


class Frame:
    """What looks like a data frame."""

    def to_numpy(self):
        """The numbers."""


def ragged(x):
    """One result or two."""
    return two(x) if x > 1.5 else [x]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: grad(two)(1.0),
            TypeError,
            "two must return one number to have a gradient, not list with 2: use jacob",
        ),
        (lambda: grad(lambda x: [x])(1.0), TypeError, "not list with 1"),
        (lambda: grad(lambda x: None)(1.0), TypeError, "returned None, and a gradient is that of a number"),
        (lambda: grad(lambda x: "a")(1.0), TypeError, "the result of <lambda>: 'a' of type str is text"),
        (lambda: grad(two)("a"), TypeError, "argument 0 of two: 'a' of type str is text"),
        (
            lambda: grad(two, argnums=1)(1.0),
            ValueError,
            "argnums names argument 1, but two was called with 1 positional",
        ),
        (lambda: grad(two, argnums=-2)(1.0), ValueError, "argnums names argument -2"),
        (lambda: grad(two, argnums="x"), TypeError, "argnums must be ints, not 'x'"),
        (lambda: grad(two, argnums=(0, True)), TypeError, "argnums must be ints, not True"),
        (
            lambda: grad(two, 2.0),
            TypeError,
            r"argnums must be .* not 2.0 .* numbers go to the function .* grad\(f\)\(2.0\)",
        ),
        (lambda: hessian(two, np.ones(2)), TypeError, "argnums must be an int or a sequence of ints, not array"),
        (lambda: jacobian(two, [1.0, 2.0]), TypeError, "argnums must be ints, not 1.0"),
        (lambda: sparsity(two, Value(1.0)), TypeError, "argnums must be an int or a sequence of ints, not Value"),
        (lambda: grad(two, has_aux=True)(1.0), TypeError, r"with has_aux, two must return \(value, aux\), not \["),
        (lambda: jacobian(two, mode="reverse"), ValueError, "mode must be 'auto', 'rev' or 'fwd', not 'reverse'"),
        (lambda: grad(two, argnums=1.0), TypeError, "argnums must be an int or a sequence of ints, not 1.0 of"),
        (lambda: grad(two, argnums=(0, -1))(1.0), ValueError, r"argnums names an argument of two twice: \(0, -1\)"),
        (lambda: jvp(two, (1.0,), (1.0, 2.0)), ValueError, "primals and tangents differ in shape: 1 numbers, 2 num"),
        (lambda: jvp(two, ({"a": 1.0},), ({"b": 1.0},)), ValueError, r"primals\[0\] .* the keys \['a'\], the keys"),
        (lambda: jvp(two, 1.0, 1.0), TypeError, "primals must be a tuple with an entry for each argument, not 1.0"),
        (lambda: jvp(two, (1.0,), ("a",)), TypeError, r"tangents\[0\]: 'a' of type str"),
        (lambda: vjp(two, 1.0)[1]([1.0]), ValueError, "the result and seeds differ in shape: 2 numbers, 1"),
        (lambda: vmap(two, reduce="max"), ValueError, "reduce must be None, 'sum' or 'mean', not 'max'"),
        (lambda: vmap(two, in_axes=None)(1.0), ValueError, "the arguments of two are not mapped: in_axes has no axis"),
        (lambda: vmap(two, in_axes=(0, 0))([1.0]), ValueError, "in_axes has 2 entries for 1 arguments"),
        (lambda: vmap(operator.mul)([1.0], [1.0, 2.0]), ValueError, r"have different numbers of rows: \[1, 2\]"),
        (lambda: vmap(two)(1.0), TypeError, "1.0 of type float has no rows: give it None in in_axes"),
        (lambda: vmap(two)(Frame()), TypeError, "a Frame is none of the containers known here: .* .to_numpy"),
        (lambda: vmap(two, in_axes=1)([1.0]), ValueError, "the rows of a list are its elements: in_axes must be 0 or"),
        (lambda: vmap(two, in_axes=2)(np.zeros((2, 2))), ValueError, r"axis 2 of an ndarray of shape \(2, 2\)"),
        (lambda: vmap(two)(([1.0], [1.0, 2.0])), ValueError, "the parts of .* have different numbers of rows"),
        (lambda: vmap(two, in_axes={"a": 0}), TypeError, "in_axes must be an int, None or a sequence .*, not {'a': 0}"),
        (lambda: vmap(two, in_axes=((0, None),)), TypeError, "pass what should not be mapped as a separate argument"),
        (lambda: vmap(ragged)(np.array([1.0, 2.0])), ValueError, "row 0 and row 1 differ in shape: 1 numbers, 2 num"),
        (lambda: vmap(ragged, reduce="sum")([1.0, 2.0]), ValueError, "row 0 and row 1 differ in shape"),
        (lambda: vmap(two, reduce="mean")([]), ValueError, "the mean over no rows has no value"),
    ],
)
def test_error_messages(call, error, message):
    """Every error names the value that was wrong and what to do."""
    with pytest.raises(error, match=message):
        call()


def test_an_error_inside_leaves_no_trace():
    """After an error in a function, transforms work on plain numbers as before."""

    def failing(x):
        raise RuntimeError("inside")

    for transform in (grad, jacobian, hessian, lambda f: vmap(grad(f))):
        with pytest.raises(RuntimeError, match="inside"):
            transform(failing)([1.0])
    assert float is type(grad(lambda x: x * x)(1.0))


def test_derivatives_by_plain_numbers_are_plain_numbers() -> None:
    """They depend on no Value from outside; those by a Value do, and so do those inside a transform; also compiled."""
    w = Value(3.0)

    def f(x):
        return w * x * x

    assert [float, float] == [type(grad(f)(2.0)), type(jit(grad(f))(2.0))]
    for slope in (grad(f)(Value(2.0)), jit(grad(f))(Value(2.0))):
        w.grad = 0.0
        slope.backward()
        assert (12.0, 4.0) == (slope.data, w.grad)

    def at_two(w):
        return grad(lambda x: w * x * x)(2.0)

    assert [4.0, 4.0] == [grad(at_two)(3.0), jit(grad(at_two))(3.0)]
