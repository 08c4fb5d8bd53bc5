"""`autograd.math`: the standard `math` module for floats, Values and arrays."""

import builtins
import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, detect_anomaly, grad, jit
from autograd.rules import TABLE
from autograd.testing import check_grads

LEFT_OUT = {"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "nextafter", "ulp"}
NEWER = {"fma", "sumprod"}  # only in Pythons newer than the oldest supported one
ONE = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "degrees",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "gamma",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "radians",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
]
TWO = ["atan2", "copysign", "fmod", "pow", "remainder", "hypot"]
FLOATS = st.floats(allow_subnormal=False)


def test_everything_in_the_standard_module_is_here():
    """Every function of `math` is here, or is left out because it has no meaning for a real variable."""
    standard = {name for name in dir(math) if not name.startswith("_")}
    assert standard - LEFT_OUT - NEWER <= set(am.__all__)
    assert NEWER <= set(am.__all__)
    assert not LEFT_OUT & set(am.__all__)
    assert set(TABLE) - set(am.__all__) == {"add", "sub", "mul", "div", "neg", "pos"}  # these are operators


def answer(function, *operands):
    """The result of the standard module as a float; None if it raises."""
    try:
        return float(function(*operands))
    except (ValueError, OverflowError):
        return None


def agrees(expected, actual):
    """The same float, except for the last bits where it is computed in another way."""
    return expected == actual or (math.isnan(expected) and math.isnan(actual)) or math.isclose(expected, actual)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE)
@given(x=FLOATS | st.floats(-3.0, 3.0))
def test_functions_of_one_number(name, x):
    """A float gives a float: the standard module's result, or IEEE's where that module raises."""
    expected, actual = answer(getattr(math, name), x), getattr(am, name)(x)
    assert type(actual) is float
    if expected is not None and not (name in ("degrees", "radians") and math.isinf(actual)):
        assert agrees(expected, actual)


@pytest.mark.parametrize("name", TWO)
@given(x=FLOATS | st.floats(-3.0, 3.0), y=FLOATS | st.floats(-3.0, 3.0))
def test_functions_of_two_numbers(name, x, y):
    """The same for two operands."""
    expected, actual = answer(getattr(math, name), x, y), getattr(am, name)(x, y)
    assert type(actual) is float
    if expected is not None:
        assert agrees(expected, actual)


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("log", (0.0,), -math.inf),
        ("log", (-0.0,), -math.inf),
        ("log", (-1.0,), math.nan),
        ("log2", (0.0,), -math.inf),
        ("log10", (0.0,), -math.inf),
        ("log1p", (-1.0,), -math.inf),
        ("log1p", (-2.0,), math.nan),
        ("sqrt", (-1.0,), math.nan),
        ("exp", (1000.0,), math.inf),
        ("exp", (-1000.0,), 0.0),
        ("exp2", (1e10,), math.inf),
        ("expm1", (1000.0,), math.inf),
        ("sinh", (-1000.0,), -math.inf),
        ("cosh", (-1000.0,), math.inf),
        ("acos", (2.0,), math.nan),
        ("asin", (-2.0,), math.nan),
        ("acosh", (0.5,), math.nan),
        ("atanh", (1.0,), math.inf),
        ("atanh", (-1.0,), -math.inf),
        ("atanh", (2.0,), math.nan),
        ("sin", (math.inf,), math.nan),
        ("tan", (math.inf,), math.nan),
        ("gamma", (200.0,), math.inf),
        ("gamma", (0.0,), math.inf),
        ("gamma", (-0.0,), -math.inf),
        ("gamma", (-1.0,), math.nan),
        ("lgamma", (-1.0,), math.inf),
        ("lgamma", (1e308,), math.inf),
        ("pow", (0.0, -1.0), math.inf),
        ("pow", (-0.0, -1.0), -math.inf),
        ("pow", (-8.0, 1.0 / 3.0), math.nan),
        ("pow", (10.0, 400.0), math.inf),
        ("fmod", (1.0, 0.0), math.nan),
        ("remainder", (math.inf, 1.0), math.nan),
        ("floor", (math.inf,), math.inf),
        ("ceil", (math.nan,), math.nan),
        ("ldexp", (1.0, 5000), math.inf),
    ],
)
def test_ieee_where_the_standard_module_raises(name, operands, expected):
    """A pole is infinite, a result that is not real is nan, an overflow is inf; on Values too."""
    assert agrees(expected, getattr(am, name)(*operands))
    found = getattr(am, name)(Value(operands[0]), *operands[1:])
    assert agrees(expected, found.data)


@pytest.mark.parametrize("name", [*ONE, "relu", "sigmoid", "silu", "gelu", "softplus", "sign", "abs", "rint"])
def test_values_and_arrays(name):
    """A Value gives a Value with the same number; an array of floats gives floats, an array of Values gives Values."""
    function = getattr(am, name)
    points = [1.25, 2.5, 1.75] if name == "acosh" else [0.25, 0.5, 0.75]
    expected = [function(x) for x in points]
    found = function(Value(points[0]))
    assert isinstance(found, Value)
    assert expected[0] == found.data
    floats = function(np.array(points))
    assert np.float64 is floats.dtype.type
    assert expected == floats.tolist()
    values = function(np.array([[Value(x) for x in points]]))
    assert (1, 3) == values.shape
    assert expected == [v.data for v in values[0]]


def test_numbers_of_other_kinds_give_floats():
    """int, bool, Fraction and NumPy scalars are taken as floats."""
    for number in (1, True, Fraction(1), np.float32(1.0), np.int64(1), np.array(1.0)):
        assert type(am.exp(number)) is float
        assert math.e == am.exp(number)


@pytest.mark.parametrize("x", ["1", None, 1j, [1.0]], ids=repr)
def test_what_is_no_number_is_refused(x):
    """As in Value, with a message that says what to pass."""
    with pytest.raises(TypeError, match=r"pass|make one"):
        am.exp(x)


def test_wrong_numbers_of_operands():
    """A function of one operand takes one."""
    with pytest.raises(TypeError, match="exp takes 1 operand, not 2"):
        am.exp(1.0, 2.0)
    with pytest.raises(TypeError, match="atan2 takes 2 operands, not 1"):
        am.atan2(1.0)


@pytest.mark.parametrize("function", [am.sum, am.fsum, am.prod])
def test_one_number_is_no_iterable(function):
    """A sum takes one iterable, and the message says so."""
    with pytest.raises(TypeError, match=r"an iterable of numbers is expected, such as \[x, y\], not Value\(data=1.0"):
        function(Value(1.0))


def test_log_to_a_base():
    """Base and number may be Values; 2 and 10 have their own functions."""
    assert 3.0 == am.log(8.0, 2.0)
    check_grads(am.log, [3.0, 5.0])
    assert 3 == am.log(np.array([8.0]), 2.0)[0]


@given(x=st.floats(-1e300, 1e300), exponent=st.integers(-1100, 1100))
def test_ldexp_and_frexp(x, exponent):
    """Scaling by powers of two is exact where the standard module's is; frexp gives mantissa and exponent."""
    expected = answer(math.ldexp, x, exponent)
    assert agrees(math.copysign(math.inf, x) if expected is None else expected, am.ldexp(x, exponent))
    assert math.frexp(x) == am.frexp(x)
    mantissa, power = am.frexp(Value(x))
    assert math.frexp(x) == (mantissa.data, power)


@given(x=st.floats(allow_nan=False))
def test_modf(x):
    """Fractional and whole part, with signs and infinities."""
    expected = math.modf(x)
    for found in (am.modf(x), tuple(v.data if isinstance(v, Value) else v for v in am.modf(Value(x)))):
        assert expected == found
        assert [math.copysign(1.0, part) for part in expected] == [math.copysign(1.0, part) for part in found]


def test_derivatives_of_composed_functions():
    """frexp, ldexp, modf, degrees, radians: functions made of primitives have the right derivatives."""
    assert 2.0**-2 == grad(lambda x: am.frexp(x)[0])(2.5)
    assert 8.0 == grad(lambda x: am.ldexp(x, 3))(2.5)
    assert (1.0, 0.0) == (grad(lambda x: am.modf(x)[0])(2.5), grad(lambda x: am.modf(x)[1])(2.5))
    assert 180.0 / math.pi == grad(am.degrees)(1.0)
    assert math.pi / 180.0 == grad(am.radians)(1.0)


def test_many_coordinates():
    """hypot and dist of any number of coordinates, without overflow."""
    assert 13.0 == am.hypot(3.0, 4.0, 12.0)
    assert 5.0 == am.hypot(-5.0)
    assert 0.0 == am.hypot()
    assert math.isclose(math.sqrt(3.0) * 1e200, am.hypot(1e200, 1e200, 1e200))
    assert 5.0 == am.dist([0.0, 1.0], [3.0, 5.0])
    check_grads(lambda p, q: am.dist(p, q), [[0.5, 1.0, 2.0], [3.0, 5.0, -1.0]])
    with pytest.raises(ValueError, match="zip"):
        am.dist([1.0], [1.0, 2.0])


@pytest.mark.parametrize("name", ["max", "min", "mean", "logsumexp"])
def test_one_iterable_or_many_operands(name):
    """Operands one by one, a list, a generator, an array of any shape: one node."""
    function, numbers = getattr(am, name), [3.0, 1.0, 2.0, 5.0]
    expected = function(*numbers)
    assert type(expected) is float
    assert expected == function(numbers) == function(iter(numbers)) == function(np.array(numbers).reshape(2, 2))
    node = function([Value(x) for x in numbers])
    assert expected == node.data
    assert 4 == len(node.parents)
    with pytest.raises(ValueError, match=f"{name} of no operands has no value: pass at least one"):
        function([])
    with pytest.raises(ValueError, match="of no operands"):
        function()
    assert 7.0 == getattr(am, name)(7.0)


def test_sums_and_products():
    """sum, fsum, prod, dot, sumprod as single nodes, with a start, and of no operands."""
    values = [Value(1.0), Value(2.0), Value(4.0)]
    assert (7.0, 8.0) == (am.sum(values).data, am.prod(values).data)
    assert 3 == len(am.sum(values).operands) == len(am.fsum(values).operands)
    assert (0.0, 1.0) == (am.sum([]), am.prod([]))
    assert (17.0, 16.0) == (am.sum(values, 10.0).data, am.prod(values, start=2.0).data)
    assert 21.0 == am.dot(values, [1.0, 2.0, 4.0]).data == am.sumprod(values, values).data
    assert 10.0 == am.sum(np.array([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(ValueError, match="dot needs two sequences of the same length, not 3 and 1"):
        am.dot(values, [1.0])


def test_choices():
    """where, clip, max and min choose by the numbers."""
    assert (1.0, 2.0) == (am.where(True, 1.0, 2.0), am.where(0.0, 1.0, 2.0))
    assert [1.0, 5.0] == am.where(np.array([1.0, 0.0]), 1.0, np.array([4.0, 5.0])).tolist()
    assert [0.0, 0.5, 1.0] == am.clip(np.array([-3.0, 0.5, 3.0]), 0.0, 1.0).tolist()
    assert math.isnan(am.max(1.0, math.nan))


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "gamma", "sigmoid", "isnan"])
def test_arrays_of_extremes_give_no_warning(name):
    """NumPy gives no warning of IEEE results, in any version of Python."""
    extremes = [-math.inf, -1e308, -1.0, 0.0, 1e308, math.inf, math.nan]
    expected = [getattr(am, name)(x) for x in extremes]
    np.testing.assert_array_equal(getattr(am, name)(np.array(extremes)), expected)


def test_rounding():
    """round rounds to even, or to a number of digits."""
    assert (2.0, 2.7, 120.0) == (am.round(2.5), am.round(2.675, 1), am.round(123.0, -1))
    assert [2.0, 4.0] == am.round(np.array([2.5, 3.5])).tolist()


def test_activations_have_their_usual_defaults():
    """leaky_relu has slope 0.01, elu alpha 1."""
    assert (-0.02, -0.4) == (am.leaky_relu(-2.0), am.leaky_relu(-2.0, 0.2))
    assert (math.expm1(-2.0), 2.0 * math.expm1(-2.0)) == (am.elu(-2.0), am.elu(-2.0, 2.0))


def test_predicates():
    """isfinite, isinf, isnan and isclose test the numbers and give bools."""
    assert [True, False, False] == [am.isfinite(Value(x)) for x in (1.0, math.inf, math.nan)]
    assert am.isinf(-math.inf)
    assert am.isnan(Value(math.nan)) is True
    assert [False, True] == am.isnan(np.array([1.0, math.nan])).tolist()
    assert am.isclose(Value(1.0), 1.0 + 1e-10)
    assert not am.isclose(1.0, Value(1.1))
    assert am.isclose(1.0, Value(1.1), rel_tol=0.2)
    assert am.isclose(0.0, Value(1e-12), abs_tol=1e-9)
    assert [True, False] == am.isclose(np.array([Value(1.0), 2.0]), 1.0).tolist()
    numbers = (0.0, -0.0, 1.0, 1.0 + 1e-9, -1.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan)
    for a, b in itertools.product(numbers, repeat=2):
        assert math.isclose(a, b) is am.isclose(Value(a), b) is am.isclose(a, b), (a, b)
    with pytest.raises(ValueError, match=r"tolerances must not be negative: rel_tol=-1.0, abs_tol=0.0"):
        am.isclose(1.0, 1.0, rel_tol=-1.0)


def test_predicates_make_no_node():
    """A test whether a number is finite raises no AnomalyError."""
    with detect_anomaly():
        infinite = Value(math.inf)
        assert (False, True, False) == (am.isfinite(infinite), am.isclose(infinite, math.inf), np.isfinite(infinite))


def test_predicates_are_branches_of_compiled_code():
    """The compiler treats isclose and NumPy's isfinite, isinf and isnan as comparisons."""

    def choose(x):
        if np.isnan(x) or np.isinf(x):
            return 3.0
        return 1.0 if am.isclose(x, 1.0) else 2.0 * x

    compiled = jit(choose)
    for x in (1.0, 5.0, math.inf, math.nan, 1.0 + 1e-12):
        assert choose(x) == compiled(x), x


def test_constants():
    """The same numbers as in the standard module."""
    assert (math.pi, math.e, math.tau, math.inf) == (am.pi, am.e, am.tau, am.inf)
    assert math.isnan(am.nan)


def test_the_builtins_are_left_alone():
    """The module's max, sum and so on do not change the builtins."""
    assert builtins.max is max
    assert am.max is not max


@pytest.mark.slow
@pytest.mark.parametrize(("order", "x"), [(1, -0.3), (1, -1e6 - 0.25), (2, -7.6), (3, -12.125), (5, -0.999)])
def test_polygamma_of_negative_numbers(order, x):
    """Polygamma is right between its poles on the whole negative axis."""
    with mpmath.workdps(50):  # by reflection: mpmath's own way to a million left of zero takes as many steps
        cotangent = mpmath.diff(lambda t: mpmath.cot(mpmath.pi * t), x, order)
        expected = (-1) ** order * mpmath.psi(order, 1 - mpmath.mpf(x)) - mpmath.pi * cotangent
    assert am.polygamma(order, x) == pytest.approx(float(expected), rel=1e-12)


def test_polygamma_where_it_is_not_finite():
    """Poles, invalid orders, and orders whose factorial is out of range give a result at once."""
    answers = [am.polygamma(1, -2), am.polygamma(171, -0.75), am.polygamma(172, -0.75), am.polygamma(172, -0.25)]
    assert [math.inf, math.inf, -math.inf, math.inf] == answers
    for order, x in ((-1, 2.0), (1.5, 2.0), (math.inf, 2.0), (math.nan, 2.0), (1, -math.inf)):
        assert math.isnan(am.polygamma(order, x)), (order, x)
