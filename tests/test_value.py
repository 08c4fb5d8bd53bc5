"""The node: what it accepts, what its operators give, what it prints and what it refuses."""

import datetime
import math
import operator
import re
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import autograd
import autograd.math as am
from autograd import Value, backward, grad, no_grad
from autograd.rules import TABLE

BINARY = {
    operator.add: (lambda a, b: 1.0, lambda a, b: 1.0),
    operator.sub: (lambda a, b: 1.0, lambda a, b: -1.0),
    operator.mul: (lambda a, b: b, lambda a, b: a),
    operator.truediv: (lambda a, b: 1 / b, lambda a, b: -a / b**2),
    operator.pow: (lambda a, b: b * a ** (b - 1), lambda a, b: a**b * math.log(a)),
    operator.floordiv: (lambda a, b: 0.0, lambda a, b: 0.0),
    operator.mod: (lambda a, b: 1.0, lambda a, b: -(a // b)),
}
REALS = [3, 2.5, True, Fraction(5, 4), np.float64(1.25), np.float32(0.5), np.int64(2), np.bool_(True), np.array(1.5)]
OPERATORS = pytest.mark.parametrize("operate", BINARY, ids=lambda f: f.__name__)


# ---- operators ------------------------------------------------------------------------------------------------


@OPERATORS
def test_two_values(operate):
    """Every binary operator on two Values has Python's value and the textbook's two derivatives."""
    a, b = Value(3.5), Value(2.0)
    y = operate(a, b)
    y.backward()
    assert operate(3.5, 2.0) == y.data
    by_a, by_b = BINARY[operate]
    assert (by_a(3.5, 2.0), by_b(3.5, 2.0)) == pytest.approx((a.grad, b.grad), rel=1e-15)


@OPERATORS
@pytest.mark.parametrize("other", REALS, ids=lambda x: type(x).__name__)
def test_any_real_number_on_either_side(operate, other):
    """int, float, bool, Fraction and NumPy scalars mix in both orders, and are constants."""
    by_left, by_right = BINARY[operate]
    x, number = Value(3.5), float(other)
    right = operate(x, other)
    right.backward()
    assert isinstance(right, Value)
    assert operate(3.5, number) == right.data
    assert by_left(3.5, number) == pytest.approx(x.grad, rel=1e-15)
    assert (x, number) == right.operands
    assert type(right.operands[1]) is float
    x = Value(3.5)
    left = operate(other, x)
    left.backward()
    assert isinstance(left, Value)
    assert operate(number, 3.5) == left.data
    assert by_right(number, 3.5) == pytest.approx(x.grad, rel=1e-15)
    assert (x,) == left.parents


@OPERATORS
@pytest.mark.parametrize("swap", [False, True])
def test_decimal_is_refused_with_a_reason(operate, swap):
    """A Decimal would lose digits silently; the error says what to pass."""
    pair = (Decimal("1.5"), Value(2.0)) if swap else (Value(2.0), Decimal("1.5"))
    with pytest.raises(TypeError, match=r"Decimal.*does not mix with binary floats.*pass float\(1.5\)"):
        operate(*pair)


@OPERATORS
@pytest.mark.parametrize("other", ["3", None, [1.0]], ids=repr)
@pytest.mark.parametrize("swap", [False, True])
def test_what_is_no_number_is_refused(operate, other, swap):
    """Text, None and lists are TypeErrors on either side."""
    pair = (other, Value(2.0)) if swap else (Value(2.0), other)
    with pytest.raises(TypeError):
        operate(*pair)


def test_complex_is_refused_with_a_reason():
    """Real derivatives do not take complex numbers; the error says so."""
    for compute in (lambda: Value(1.0) + 1j, lambda: 1j * Value(1.0)):
        with pytest.raises(TypeError, match=r"is complex.*pass its \.real or \.imag"):
            compute()


def test_the_three_powers():
    """A Value to a number, a number to a Value, a Value to a Value."""
    x, n = Value(2.0), Value(3.0)
    backward([x**3, 2.0**n, x**n])
    assert 2 * 12.0 == x.grad
    assert 2 * 8.0 * math.log(2.0) == pytest.approx(n.grad, rel=1e-15)
    assert isinstance((-8.0) ** Value(0.5), Value)
    assert math.isnan(((-8.0) ** Value(0.5)).data)


def test_pow_with_a_modulus_is_not_offered():
    """pow(x, y, m) is for whole numbers."""
    with pytest.raises(TypeError):
        pow(Value(2.0), 3, 5)


def test_unary_operators():
    """-x, +x and abs(x) are nodes."""
    x = Value(-3.0)
    backward([-x, +x, abs(x)], [1.0, 10.0, 100.0])
    assert -1.0 + 10.0 - 100.0 == x.grad


@pytest.mark.parametrize("number", [2.5, -2.5, 3.5, -0.5, 7.0, 1e300, -0.0])
def test_round_family(number):
    """round, floor, ceil and trunc have Python's values, as floats, and derivative 0."""
    for function in (round, math.floor, math.ceil, math.trunc, lambda x: round(x, 1), lambda x: round(x, -1)):
        x = Value(number)
        y = function(x)
        y.backward()
        assert isinstance(y, Value)
        assert function(number) == y.data
        assert 0.0 == x.grad


@pytest.mark.parametrize("a", [7.5, -7.5, 0.0, 6.0])
@pytest.mark.parametrize("b", [2.0, -2.0, 0.3])
def test_division_with_remainder(a, b):
    """//, % and divmod agree with Python's, signs included; a = (a // b) b + a % b holds for the derivatives too."""
    x, y = Value(a), Value(b)
    quotient, rest = divmod(x, y)
    assert divmod(a, b) == (quotient.data, rest.data)
    assert (a // b, a % b) == ((x // y).data, (x % y).data)
    assert divmod(a, b) == tuple(v.data for v in divmod(a, y)) == tuple(v.data for v in divmod(x, b))
    (quotient * y + rest).backward()
    assert (1.0, 0.0) == (x.grad, y.grad)


@pytest.mark.parametrize("operate", [operator.truediv, operator.floordiv, operator.mod, divmod])
def test_division_by_zero_is_ieee(operate):
    """Where Python raises a ZeroDivisionError, the result is that of IEEE 754."""
    result = operate(Value(1.0), 0.0)
    first = result[0] if isinstance(result, tuple) else result
    assert math.isnan(first.data) if operate is operator.mod else math.inf == first.data


def test_overflow_is_infinite():
    """No operation raises an OverflowError."""
    x = Value(1e200)
    assert [math.inf] * 5 == [(x * x).data, (x**2).data, (x**2.5).data, (Value(1e3).exp()).data, (x * 10**400).data]


def test_sum_of_a_list():
    """The builtin sum starts with the int 0."""
    values = [Value(1.0), Value(2.0), Value(3.0)]
    total = sum(values)
    total.backward()
    assert 6.0 == total.data
    assert [1.0, 1.0, 1.0] == [v.grad for v in values]


@pytest.mark.parametrize("operate", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow])
def test_augmented_assignment_rebinds(operate):
    """`x += 1` makes a new node; the old node, which may be used elsewhere, does not change."""
    x = kept = Value(3.0)
    x = operate(x, 2.0)
    assert x is not kept
    assert 3.0 == kept.data
    assert (kept,) == x.parents


# ---- comparisons, truth, text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge])
@pytest.mark.parametrize("other", [1.0, 2, Fraction(2), np.float64(3.0), True, math.nan])
def test_comparisons_are_numeric(compare, other):
    """Order and equality compare the data, on either side."""
    x = Value(2.0)
    assert compare(2.0, float(other)) == compare(x, other) == compare(x, Value(other))
    assert compare(float(other), 2.0) == compare(other, x)


def test_comparison_with_what_is_no_number():
    """Equality with anything is False, order is a TypeError."""
    assert (Value(1.0) == "1") is False
    assert (Value(1.0) != None) is True  # noqa: E711  # the operator is the point
    with pytest.raises(TypeError, match="'<' not supported"):
        Value(1.0) < "1"  # noqa: B015  # raises


def test_truth_is_numeric():
    """As for floats: 0 and -0 are false, nan is true."""
    assert [False, False, True, True] == [bool(Value(x)) for x in (0.0, -0.0, 0.1, math.nan)]


def test_hash_is_identity():
    """Two nodes with equal numbers are two different keys."""
    a, b = Value(1.0), Value(1.0)
    assert a == b
    assert 2 == len({a, b})
    assert {a: "a", b: "b"}[a] == "a"


def test_text():
    """repr shows data, gradient and label; a format specification applies to the number."""
    x = Value(3, label="x")
    assert "Value(data=3.0, grad=0.0, label='x')" == repr(x)
    assert "Value(data=0.5, grad=0.0)" == repr(Value(0.5)) == f"{Value(0.5)}"
    assert ("3.142", "  3.1", "3.14e+00") == tuple(format(Value(math.pi), spec) for spec in (".3f", "5.1f", ".2e"))
    with pytest.raises(ValueError, match="format code"):
        f"{x:d}"


@pytest.mark.parametrize(
    ("convert", "advice"),
    [
        (float, "a float .*use its .data for the number, autograd.math"),
        (int, "an int .*use its .data for the number, autograd.math"),
        (complex, "a float .*use its .data for the number, autograd.math"),
        (range, r"an index .*use int\(\) of its .data, or autograd.math.take"),
        (lambda x: [1, 2][x], r"an index .*use int\(\) of its .data, or autograd.math.take"),
        (lambda x: math.exp(x), "a float .*use autograd.math.exp, or its .data where no gradient is wanted"),
        (lambda x: math.isclose(x, 1.0), "a float .*autograd.math"),
        (lambda x: np.zeros(2).__setitem__(0, x), "a float .*: an array of floats holds no Values"),
        (lambda x: np.array([x], dtype=float), "a float .*: an array of floats holds no Values. Leave dtype out"),
    ],
)
def test_no_silent_conversion(convert, advice):
    """float(v) and math.exp(v) would cut the graph; the error names the Value and says what to use in that place."""
    with pytest.raises(TypeError, match=rf"Value\(data=1.0, grad=0.0, label='x'\) does not turn into {advice}"):
        convert(Value(1.0, label="x"))


def test_an_element_of_an_array_of_floats():
    """An array of floats cannot be filled with Values: the error says which container can."""
    filled = np.zeros(2)
    with pytest.raises(TypeError, match=r"'filled\[0\]' at .*Use a list, or make it with dtype=object"):
        filled[0] = Value(1.0)


def test_code_of_a_package_that_calls_compiled_code():
    """The error does not send people to adopt() what has no Python source."""
    optimize = pytest.importorskip("scipy.optimize")
    # SciPy goes on after the error; where that runs code in Python, the error becomes the cause of another one.
    with pytest.raises(TypeError if autograd.backend() == "c" else (TypeError, SystemError)) as caught:
        grad(lambda a: optimize.brentq(lambda x: x * x - a, 0.0, 5.0))(2.0)
    error = caught.value
    while isinstance(error, SystemError):
        error = error.__cause__
    assert isinstance(error, TypeError)
    assert re.search(r"scipy calls compiled code here.*autograd.implicit.solution_of", str(error))


# ---- construction and data ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [3, 2.5, True, Fraction(1, 2), np.float32(0.5), np.int8(3), np.bool_(True), np.array(2)]
)
def test_data_is_a_float(data):
    """Any real number becomes a float."""
    x = Value(data)
    assert type(x.data) is float
    assert float(data) == x.data
    assert (0.0, None, (), (), ()) == (x.grad, x.op, x.operands, x.parents, x.local_grads)


def test_ints_beyond_the_floats_are_infinite():
    """Like the sum of two large floats."""
    assert (math.inf, -math.inf) == (Value(10**400).data, Value(-(10**400)).data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("3", r"'3' of type str is text, not a number: pass float\(text\)"),
        (b"3", "is text"),
        (1j, r"1j of type complex is complex.*pass its \.real or \.imag"),
        (None, "None is not a number: pass a float"),
        (Value(1.0), r"Value\(data=1.0, grad=0.0\) is a Value already: use it as it is.*detach"),
        (np.array([1.0, 2.0]), r"holds many numbers and a Value is one: make one Value of each element"),
        ([1.0], "holds many numbers"),
        (Decimal("1.5"), r"pass float\(1.5\)"),
        (np.array("a"), "'a' of type str is text"),
        ({1.0, 2.0}, "not a real number, nor a container known here: pass a list, tuple, dict or ndarray"),
        (
            np.datetime64("2020-01-01"),
            r"is a time, not a number: .*the unit, \(t - t0\) / np\.timedelta64\(1, 's'\)",
        ),
        (np.timedelta64(3, "ns"), "of type timedelta64 is a time, not a number"),
        (datetime.timedelta(3), r"is a time, not a number: .* / timedelta\(seconds=1\)"),
        (object(), "is not a real number: pass an int, a float, a Fraction or a NumPy scalar"),
        (SimpleNamespace(a=1.0), "is not a real number: pass its numbers, or make its class a dataclass"),
        (Value(1.0).exp, "is not a real number: call it, or pass its result"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_data_that_is_no_real_number(data, message):
    """The TypeError names the value and says what to pass."""
    with pytest.raises(TypeError, match=message):
        Value(data)


def test_data_of_a_leaf_is_assigned_to_train():
    """A leaf's data accepts any real number; results computed from it stay until they are computed again."""
    w = Value(1.0)
    y = w * w
    w.data = np.float32(0.5)
    w.data -= 1
    assert (-0.5, 1.0) == (w.data, y.data)
    with pytest.raises(TypeError, match="is text"):
        w.data = "1"
    w.grad = 3
    assert (3.0, float) == (w.grad, type(w.grad))


def test_data_of_a_computed_node_is_not_assigned():
    """The error names the operation, its operands, and what to do instead."""
    x = Value(2.0, label="x")
    y = x * 3
    with pytest.raises(AttributeError, match=r"mul\(x=2.0, 3.0\) would no longer be.*leaf.*\.detach\(\)"):
        y.data = 1.0
    assert 6.0 == y.data
    free = y.detach()
    free.data = 1.0
    assert 1.0 == free.data


def test_detach_and_no_grad_make_leaves():
    """Gradients stop at a detached node; data computed under no_grad can be assigned."""
    x = Value(3.0)
    (x.detach() * x).backward()
    assert 3.0 == x.grad
    with no_grad():
        y = x * x
    y.data = 1.0
    assert (None, (), ()) == (y.op, y.operands, y.parents)


def test_fields_of_a_computed_node():
    """A node has its rule, operands in order, parents with repeats, and local derivatives."""
    x = Value(3.0)
    square = x * x
    assert TABLE["mul"] is square.op
    assert (x, x) == square.operands == square.parents
    assert (3.0, 3.0) == square.local_grads
    shifted = 2.0 - x
    assert (2.0, x) == shifted.operands
    assert (x,) == shifted.parents
    assert (None, -1.0) == shifted.local_grads
    square.label = "square"
    assert "square" in repr(square)


def test_unknown_attributes_are_errors():
    """A misspelt field is an error."""
    with pytest.raises(AttributeError):
        Value(1.0).gard = 1.0


def test_every_row_is_a_method():
    """Every primitive is a method of Value; optional operands have their usual defaults."""
    for name, rule in TABLE.items():
        if rule.arity == 1:
            assert isinstance(getattr(Value(0.5), name)(), Value), name
    x = Value(-2.0)
    assert (-0.02, math.expm1(-2.0)) == (x.leaky_relu().data, x.elu().data)
    assert (-1.0, 3.0 * math.expm1(-2.0)) == (x.leaky_relu(0.5).data, x.elu(alpha=3.0).data)
    assert (5.0, 2.0) == (Value(3.0).hypot(4.0).data, Value(1.0).max(2.0).data)


def test_the_typed_methods_are_the_table():
    """Every method that Value declares to editors and type checkers exists."""
    names = "acos acosh asin atan atanh cbrt cos digamma erf exp gelu lgamma log relu sigmoid silu softplus tanh rint"
    assert all(callable(getattr(Value, name)) for name in names.split())
    assert am.exp(1.0) == Value(1.0).exp().data


def test_subclasses_take_part():
    """An instance of a subclass of Value is an operand like any other."""

    class Weight(Value):
        """A subclass with its own name."""

    w = Weight(3.0, label="w")
    for y in (w * w, 2.0 * w + 1, w.exp(), am.dot([w], [2.0]), w**2, 1 - w):
        assert isinstance(y, Value)
        assert w in y.operands or w in y.operands[0].operands
    (w * w + w).backward()
    assert 7.0 == w.grad
