"""SciPy's special functions and NumPy's other functions on Values: results of the libraries, derivatives that check."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

from autograd import Value, adopt, grad, hessian, jacobian, jit, linalg, special, value_and_grad, vmap
from autograd.testing import check_grads

POINTS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(("erfinv", "erfcinv", "ndtri", "logit"), (0.3,)),
    **dict.fromkeys(("beta", "betaln"), (2.3, 1.2)),
    **dict.fromkeys(("gammainc", "gammaincc", "jv", "yv", "iv", "kv"), (1.5, 2.0)),
    **dict.fromkeys(("xlogy", "xlog1py", "rel_entr", "kl_div"), (0.3, 2.0)),
    "betainc": (2.0, 3.0, 0.4),
}
FIXED = {
    "gammainc": 1,
    "gammaincc": 1,
    "betainc": 2,
    "jv": 1,
    "yv": 1,
    "iv": 1,
    "kv": 1,
}  # operands without a derivative
FUNCTIONS = sorted(set(special.__all__) - {"norm", "lambertw"})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scipys_function_takes_values(name: str) -> None:
    """`scipy.special` itself: the value, derivatives of two orders, and machine code."""
    ours, theirs = getattr(special, name), getattr(scipy.special, name)
    point, fixed = POINTS.get(name, (0.7,)), FIXED.get(name, 0)
    assert ours(*point) == pytest.approx(theirs(*point), rel=1e-14)
    check_grads(lambda *x: theirs(*point[:fixed], *x), point[fixed:])
    slope = grad(lambda *x: ours(*point[:fixed], *x))
    assert jit(slope)(*point[fixed:]) == pytest.approx(slope(*point[fixed:]), rel=1e-13)


def test_lambertw() -> None:
    """Its principal branch; its results are complex, so that users take `.real`."""
    check_grads(lambda x: scipy.special.lambertw(x).real, [0.7])
    assert special.lambertw(0.7) == scipy.special.lambertw(0.7).real
    with pytest.raises(TypeError, match="branch 0 only"):
        scipy.special.lambertw(Value(0.7), -1)


@pytest.mark.parametrize("name", ["pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf"])
def test_the_normal_distribution(name: str) -> None:
    """Value and derivatives, by location and scale too; in adopted code `scipy.stats.norm` is the same."""
    ours, theirs = getattr(special.norm, name), getattr(scipy.stats.norm, name)
    assert ours(0.3, 0.1, 2.0) == pytest.approx(theirs(0.3, 0.1, 2.0), rel=1e-14)
    check_grads(ours, [0.3, 0.1, 2.0])


def normal(x: Any) -> Any:
    """Both ways to import it."""
    import scipy.stats
    from scipy.stats import norm

    return norm.cdf(x) + scipy.stats.norm.pdf(x) + norm.cdf(np.array([0.0]))[0]


def solves(x: Any) -> Any:
    """NumPy's functions that look into arrays of objects."""
    a = np.array([[x, 1.0], [0.5, 2.0]])
    y = np.linalg.solve(a, np.array([1.0, 2.0])) @ np.linalg.inv(a)
    return y[0] + np.linalg.det(a) + np.interp(x, [0.0, 1.0, 4.0], [0.0, 1.0, 9.0]) + np.linalg.det(np.eye(2))


@pytest.mark.parametrize("function", [normal, solves])
def test_adopted_code_uses_the_libraries(function: Any) -> None:
    """Floats go to NumPy and SciPy, Values to ours."""
    adopted = adopt(function)
    assert adopted(2.5) == pytest.approx(function(2.5), rel=1e-14)
    check_grads(adopted, [2.5])


def test_numpys_functions_take_values() -> None:
    """Of one Value, of lists and of arrays of them, with gradients."""
    calls: list[Any] = [
        lambda x, y: np.min(x) + np.max(y) + np.sum(x) + np.mean(y) + np.real(x) + np.imag(y),
        lambda x, y: np.min([x, y]) * np.max(np.array([x, y])) + np.sum([x, y]) * np.prod([x, y]),
        lambda x, y: np.clip(x, 0.0, 1.0) + np.clip(y, 0.0, 1.0) + np.clip(np.array([x, y]), 0.1, 5.0).sum(),
        lambda x, y: np.where(x > y, x, y).item() + np.where(np.array([x, y]) > 1, np.array([x, y]), 0.0).sum(),
        lambda x, y: np.interp(y, [0.0, 1.0, 4.0], [0.0, 1.0, 9.0]) + np.stack([x, y])[0] + np.polyval([1.0, 2.0], x),
        lambda x, y: np.linalg.norm(np.array([x, y])) + np.cumsum([x, y])[1] + np.diff([x, y])[0] + np.hypot(x, y),
        lambda x, y: np.std([x, y]) + np.dot(np.array([x, y]), np.array([y, y])) + np.cross([x, y, 1.0], [y, x, x])[2],
    ]
    for call in calls:
        assert call(Value(1.5), Value(0.3)).data == pytest.approx(float(call(1.5, 0.3)), rel=1e-14)
        check_grads(call, [1.5, 0.3])
        compiled = jit(grad(call, argnums=(0, 1)))
        assert compiled(1.5, 0.3) == pytest.approx(grad(call, argnums=(0, 1))(1.5, 0.3), rel=1e-13)
    assert np.shape(Value(1.0)) == ()
    assert np.isclose(Value(1.0), 1.0)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_linear_systems(size: int) -> None:
    """Solutions, inverses and determinants with their derivatives, pivots exchanged, eager and compiled."""
    rng = np.random.default_rng(size)
    a, b = rng.normal(size=(size, size)), rng.normal(size=size)
    if size > 1:
        a[0, 0] = 0.0  # no pivot
    for own, theirs in [
        (lambda a: linalg.solve(a, b), lambda a: np.linalg.solve(a, b)),
        (linalg.inv, np.linalg.inv),
        (linalg.det, np.linalg.det),
    ]:
        np.testing.assert_allclose(own(a), theirs(a), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(jit(own)(a), own(a), rtol=1e-12, atol=1e-14)
        exact = np.array(jacobian(own)(a))
        np.testing.assert_allclose(jit(jacobian(own))(a), exact, rtol=1e-11, atol=1e-13)
    inverse = np.linalg.inv(a)
    expected = -np.einsum("ij,k->ijk", inverse, inverse @ b)
    np.testing.assert_allclose(jacobian(lambda a: linalg.solve(a, b))(a), expected, rtol=1e-9, atol=1e-11)
    check_grads(lambda b: linalg.solve(a, b), [b], order=1)


def test_matrices_of_values_in_many_right_sides() -> None:
    """Columns stay columns, and second derivatives of a determinant are right where it is 0."""
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    right = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(linalg.solve(a, right), np.linalg.solve(a, right), rtol=1e-14)
    second = hessian(lambda x: linalg.det([[x[0], x[1]], [x[2], x[3]]]))(np.zeros(4))
    np.testing.assert_array_equal(second, [[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linalg.solve([[1.0, 2.0]], [1.0]), ValueError, r"one square matrix, not an array of shape \(1, 2\)"),
        (lambda: linalg.solve([[1.0]], [1.0, 2.0]), ValueError, r"right sides of shape \(2,\) do not fit"),
        (lambda: linalg.inv([[1.0, 2.0], [2.0, 4.0]]), np.linalg.LinAlgError, "Singular matrix"),
        (lambda: linalg.interp(1.0, [], []), ValueError, "at least one, not 0 and 0"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    """Shapes that do not fit, and singular matrices."""
    with pytest.raises(error, match=message):
        call()


SINGULAR = {
    "zeros": np.zeros((5, 5)),
    "ones": np.ones((5, 5)),
    "column of zeros": np.array(
        [[1.0, 0, 2, 3, 1], [2, 0, 1, 1, 4], [0, 0, 3, 1, 2], [1, 0, 1, 5, 2], [3, 0, 1, 2, 1]]
    ),
    "equal rows": np.array([[1.0, 2, 0, 3], [0, 1, 4, 1], [0, 1, 4, 1], [2, 0, 1, 1]]),
    "diagonal": np.diag([2.0, 0.0, 3.0, 1.0, 5.0]),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_determinants(name: str) -> None:
    """The determinant is 0, and its gradient the cofactors, also in code compiled for a regular matrix."""
    a, compiled = SINGULAR[name], jit(value_and_grad(linalg.det))
    n, places = len(a), range(len(a))

    def cofactor(i: int, j: int) -> float:
        return (-1.0) ** (i + j) * float(np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)))

    compiled(np.eye(n) + 0.1 * np.ones((n, n)))
    for value, gradient in (compiled(a), value_and_grad(linalg.det)(a)):
        assert 0.0 == pytest.approx(value, abs=1e-12)
        np.testing.assert_allclose(gradient, [[cofactor(i, j) for j in places] for i in places], atol=1e-9)


def test_interpolation_of_nan_and_jumps() -> None:
    """As NumPy: nan stays nan, and between two equal places the table jumps."""
    xs, xp, fp = np.array([np.nan, 0.5, 1.0, 1.5]), [0.0, 1.0, 1.0, 2.0], [3.0, 4.0, 6.0, 5.0]
    expected = np.interp(xs, xp, fp)
    np.testing.assert_array_equal(expected, linalg.interp(xs, xp, fp))
    np.testing.assert_array_equal(expected, jit(vmap(lambda x: np.interp(x, xp, fp)))(xs))
    assert 1.0 == grad(lambda x: linalg.interp(x, xp, fp))(0.5)


def test_interpolation_at_the_ends() -> None:
    """Outside the table, at its places, with numbers of one's own outside, and of arrays."""
    xp, fp = [0.0, 1.0, 4.0], [1.0, 3.0, 9.0]
    xs = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 4.0, 5.0])
    np.testing.assert_allclose(linalg.interp(xs, xp, fp), np.interp(xs, xp, fp))
    assert linalg.interp(Value(-1.0), xp, fp, left=7.0).data == 7.0
    assert linalg.interp(5.0, xp, fp, right=Value(8.0)).data == 8.0
    check_grads(lambda x, f: linalg.interp(x, xp, f), [2.0, fp])


@pytest.mark.parametrize("x", [14.0, 16.0, 1e3, 1e8])
def test_derivatives_far_out_keep_their_digits(x: float) -> None:
    """There the terms of the simple formulas cancel, and nothing was left at 1e8."""
    with mpmath.workdps(1000 if x < 100 else 50):
        z = mpmath.mpf(x)
        u = 1 / z**2
        if x < 100:
            scaled = mpmath.exp(z * z) * mpmath.erfc(z)
            dawson = mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-z * z) * mpmath.erfi(z)
            expected = 2 * z * scaled - 2 / mpmath.sqrt(mpmath.pi), 1 - 2 * z * dawson
        else:
            even, odd = 1 + 15 * u**2 / 4, 3 * u / 2 + 105 * u**3 / 8
            expected = -u * (even - odd) / mpmath.sqrt(mpmath.pi), -u / 2 * (even + odd)
        found = grad(special.erfcx)(x), grad(special.dawsn)(x)
        assert [float(y) for y in expected] == pytest.approx(found, rel=1e-12, abs=0.0)
    assert found[1] == grad(special.dawsn)(-x)


def test_a_system_without_equations() -> None:
    """It has the solution of NumPy: nothing, in the shape of the right side."""
    for right in (np.zeros(0), np.zeros((0, 3))):
        assert np.linalg.solve(np.zeros((0, 0)), right).shape == linalg.solve(np.zeros((0, 0)), right).shape


def test_densities_at_the_ends_of_their_range() -> None:
    """0 to the power of 0 is 1: the density of an exponential distribution at 0, of a uniform one at 0 and 1."""
    cases: list[tuple[Any, tuple[float, ...], float, float]] = [
        (special.gammainc, (1.0,), 0.0, 1.0),
        (special.gammainc, (2.0,), 0.0, 0.0),
        (special.gammainc, (0.5,), 0.0, math.inf),
        (special.betainc, (1.0, 1.0), 0.0, 1.0),
        (special.betainc, (1.0, 1.0), 1.0, 1.0),
        (special.betainc, (2.0, 1.0), 1.0, 2.0),
    ]
    for function, shape, x, expected in cases:
        slope: Any = grad(lambda x, f=function, shape=shape: f(*shape, x))  # type: ignore[misc]
        assert expected == pytest.approx(slope(x)) == jit(slope)(x)
