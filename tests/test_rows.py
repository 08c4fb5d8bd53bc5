"""The rows of vmap become doubles from any NumPy type, and masked arrays are refused everywhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, grad, hvp, jacobian, jit, jvp, value_and_grad, vjp, vmap
from autograd.tree import flatten

SMALL = np.array([200, 98, 3, 0], dtype=np.uint8)


@dataclass
class Point:
    """A container."""

    x: Any
    y: Any


def double(x: Any) -> Any:
    """A function that overflows if a byte is doubled."""
    return x + x


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "?"])
def test_rows_are_doubles(kind: str) -> None:
    """A row is a float or a float64 array, eager and compiled, for any dtype of the array."""
    column = np.array([[1, 100], [0, 3], [7, 120], [1, 1]], dtype=kind)
    for mapped in (vmap(double), jit(vmap(double)), vmap(jit(double))):
        found = mapped(column)
        assert np.float64 == found.dtype
        assert (2.0 * column.astype(float)).tolist() == found.tolist()
        assert (2.0 * column[:, 1].astype(float)).tolist() == mapped(column[:, 1]).tolist()

    def look(x: Any) -> Any:
        assert type(x) is float
        return x

    vmap(look)(column[:, 0])


@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_bytes_everywhere(reduce: Any) -> None:
    """Bytes in tuples, dicts, dataclasses, lists of arrays, lists of NumPy's numbers, along any axis."""
    wide = np.array([[200, 98], [3, 255]], dtype=np.uint8)
    double_x = lambda p: {k: v * 2 for k, v in p.items()}  # noqa: E731
    for f, argument, plain in [
        (lambda p: p[0] * p[1], (SMALL, SMALL), (SMALL.astype(float),) * 2),
        (double_x, {"x": SMALL, "y": wide[[0, 1, 0, 1]]}, {"x": SMALL * 1.0, "y": wide[[0, 1, 0, 1]] * 1.0}),
        (lambda p: p.x + p.y, Point(SMALL, SMALL), Point(SMALL * 1.0, SMALL * 1.0)),
        (double, [wide[0], wide[1]], [wide[0] * 1.0, wide[1] * 1.0]),
        (double, list(SMALL), [float(x) for x in SMALL]),
    ]:
        expected, _ = flatten(vmap(f, reduce=reduce)(plain))
        assert expected == flatten(vmap(f, reduce=reduce)(argument))[0]
        assert expected == flatten(jit(vmap(f, reduce=reduce))(argument))[0]
    assert [[400.0, 6.0], [196.0, 510.0]] == vmap(double, in_axes=1)(wide).tolist()
    assert [398.0, 194.0, 4.0, -2.0] == vmap(grad(lambda x: x * x - x * 2))(SMALL).tolist()


@pytest.mark.parametrize("shared", [np.int8(100), np.uint8(7), np.float32(0.1), np.float16(0.1), np.int64(2), 3, 0.5])
@pytest.mark.parametrize("reduce", [None, "sum"])
def test_what_rows_share(shared: Any, reduce: Any) -> None:
    """NumPy's small numbers that all rows share do not overflow, and are not rounded to few digits."""
    x, number = np.array([0.5, 2.0]), shared if isinstance(shared, (int, float)) else shared.item()
    array = np.full(3, shared)
    for form in (lambda k: k, lambda k: {"k": [k, 1.0]}, lambda k: Point(k, "text")):
        tree = form(shared)

        def row(given: Any, x: Any) -> Any:
            k = flatten(given.x if isinstance(given, Point) else given)[0][0]
            return x * (k * k) + k ** (-1)

        mapped = vmap(row, in_axes=(None, 0), reduce=reduce)
        np.testing.assert_allclose(mapped(tree, x), mapped(form(number), x), rtol=1e-15)
    squares = vmap(lambda k, x: x * (k[0] * k[1]), in_axes=(None, 0), reduce=reduce)
    assert np.array_equal(squares(array, x), squares([number] * 3, x))
    kept = ["text", 1.0]
    assert vmap(lambda k, x: x if k is kept else None, in_axes=(None, 0))(kept, [1.0]) == [1.0]


def test_what_is_not_numpys_stays() -> None:
    """Python's own numbers in a list, and arguments that all rows share, are passed on unchanged."""
    table = [10.0, 20.0, 30.0]
    assert [20.0, 10.0] == vmap(lambda i, t: t[i], in_axes=(0, None))([1, 0], table)
    row = [1.0, Value(2.0)]
    assert row is vmap(lambda r: [r])([row])[0][0]


@pytest.mark.parametrize(
    "array",
    [np.array([1.0 + 2.0j]), np.array(["1.0"]), np.array(["2026-01-01"], dtype="M8[D]"), np.array([1 + 1j, None])],
    ids=["complex", "text", "dates", "objects"],
)
def test_what_is_no_number_is_refused(array: Any) -> None:
    """Complex numbers, text and dates are refused with the name of the argument."""
    for mapped in (vmap(lambda p: p["x"]), jit(vmap(lambda p: p["x"]))):
        with pytest.raises(TypeError, match=r"argument 0 .*\['x'\]"):
            mapped({"x": array})


MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
FUNCTIONS = {
    "grad": grad(lambda t: sum(flatten(t)[0])),
    "value_and_grad": value_and_grad(lambda t: sum(flatten(t)[0])),
    "second argument": lambda t: grad(lambda x, y: x, argnums=(0, 1))(1.0, t),
    "jacobian": jacobian(lambda t: flatten(t)[0]),
    "hvp": lambda t: hvp(lambda x: 1.0)(t, t),
    "jvp": lambda t: jvp(lambda x: x, (t,), (t,)),
    "vjp": lambda t: vjp(lambda x: x, t),
    "result": lambda t: grad(lambda x: t)(1.0),
    "flatten": flatten,
    "stacked": lambda t: vmap(lambda x: t)(np.array([1.0, 2.0])),
    "jit": jit(lambda t: sum(flatten(t)[0])),
    "jit, second": lambda t: jit(lambda x, y: x)(1.0, t),
    "jit, keyword": lambda t: jit(lambda x, y: x)(1.0, y=t),
    "jit(grad)": jit(grad(lambda t: sum(flatten(t)[0]))),
}


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: [1.0, {"k": (a,)}], lambda a: Point(1.0, a)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_masked_arrays_are_refused(name: str, wrap: Any) -> None:
    """A masked array in any tree, eager or compiled, is refused with what to do."""
    with pytest.raises(TypeError, match=r"MaskedArray would lose its mask.*\.filled\(number\).*\.compressed\(\)"):
        FUNCTIONS[name](wrap(MASKED))


@pytest.mark.parametrize(
    "use",
    [
        lambda a: jvp(lambda x: x, ([1.0, 2.0, 3.0],), (a,)),
        lambda a: vjp(lambda x: x, [1.0, 2.0, 3.0])[1](a),
        lambda a: vmap(double)(a),
        lambda a: vmap(lambda p: p[0])((np.ones(3), a)),
        lambda a: vmap(double)([a, a]),
        lambda a: jit(vmap(double))(a),
        lambda a: jit(vmap(lambda p: p[0]))((np.ones(3), a)),
        lambda a: jit(vmap(lambda x, y: x, in_axes=(0, None)))(np.ones(3), a),
        lambda a: am.exp(a),
        lambda a: am.isnan(a),
        lambda a: am.sum(a),
        lambda a: am.max(a),
        lambda a: am.mean(a),
        lambda a: am.dot(np.ones(3), a),
        lambda a: am.dot(a, a),
        lambda a: np.add(a, Value(1.0)),
        lambda a: Value(a[1]),
    ],
)
def test_masked_arrays_in_maps_and_functions(use: Any) -> None:
    """Maps, functions of arrays and single numbers refuse them as well."""
    with pytest.raises(TypeError, match="would lose its mask"):
        use(MASKED)


def test_without_the_mask() -> None:
    """The advice in the error works."""
    assert [3.0, 27.0] == grad(lambda x: (x**3).sum())(MASKED.compressed()).tolist()
    whole = np.ma.array([1.0, 3.0])  # nothing is masked
    assert [2.0, 6.0] == vmap(double)(whole).tolist() == jit(vmap(double))(whole).tolist()
    assert 4.0 == am.sum(whole) == am.sum(MASKED.filled(0.0)) == jit(lambda x: am.sum(x))(MASKED.compressed())
