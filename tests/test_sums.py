"""The functions of autograd.math that promise the standard library's result, compared with it on difficult operands."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, grad, hessian, jacobian, jit, value_and_grad, vmap

SPECIAL = (0.0, -0.0, 1.0, -1.5, 5e-324, -1e-310, 1e-160, 1e16, -1e16, 1e308, -1e308, math.inf, -math.inf, math.nan)


def operands(seed, count):
    """`count` numbers of very different sizes that nearly cancel."""
    source = random.Random(seed)
    numbers = [source.choice([-1, 1]) * math.ldexp(source.random(), source.randint(-1070, 1023)) for _ in range(count)]
    return numbers + [-x * source.choice([1.0, 1.0 + 2.0**-52]) for x in numbers[::2]] + [source.random()]


def exact(numbers):
    """The sum rounded once, also where `math.fsum` raises."""
    try:
        return math.fsum(numbers)
    except ValueError:
        return math.nan
    except OverflowError:
        total = sum(map(Fraction, numbers))
        try:
            return float(total)
        except OverflowError:
            return math.inf if total > 0 else -math.inf


def same(expected, actual):
    """The same float; all nans are equal."""
    return type(actual) is float and (expected.hex() == actual.hex())


CASES = [operands(seed, 1 + seed % 9) for seed in range(40)]
CASES += [list(case) for case in itertools.product(SPECIAL, repeat=2)]
CASES += [[1e16, 1.0, -1e16], [1e308, 1e308, -1e308], [1e308, 1e308], [-1e308, -1e308, 1.0], [0.1] * 10, [3.0]]


def test_fsum_is_the_library_s():
    """fsum has math.fsum's bits on floats, on Values and compiled; where math.fsum raises, it has IEEE's result."""
    compiled = jit(lambda xs: am.fsum(xs))
    for case in CASES:
        expected = exact(case)
        assert same(expected, am.fsum(case)), case
        assert same(expected, am.fsum(np.array(case)))
        values = [Value(x) for x in case]
        assert same(expected, am.fsum(x for x in values).data)
        for given in (values, tuple(values), np.array(values), [*values[:1], *case[1:]]):
            total = am.fsum(given)
            assert same(expected, total.data)
            assert (1.0,) * len(total.parents) == total.local_grads[: len(total.parents)]
        assert same(expected, compiled(case))
    assert 0.0 == am.fsum([])
    assert 1.0 == am.fsum([1e16, 1, -1e16])


def test_fsum_in_a_batch():
    """In a batch it is called for each row."""
    rows = np.array([[1e16, 1.0, -1e16], [0.1, 0.2, 0.3], [1e308, 1e308, -1e308], [1.0, math.inf, -math.inf]])
    found = jit(vmap(lambda x: am.fsum(x)))(np.tile(rows, (5, 1)))
    assert [1.0, math.fsum([0.1, 0.2, 0.3]), 1e308] == found[:3].tolist()
    assert math.isnan(found[3])


@pytest.mark.parametrize("count", [1, 3, 300])
def test_derivatives_of_fsum(count):
    """Every term has derivative 1 in both modes, and second derivatives come from its terms, eager and compiled."""
    point = [1e16, *[1.0] * (count - 2), -1e16][:count]
    assert [1.0] * count == grad(am.fsum)(point) == jit(grad(am.fsum))(point) == jacobian(am.fsum, mode="fwd")(point)
    values = [Value(x) for x in point]
    am.fsum(values).backward()
    assert [1.0] * count == [x.grad for x in values]
    if count == 3:
        for f in (hessian, lambda f: jit(hessian(f))):
            assert [[2.0, 0.0], [0.0, 6.0]] == f(lambda x: am.fsum([x[0] * x[0], 1e16, x[1] ** 3, -1e16]))([2.0, 1.0])


def test_how_many_terms_compile():
    """The call into Python takes at most 1024 operands; more are refused with the line, not added up in another way."""
    point = [1e16, *[0.1] * 1022, -1e16]
    value, gradient = jit(value_and_grad(am.fsum))(point)
    assert math.fsum(point) == value
    assert {1.0} == set(gradient)
    with pytest.raises(TypeError, match=r"fsum of 1,025 operands cannot be compiled, at .*test_sums.*math\.sum"):
        jit(lambda xs: am.fsum(xs))([*point, 1.0])


def test_lengths_and_distances():
    """hypot and dist of two coordinates equal the library's; of many they differ in the last bits at most."""
    source = random.Random(1)
    for case in CASES:
        if len(case) == 2:
            assert same(math.hypot(*case), am.hypot(*case)), case
            assert same(math.dist(case[:1], case[1:]), am.dist(case[:1], case[1:]))
        sized = [x for x in case if x == 0.0 or abs(x) > 1e-290 or math.isnan(x)]
        assert am.hypot(*sized) == pytest.approx(math.hypot(*sized), rel=1e-15, nan_ok=True), sized
    points = [[[source.gauss(0.0, 1.0) for _ in range(count)] for _ in range(2)] for count in (2, 3, 10, 999)]
    for p, q in points:
        assert math.dist(p, q) == pytest.approx(am.dist(p, q), rel=1e-14)
    many = [1.0] + [1e-8] * 100_000  # added one after the other, the small ones would be lost
    assert math.hypot(*many) == pytest.approx(am.hypot(*many), rel=1e-15)
    assert (0.0, 5.0, 5.0) == (am.hypot(), am.hypot(-5.0), am.hypot(Value(-5.0)).data)


def test_products_and_others():
    """prod, isclose, modf, frexp, ldexp, degrees, radians and log to a base give the library's results."""
    for case in CASES:
        assert same(math.prod(case), am.prod(case)), case
        x, y = case[0], case[-1]
        assert math.isclose(x, y) is am.isclose(x, y)
        assert all(map(same, math.modf(x), am.modf(x))), x
        assert math.frexp(x) == am.frexp(x) or math.isnan(x)
        assert same(math.degrees(x), am.degrees(x))
        assert same(math.radians(x), am.radians(x))
        for exponent in (-1080, -1022, -3, 0, 7, 1020):
            if abs(x) < 1.0:
                assert same(math.ldexp(x, exponent), am.ldexp(x, exponent)), (x, exponent)
        if 0.0 < x < math.inf and 0.0 < y < math.inf and y != 1.0:
            assert same(math.log(x, y), am.log(x, y)), (x, y)
