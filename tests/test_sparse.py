"""Sparse Jacobians and Hessians: the exact pattern, equal numbers, in SciPy's solvers, and every error message."""

import operator
import sys
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.sparse
import scipy.sparse.linalg
from amount import examples
from hypothesis import given, settings

import autograd.math as am
from autograd import Value, detect_anomaly, grad, hessian, jacobian, jit, sparsity

INPUTS = 5
POINT = [0.3, -0.7, 1.1, 0.9, -1.3]


# ---- random programs, and what depends on what in them -----------------------------------------------------------


# name → arity, the function, and which operands have a derivative, given their numbers
OPERATIONS: dict[str, tuple[int, Callable[..., Any], Callable[..., list[int]]]] = {
    "add": (2, operator.add, lambda a, b: [0, 1]),
    "sub": (2, operator.sub, lambda a, b: [0, 1]),
    "mul": (2, operator.mul, lambda a, b: [0, 1]),
    "sin": (1, am.sin, lambda a: [0]),
    "square": (1, lambda a: a * a, lambda a: [0]),
    "where": (3, am.where, lambda c, a, b: [1] if c else [2]),
    "max": (2, am.max, lambda a, b: [0, 1] if a == b else [0] if a > b else [1]),
    "halved": (1, lambda a: 0.5 * a + 1.0, lambda a: [0]),
}


class Program:
    """A program drawn by Hypothesis: operations on earlier values, and which values are its results."""

    def __init__(self, steps: list[tuple[str, list[int]]], outputs: list[int]) -> None:
        self.steps, self.outputs = steps, outputs

    def __call__(self, x: Any) -> Any:
        """The results."""
        values: list[Any] = [*x, 2.0]
        for name, operands in self.steps:
            values.append(OPERATIONS[name][1](*[values[o % len(values)] for o in operands]))
        return [values[o % len(values)] for o in self.outputs]

    def pattern(self, x: list[float], selected: bool = True) -> Any:
        """What the results depend on: through the selected operands, or through all that another input may select."""
        values, sets = [*x, 2.0], [{k} for k in range(len(x))] + [set()]
        constant = [False] * len(x) + [True]
        for name, operands in self.steps:
            at = [o % len(values) for o in operands]
            numbers = [values[o] for o in at]
            through = OPERATIONS[name][2](*numbers)
            if not selected and not (name == "where" and constant[at[0]]):
                through = [1, 2] if name == "where" else list(range(len(at)))
            sets.append(set().union(*[sets[at[k]] for k in through]))
            constant.append(all(constant[o] for o in at))
            values.append(OPERATIONS[name][1](*numbers))
        found = np.zeros((len(self.outputs), len(x)), dtype=bool)
        for row, o in enumerate(self.outputs):
            found[row, list(sets[o % len(values)])] = True
        return found

    def __repr__(self) -> str:
        return f"Program({self.steps}, {self.outputs})"


@st.composite
def programs(draw: Any) -> Program:
    """A program of at most a dozen operations."""
    names = draw(st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=12))
    numbers = st.integers(0, 30)
    steps = [(name, draw(st.lists(numbers, min_size=(k := OPERATIONS[name][0]), max_size=k))) for name in names]
    return Program(steps, draw(st.lists(numbers, max_size=7)))


def dense(function: Any, x: Any) -> Any:
    """The dense Jacobian of a function from a list to a list."""
    return np.array(jacobian(function)(x), dtype=float).reshape(-1, len(x))


@settings(max_examples=examples(200))
@given(
    programs(),
    st.lists(st.sampled_from(POINT), min_size=INPUTS, max_size=INPUTS),
    st.sampled_from(["auto", "rev", "fwd"]),
)
def test_pattern_and_numbers_of_random_programs(program, x, mode):
    """The pattern is what messages reach; the numbers are those of the dense Jacobian; no entry is there twice."""
    found = jacobian(program, mode=mode, sparse=True)(x)
    assert isinstance(found, scipy.sparse.csr_array)
    assert found.has_canonical_format
    assert float == found.dtype
    np.testing.assert_allclose(found.toarray(), dense(program, x), rtol=1e-13)
    pattern = sparsity(program)(x)
    assert bool == pattern.dtype
    np.testing.assert_array_equal(pattern.toarray(), program.pattern(x))
    assert (pattern.nnz, list(pattern.indices), list(pattern.indptr)) == (
        found.nnz, list(found.indices), list(found.indptr),
    )  # fmt: skip


@settings(max_examples=examples(100))
@given(programs(), st.lists(st.sampled_from(POINT), min_size=INPUTS, max_size=INPUTS))
def test_hessians_of_random_programs(program, x):
    """The Hessian of a sum of the results equals the dense one, and holds every entry that is not 0."""

    def total(x):
        return am.sum(program(x)) + 0.0 * x[0]

    found = hessian(total, sparse=True)(x)
    expected = np.array(hessian(total)(x))
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12, atol=1e-13)
    assert found.has_canonical_format


# ---- shapes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "rev", "fwd"])
def test_corners(mode):
    """No outputs, no inputs, one number, rows of zeros, constants, and an input twice among the outputs."""

    def entries(function, x):
        return jacobian(function, mode=mode, sparse=True)(x)

    assert ((0, 2), 0) == (entries(lambda x: [], [1.0, 2.0]).shape, entries(lambda x: [], [1.0, 2.0]).nnz)
    assert (0, 0) == entries(lambda x: x, []).shape
    assert (2, 0) == entries(lambda x: [1.0, 2.0], []).shape
    assert [[6.0]] == entries(lambda x: x * x, 3.0).toarray().tolist()
    zeros = entries(lambda x: [2.0, x[1], 5, x[1], x[0] * 0.0], [1.0, 2.0])
    assert ([0, 0, 1, 1, 2, 3], [1, 1, 0]) == (zeros.indptr.tolist(), zeros.indices.tolist())
    assert [1.0, 1.0, 0.0] == zeros.data.tolist()  # the derivative of x·0 is an entry whose number is 0
    assert [[24.0]] == hessian(lambda x: x**4 / 2.0, sparse=True)(2.0).toarray().tolist()


def test_trees_are_flattened_in_order():
    """The columns are the numbers of the arguments one after the other, the rows those of the result."""

    def function(a, b, scale=1.0):
        return {"u": a["x"] * b[0, 1], "v": [scale * a["y"] * b[1]]}

    arguments = {"x": 2.0, "y": 3.0}, np.array([[1.0, 2.0], [3.0, 4.0]])
    expected = [[2.0, 0.0, 0.0, 2.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0, 3.0, 0.0], [0.0, 4.0, 0.0, 0.0, 0.0, 3.0]]
    assert expected == jacobian(function, argnums=(0, 1), sparse=True)(*arguments).toarray().tolist()
    doubled = [[4.0 * x if row else x for x in numbers[2:]] for row, numbers in enumerate(expected)]
    assert doubled == jacobian(function, argnums=1, sparse=True)(*arguments, scale=4.0).toarray().tolist()
    assert (3, 4) == sparsity(function, argnums=1)(*arguments).shape


def test_branches_and_kinks_have_the_pattern_of_the_path():
    """Eager: the side that is selected; at a kink with the derivative 0 the entry stays, with the number 0."""

    def function(x):
        return [am.where(x[0] > 0.0, x[0], x[1]), x[0] if x[1] > 0.0 else x[2], abs(x[2]), am.max(x[0], x[1])]

    assert [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]] == sparsity(function)([1.0, 2.0, 0.0]).toarray().astype(
        int
    ).tolist()
    assert [[0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 1, 0]] == sparsity(function)([-1.0, -1.0, 1.0]).toarray().astype(
        int
    ).tolist()
    found = jacobian(function, sparse=True)([1.0, 1.0, 0.0])
    assert [1.0, 1.0, 0.0, 0.5, 0.5] == found.data.tolist()


def test_what_all_rows_share_costs_no_more_than_once():
    """Rows with a long computation in common take the forward sweep, one row of many inputs the reverse one."""

    def shared(p):
        s = p[0]
        for _ in range(3000):
            s = am.sin(s) + p[1]
        return [s * k for k in range(1500)]

    found = jacobian(shared, sparse=True)([1.0, 2.0])
    np.testing.assert_allclose(found.toarray(), jacobian(shared)([1.0, 2.0]), rtol=1e-12)
    total = jacobian(lambda x: am.log(sum(x)), sparse=True)([1.0] * 4000)
    assert (4000, 1 / 4000) == (total.nnz, total.data[0])


@pytest.mark.slow
def test_a_hundred_thousand_inputs():
    """A band of a hundred thousand columns: entries are not looked for in the whole matrix."""
    x = np.linspace(0.0, 1.0, 100_000)
    found = jacobian(lambda x: x[1:] * x[:-1], sparse=True)(x)
    assert ((99_999, 100_000), 199_998) == (found.shape, found.nnz)
    np.testing.assert_array_equal(found @ np.ones(len(x)), x[1:] + x[:-1])


# ---- errors ------------------------------------------------------------------------------------------------------


def test_errors():
    """Inside another transform, by Values, for no number, and for wrong arguments of `jacobian`."""
    with pytest.raises(TypeError, match="holds plain numbers, so it cannot be differentiated again"):
        grad(lambda x: jacobian(lambda y: y * y, sparse=True)(x).sum())(2.0)
    with pytest.raises(TypeError, match=r"sparsity of <lambda> holds plain numbers"):
        sparsity(lambda y: y * y)(Value(2.0))
    with pytest.raises(TypeError, match="is text, not a number"):
        jacobian(lambda x: x, sparse=True)(["text"])
    with pytest.raises(ValueError, match="argnums names argument 3"):
        hessian(lambda x: x, argnums=3, sparse=True)(1.0)
    with pytest.raises(TypeError, match="sparsity takes a function"):
        sparsity(3.0)
    with pytest.raises(ValueError, match="mode must be"):
        jacobian(lambda x: x, mode="forward", sparse=True)


def test_without_scipy(monkeypatch):
    """The error says which extra to install."""
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    for make in (sparsity, lambda f: jacobian(f, sparse=True), lambda f: hessian(f, sparse=True)):
        with pytest.raises(ImportError, match=r"scalar-autograd\[sparse\]"):
            make(lambda x: x * x)(2.0)
    with pytest.raises(ImportError, match=r"scalar-autograd\[sparse\]"):
        jit(jacobian(lambda x: x * x, sparse=True))


def test_anomalies_are_found():
    """Under `detect_anomaly` a message that is not finite raises, in either mode."""
    for mode in ("rev", "fwd"):
        with detect_anomaly(), pytest.raises(Exception, match="sqrt"):
            jacobian(lambda x: [am.sqrt(x[0]), x[1]], mode=mode, sparse=True)([0.0, 1.0])


# ---- in SciPy ----------------------------------------------------------------------------------------------------


def curve(x):
    """Each number near a measurement and near its neighbours."""
    return np.concatenate([x - np.sin(np.linspace(0.0, 3.0, 12)), 3.0 * (x[1:] - x[:-1]), 0.1 * x**3])


def valley(x):
    """Rosenbrock's function."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def heat(u):
    """Heat that flows to cold ends, and is lost."""
    left, right = np.concatenate([[0.0], u[:-1]]), np.concatenate([u[1:], [0.0]])
    return 40.0 * (left - 2.0 * u + right) - 0.1 * u**2


@pytest.mark.parametrize("wrap", [lambda f: f, jit])
def test_scipys_solvers_take_it(wrap):
    """As it is, eager and compiled, and to the same end as with the dense matrix."""
    dense = scipy.optimize.least_squares(curve, np.zeros(12), jac=jacobian(curve))
    sparse = scipy.optimize.least_squares(curve, np.zeros(12), jac=wrap(jacobian(curve, sparse=True)))
    np.testing.assert_allclose(sparse.x, dense.x, atol=1e-6)
    assert scipy.sparse.issparse(sparse.jac)
    options = {"jac": grad(valley), "method": "trust-constr", "options": {"gtol": 1e-10}}
    found = scipy.optimize.minimize(valley, np.zeros(4), hess=wrap(hessian(valley, sparse=True)), **options)
    np.testing.assert_allclose(found.x, np.ones(4), atol=1e-6)
    slope = wrap(jacobian(heat, sparse=True))
    start = np.sin(np.linspace(0.1, 3.0, 20))
    runs = [
        scipy.integrate.solve_ivp(lambda t, u: heat(u), (0.0, 1.0), start, method="BDF", jac=jac, rtol=1e-8, atol=1e-10)
        for jac in (None, lambda t, u: slope(u))
    ]
    np.testing.assert_allclose(runs[1].y[:, -1], runs[0].y[:, -1], rtol=1e-5)
    assert runs[0].nfev == runs[1].nfev
    solved = scipy.sparse.linalg.spsolve(slope(start).tocsc(), heat(start))
    np.testing.assert_allclose(slope(start) @ solved, heat(start), rtol=1e-9)
