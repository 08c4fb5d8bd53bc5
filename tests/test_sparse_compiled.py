"""Compiled sparse Jacobians and Hessians: equal to eager ones, through loops, maps and branches, by every method."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from amount import examples
from hypothesis import given, settings
from test_fusion import N as ROWS
from test_fusion import composed
from test_sparse import INPUTS, POINT, programs

import autograd.math as am
from autograd import Value, fori, hessian, jacobian, jit, scan, vmap, while_loop
from autograd.compiler.sparse import colours, entries
from autograd.compiler.sparse.terms import UnfitError
from autograd.transforms.sparse import index_type

N = 24
MODES = ["auto", "fwd", "rev"]


def stencil(w: Any) -> Any:
    """Two quantities at each point, which depend on both neighbours."""
    u, v = w[:N], w[N:]
    left, right = np.concatenate([u[:1], u[:-1]]), np.concatenate([u[1:], u[-1:]])
    product = u * v * v
    return np.concatenate([left - 2.0 * u + right - product, product - 0.1 * am.sin(v)])


def mapped(w: Any) -> Any:
    """The same kind of stencil as a map over rows."""
    u = w[:N]
    found = vmap(lambda a, b, c: (a * b * c + a, am.exp(c)))(u[:-2], u[1:-1], u[2:])
    return np.concatenate([*found, w[:2] * w[N : 2 + N]])


def nested(w: Any) -> Any:
    """A map in a map: sums over the rows of a matrix, each times an element of a vector."""
    matrix = w[: 6 * 6].reshape(6, 6)
    sums = vmap(lambda row, s: vmap(lambda x: am.sin(x) * s, reduce="sum")(row))(matrix, w[36:42])
    return np.concatenate([sums, matrix[:, 0] * w[36:42]])


def chained(w: Any) -> Any:
    """A recurrence: each step depends on all before, and on an element of its own."""
    _, path = scan(lambda c, x: (0.5 * am.sin(c) * w[0], c + x), w[1], w[2:12])
    return path


def shifted(w: Any) -> Any:
    """A loop that hands a number to the next step only."""
    _, path = scan(lambda c, x: (x * x, c * x), w[1], w[2:42])
    return path


def repeated(w: Any) -> Any:
    """A loop whose length is data, of which two numbers of the result depend on different inputs."""
    pair = fori(w[5] * 0.0 + 3.0, lambda i, c: [c[1] * w[0], c[0] + w[1] * 0.1], [w[2], w[3]])
    root = while_loop(lambda c: c[0] > 0.01, lambda c: [0.5 * c[0], c[1] * w[4]], [w[6] * 0.0 + 1.0, w[7]])
    return [*pair, *root, w[8]]


def gathered(w: Any) -> Any:
    """Elements at places that are known, and one at a place that depends on an input."""
    places = [3.0, 0.0, 5.0, 5.0, 1.0, 2.0]
    first = vmap(lambda k, x: am.take(w[:8], k) * x)(places, w[8:14])
    return [*first, am.take(w[:4], am.rint(w[20] * 0.0 + 2.0)) * w[21]]


def constant(w: Any) -> Any:
    """Constants, inputs and rows of zeros among the results."""
    return [1.0, w[0], w[0], w[1] * w[2], 2.0 * w[5], am.floor(w[3])]


FUNCTIONS = [stencil, mapped, nested, chained, shifted, repeated, gathered, constant]


def point() -> Any:
    """A point at which every function is smooth."""
    return np.linspace(0.3, 1.9, 2 * N)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_equal_to_the_dense_jacobian(function, mode):
    """Numbers as eager ones, in canonical form; every entry that eager code finds is there."""
    x = point()
    eager = jacobian(function, sparse=True)(x)
    fast = jit(jacobian(function, mode=mode, sparse=True))
    for _ in range(2):  # the second call takes the fast path
        found = fast(x)
        assert isinstance(found, scipy.sparse.csr_array)
        assert found.has_canonical_format
        np.testing.assert_allclose(found.toarray(), eager.toarray(), rtol=1e-12, atol=1e-14)
    missing = eager.astype(bool).astype(int) - found.astype(bool).astype(int)
    assert missing.max() <= 0
    if function not in (gathered, repeated):  # there, a place and a number of steps are data
        assert eager.indices.tolist() == found.indices.tolist()


@settings(max_examples=examples(60))
@given(programs())
def test_random_programs(program):
    """The pattern is that of all sides of `where` and `max`; the numbers are those of the path."""
    x = POINT[:INPUTS]
    found = jit(jacobian(program, sparse=True))(x)
    np.testing.assert_allclose(found.toarray(), jacobian(program, sparse=True)(x).toarray(), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(program.pattern(x, selected=False), _pattern(found))


def _pattern(array: Any) -> Any:
    """Where a sparse array has entries, those whose number is 0 too."""
    return scipy.sparse.csr_array((np.ones(array.nnz, dtype=bool), array.indices, array.indptr), array.shape).toarray()


def energy(w: Any) -> Any:
    """A chain of springs with a weight at each joint."""
    x, y = w[: len(w) // 2], w[len(w) // 2 :]
    total = 0.0
    for k in range(len(x) - 1):
        total = total + (am.hypot(x[k + 1] - x[k], y[k + 1] - y[k]) - 0.1) ** 2 + y[k] * 9.8
    return total


def energy_by_map(w: Any) -> Any:
    """The same springs as the sum of a map."""
    x, y = w[: len(w) // 2], w[len(w) // 2 :]
    spring = vmap(lambda a, b, c, d: (am.hypot(b - a, d - c) - 0.1) ** 2, reduce="sum")
    return spring(x[:-1], x[1:], y[:-1], y[1:]) + am.sum(y[:-1]) * 9.8


def arrow(w: Any) -> Any:
    """A variable that all others are multiplied by: coloured as a symmetric matrix, it takes two sweeps."""
    return w[0] ** 2 * am.sum([x**3 for x in w[1:]])


@pytest.mark.parametrize(("function", "size"), [(energy, 16), (energy, 120), (energy_by_map, 48), (arrow, 20)])
def test_hessians(function, size):
    """Equal to the eager ones, entry by entry; of flat code, of code that is rolled, and of maps."""
    x = np.linspace(0.3, 1.9, size) + 0.3 * np.sin(np.arange(size))
    eager, fast = hessian(function, sparse=True)(x), jit(hessian(function, sparse=True))
    for _ in range(2):
        found = fast(x)
        assert (eager.indices.tolist(), eager.indptr.tolist()) == (found.indices.tolist(), found.indptr.tolist())
        np.testing.assert_allclose(found.toarray(), eager.toarray(), rtol=1e-10, atol=1e-12)


def test_branches_are_paths():
    """A guard that fails gives the pattern of the other branch, and the first one is still there."""

    def function(x):
        return [x[0] * x[1] if x[2] > 0.0 else x[1] ** 2, x[2]]

    fast = jit(jacobian(function, sparse=True))
    for last in (1.0, -1.0, 1.0):
        x = [2.0, 3.0, last]
        np.testing.assert_array_equal(fast(x).toarray(), jacobian(function)(x))
        assert (3 if last > 0.0 else 2) == fast(x).nnz
    assert 2 == len(fast.paths()) == len(fast.stats()["sparse"])


def test_arguments_and_closures():
    """Several arguments, keywords, other structures, and Values that are read afresh at each call."""
    w = Value(2.0)

    def function(a, b, scale=1.0):
        return {"u": a["x"] * b[0, 1] * w, "v": [scale * a["y"] * b[1]]}

    arguments = {"x": 2.0, "y": 3.0}, np.array([[1.0, 2.0], [3.0, 4.0]])
    eager, fast = jacobian(function, (0, 1), sparse=True), jit(jacobian(function, (0, 1), sparse=True))
    for scale, number in ((1.0, 2.0), (3.0, 5.0)):
        w.data = number
        np.testing.assert_array_equal(eager(*arguments, scale=scale).toarray(), fast(*arguments, scale=scale).toarray())
    assert [[4.0]] == jit(jacobian(lambda x: x * x, sparse=True))(2.0).toarray().tolist()
    assert (0, 2) == jit(jacobian(lambda x: [], sparse=True))([1.0, 2.0]).shape


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 26))
@pytest.mark.parametrize("mode", MODES)
def test_random_compositions_of_maps(seed, mode):
    """Maps, sums and shifts of arrays: the pattern is exactly that of eager code."""
    function, x = composed(seed), np.linspace(0.2, 1.4, 2 * ROWS)
    eager, found = jacobian(function, sparse=True)(x), jit(jacobian(function, mode=mode, sparse=True))(x)
    assert (eager.indices.tolist(), eager.indptr.tolist()) == (found.indices.tolist(), found.indptr.tolist())
    np.testing.assert_allclose(found.data, eager.data, rtol=1e-10, atol=1e-10)


def test_rows_at_given_places_are_read_by_a_loop():
    """Rows of an array in any order: the program does not grow with their number, and the entries are right."""
    places = np.random.default_rng(0).integers(0, 6, 90)

    def function(w):
        rows = w[:18].reshape(6, 3)
        return vmap(lambda row, x: row[0] * x + am.sin(row[1] * row[2]))(rows[places], w[18:])

    x = np.linspace(0.3, 1.9, 108)
    fast = jit(jacobian(function, sparse=True))
    np.testing.assert_allclose(fast(x).toarray(), jacobian(function)(x), rtol=1e-12)
    assert fast.stats()["instructions"][0]["captured"] < 30


def test_a_result_belongs_to_its_caller():
    """What is done to one result changes no other one."""
    fast = jit(jacobian(lambda x: [x[0] * 0.0, x[1] * x[0]], sparse=True))
    first = fast([1.0, 2.0])
    first.eliminate_zeros()
    first.indices[:] = 0
    assert [[0.0, 0.0], [2.0, 1.0]] == fast([1.0, 2.0]).toarray().tolist()


def uneven(w: Any) -> Any:
    """Differences over distances that differ, and 0.0 next to -0.0: constants of each step, beside computed entries."""
    distances = np.linspace(0.5, 2.0, N - 2)
    signs = np.where(np.arange(N - 2) % 2 == 0, 0.0, -0.0)
    return (w[2:N] - w[: N - 2]) / distances + w[1 : N - 1] ** 2 + signs * w[N : 2 * N - 2]


def in_pairs(w: Any) -> Any:
    """Two results of each row, side by side, and then one of each row."""
    pairs, single = vmap(lambda a, b, c: (np.array([a * b, am.sin(c) + a]), c * c))(w[:N], w[N:], w[N - 1 : -1])
    return np.concatenate([pairs.ravel(), single])


@pytest.mark.parametrize("function", [stencil, uneven, in_pairs, constant, mapped])
def test_the_code_writes_entries_in_order(function):
    """Nothing sorts them later: numbers, signs of zeros and pattern are those of eager code."""
    x, fast = point(), jit(jacobian(function, sparse=True))
    eager = jacobian(function, sparse=True)(x)
    for _ in range(2):
        found = fast(x)
        assert (eager.indices.tolist(), eager.indptr.tolist()) == (found.indices.tolist(), found.indptr.tolist())
        np.testing.assert_allclose(found.data, eager.data, rtol=1e-14)
        np.testing.assert_array_equal(np.signbit(found.data), np.signbit(eager.data))
    assert [None] == [path.finish.places for path in fast.paths()]


def test_indices_have_32_bits():
    """Eager and compiled: as direct solvers take them."""
    function = jacobian(lambda x: [x[0] * x[1], x[1]], sparse=True)
    compiled = jit(function)
    for found in (function([1.0, 2.0]), compiled([1.0, 2.0]), compiled([1.0, 2.0])):
        assert (np.int32, np.int32, np.float64) == (found.indices.dtype, found.indptr.dtype, found.data.dtype)
    assert (np.int32, np.int64) == (index_type(2**31 - 1, (2, 3)), index_type(2**31, (2, 3)))


def test_what_was_compiled_is_told():
    """`program()` and `stats()` have the method, the entries and the number of sweeps."""
    fast = jit(jacobian(chained, mode="fwd", sparse=True))
    fast(point())
    (figures,) = fast.stats()["sparse"]
    assert {"entries", "method", "sweeps"} == set(figures)
    assert fast.program().startswith(f"# {figures['entries']:,} entries of 10 × 48: ")


def test_pickles():
    """A pickled one computes the same."""
    x = point()
    fast = jit(jacobian(stencil, sparse=True))
    before = fast(x)
    restored = pickle.loads(pickle.dumps(fast))
    np.testing.assert_array_equal(before.toarray(), restored(x).toarray())
    assert restored.stats()["sparse"] == fast.stats()["sparse"]


def test_errors():
    """Inside another compiled function or transform, and by Values."""
    with pytest.raises(TypeError, match=r"compile it alone, as jit\(jacobian\(f, sparse=True\)\)"):
        jit(lambda x: jacobian(lambda y: y, sparse=True)(x).sum())([1.0])
    fast = jit(jacobian(lambda x: x * x, sparse=True))
    with pytest.raises(TypeError, match="holds plain numbers"):
        fast(Value(2.0))
    with pytest.raises(TypeError, match="holds plain numbers"):
        jacobian(lambda x: fast(2.0).sum() * x)(1.0)
    with pytest.raises(TypeError, match=r"has no static arguments, but jit was given \[1, 'kind'\]"):
        jit(jacobian(lambda x, k, kind: x * k, sparse=True), static_argnums=1, static_argnames="kind")
    with pytest.raises(ZeroDivisionError):
        jit(jacobian(lambda x: [1 / 0], sparse=True))([1.0])


def selected(x):
    """Logarithms where there are such, next to elements for which there are none."""
    safe = vmap(lambda a, b: am.where(a > 0.0, am.log(a) * b, 2.0 * b))(x[:-1], x[1:])
    return [*safe, am.sqrt(x[0]) * x[1]]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_selected_sends_no_nan(mode):
    """A derivative that is infinite on the side that is not selected leaves no nan, and none in other entries."""
    x = np.linspace(0.0, 1.0, 40)
    x[::7] = 0.0
    found, eager = jit(jacobian(selected, mode=mode, sparse=True))(x), jacobian(selected, sparse=True)(x)
    np.testing.assert_allclose(found.toarray(), eager.toarray(), rtol=1e-12)
    assert np.isfinite(found.data[:-2]).all()


def test_many_threads():
    """First calls from many threads at once give the right entries."""
    fast, points = jit(jacobian(mapped, sparse=True)), [point() + k for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(fast, points))
    for x, found in zip(points, results):
        np.testing.assert_allclose(found.toarray(), jacobian(mapped, sparse=True)(x).toarray(), rtol=1e-12)


def test_the_method_that_computes_least():
    """Steps that are independent, steps that are not, and a matrix without a zero."""

    def method(function, x, transform=jacobian):
        fast = jit(transform(function, sparse=True))
        np.testing.assert_allclose(fast(x).toarray(), np.array(transform(function)(x)), rtol=1e-10, atol=1e-12)
        return fast.stats()["sparse"][0]["method"]

    x = np.linspace(0.5, 1.5, 40)
    assert "derivatives of each step" == method(lambda x: np.sin(x[1:]) * x[:-1], x)
    assert "colouring" in method(lambda x: scan(lambda c, a: (am.sin(c) * a, c + a), 1.0, x)[1], x)
    assert "derivatives of each step" == method(lambda x: am.log(am.sum(x * x)), x[:8], hessian)


def test_hessians_by_colours(monkeypatch):
    """Without the steps' own derivatives, a symmetric colouring takes fewer sweeps, and its entries are the same."""

    def refuse(*_):
        raise UnfitError

    x = np.linspace(0.3, 1.9, 20) + 0.3 * np.sin(np.arange(20))
    expected = [hessian(function)(x) for function in (arrow, energy_by_map)]
    monkeypatch.setattr(entries, "by_steps", refuse)
    for function, dense in zip((arrow, energy_by_map), expected):
        fast = jit(hessian(function, sparse=True))
        np.testing.assert_allclose(fast(x).toarray(), dense, rtol=1e-10, atol=1e-12)
        (figures,) = fast.stats()["sparse"]
        assert function is not arrow or (2, "2 forward sweeps (star colouring)") == (
            figures["sweeps"],
            figures["method"],
        )


def test_colours_give_each_entry():
    """Sums of the columns of one colour have each entry of random matrices, and of symmetric ones one of each two."""
    random = np.random.default_rng(0)
    for _ in range(60):
        n = int(random.integers(1, 25))
        matrix = random.random((n, n)) * (random.random((n, n)) < random.random() * 0.4)
        symmetric = matrix + matrix.T
        for dense, colour in ((matrix, colours.of_columns), (symmetric, colours.of_symmetric)):
            pattern = scipy.sparse.csr_array(dense != 0.0)
            found = colour(pattern)
            sums = np.stack([dense[:, found == k].sum(axis=1) for k in range(found.max() + 1)], 1)
            rows, columns = pattern.nonzero()
            where = (rows, found[columns]) if dense is matrix else colours.symmetric_entries(pattern, found)
            np.testing.assert_allclose(sums[where], dense[rows, columns])


def test_c_is_refused() -> None:
    """There is no C for an array of SciPy: the error says what there is."""
    fast = jit(jacobian(lambda x: [x[0] * x[1], x[1]], sparse=True))
    for write in (fast.c_source, fast.export):
        with pytest.raises(NotImplementedError, match="export the dense one, without sparse=True"):
            write([1.0, 2.0])
