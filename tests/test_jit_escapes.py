"""Traced values that leave their row, thread or capture are refused."""

import contextvars
import copy
import gc
import math
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, grad, jit, no_grad, value_and_grad, vmap
from autograd.compiler.capture.watched import Watched

ROWS = [[1.0], [2.0], [3.0], [4.0], [5.0]]


# ---- rows ----------------------------------------------------------------------------------------------------------


class Keeper:
    """A model that stores a result."""

    def __call__(self, k: Any, row: Any) -> Any:
        """One row."""
        self.hidden = row[0] * k
        return self.hidden * 2.0


def kept_by_name(k: Any, use: Callable[[Any], Any]) -> Any:
    """Every row writes into a dict outside."""
    kept: dict[str, Any] = {}
    total = vmap(lambda row: (kept.update(last=row[0] * k), row[0] * k)[1], reduce="sum")(ROWS)
    return total + use(kept["last"])


def assigned(k: Any, use: Callable[[Any], Any]) -> Any:
    """Every row assigns a variable outside."""
    last: Any = 0.0

    def row(x: Any) -> Any:
        nonlocal last
        last = x[0] * k
        return last

    results = vmap(row)(ROWS)
    return results[0] + use(last)


def attribute(k: Any, use: Callable[[Any], Any]) -> Any:
    """Every row sets an attribute."""
    keeper = Keeper()
    results = vmap(keeper, (None, 0))(k, ROWS)
    return results[2] + use(keeper.hidden)


def in_a_later_map(k: Any, use: Callable[[Any], Any]) -> Any:
    """The rows of another map use a row's number."""
    kept: dict[str, Any] = {}
    vmap(lambda row: (kept.update(last=row[0] * k), row[0])[1])(ROWS)
    return vmap(lambda row: row[0] * use(kept["last"]), reduce="sum")(ROWS)


def argument(k: Any, use: Callable[[Any], Any]) -> Any:
    """A row's own argument."""
    kept: dict[str, Any] = {}
    vmap(lambda row: (kept.update(last=row), row[0] * k)[1], reduce="sum")([[x[0] * k] for x in ROWS])
    return use(kept["last"][0]) * k


def appended(k: Any, use: Callable[[Any], Any]) -> Any:
    """Every row appends to a list outside."""
    kept: list[Any] = []
    total = vmap(lambda row: (kept.append(row[0] * k), row[0] * k)[1], reduce="sum")(ROWS)
    return total + use(kept[-2])


def appended_arguments(k: Any, use: Callable[[Any], Any]) -> Any:
    """Every row appends its own argument, and the rows of another map use one."""
    kept: list[Any] = []
    vmap(lambda row: (kept.append(row), row[0] * k)[1], reduce="sum")([[x[0] * k] for x in ROWS])
    return vmap(lambda row: row[0] * use(kept[1][0]), reduce="sum")(ROWS)


ESCAPES = [kept_by_name, assigned, attribute, in_a_later_map, argument]
LATER: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda v: v * 2.0,
    "itself": lambda v: v,
    "data": lambda v: getattr(v, "data", v),
    "branch": lambda v: 1.0 if v > 3.0 else 2.0,
    "truth": lambda v: 1.0 if v else 2.0,
    "comparison": lambda v: am.where(v > 3.0, 1.0, 2.0),
    "format": lambda v: float(f"{v:.1f}"),
    "int": lambda v: int(v),
    "gradient": lambda v: grad(lambda t: t * v)(2.0),
    "map": lambda v: vmap(lambda t: t * v, reduce="sum")([1.0, 2.0, 3.0, 4.0]),
    "numpy": lambda v: (np.array([v, 1.0]) * 2.0)[0],
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("later", LATER)
def test_numbers_of_rows(escape: Callable[..., Any], later: str) -> None:
    """A number of a row that is used after its map is refused, with its line and what to do."""

    def function(k: Any) -> Any:
        return escape(k, LATER[later])

    for compiled in (jit(function), jit(value_and_grad(function))):
        with pytest.raises(TypeError, match=r"(?s)one row is used after.*test_jit_escapes.py:\d+.*Return it from the"):
            compiled(1.5)


@pytest.mark.parametrize("escape", [appended, appended_arguments])
@pytest.mark.parametrize("later", [later for later in LATER if later != "int"])  # no Value turns into an int
def test_numbers_in_lists(escape: Callable[..., Any], later: str) -> None:
    """Rows that append run one after another, as in Python: what they append may be used."""

    def function(k: Any) -> Any:
        return escape(k, LATER[later])

    assert value_and_grad(function)(1.5) == pytest.approx(jit(value_and_grad(function))(1.5), rel=1e-14)
    assert function(1.5) == pytest.approx(jit(function)(1.5), rel=1e-14)


def test_comparisons_of_rows() -> None:
    """A comparison that was made in a row is refused too."""

    def function(k: Any, use: Callable[[Any], Any]) -> Any:
        kept: dict[str, Any] = {}
        total = vmap(lambda row: (kept.update(last=row[0] > k), row[0] * k)[1], reduce="sum")(ROWS)
        return total + use(kept["last"])

    uses: list[Callable[[Any], Any]] = [
        lambda c: c * 2.0, bool, str, lambda c: 1.0 if c & (c == 1.0) else 2.0, lambda c: [1.0, 2.0][c]
    ]  # fmt: skip  # a list of uses
    for use in uses:
        with pytest.raises(TypeError, match="one row is used after"):
            jit(lambda k, use=use: function(k, use))(2.0)


def test_what_may_leave_a_row() -> None:
    """Numbers that all rows share may be kept, returned ones may be used, and an unused number is ignored."""
    kept: list[Any] = []

    def function(k: Any) -> Any:
        def row(x: Any) -> Any:
            kept.append((k, x[0] * k))
            return x[0] * k, x[0] + k

        results = vmap(row)(ROWS)
        return results[4][0] * kept[-1][0] + results[0][1]

    assert function(1.5) == jit(function)(1.5)
    assert value_and_grad(function)(1.5) == jit(value_and_grad(function))(1.5)


def test_rows_that_are_unrolled_keep_their_numbers() -> None:
    """Fewer rows than a loop needs run one after another; then their numbers may be kept."""

    def function(k: Any) -> Any:
        kept: list[Any] = []
        total = vmap(lambda row: (kept.append(row[0] * k), row[0] * k)[1], reduce="sum")(ROWS[:3])
        return total + kept[0] * kept[1] + kept[2]

    assert value_and_grad(function)(1.5) == jit(value_and_grad(function))(1.5)


# ---- captures that have ended --------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", LATER)
def test_after_the_compilation(later: str) -> None:
    """A tracer that was kept is refused after its capture: outside, in another function, in the next call."""
    kept: list[Any] = []
    jit(lambda x: (kept.append(x * 2.0), x)[1])(3.0)
    inside = jit(lambda x: x * LATER[later](kept[0]))
    for use in (lambda: LATER[later](kept[0] * 1.0), lambda: inside(2.0)):
        with pytest.raises(TypeError, match=r"test_jit_escapes.py:\d+.*do not keep traced values"):
            use()
    repr(kept)  # for a person with a debugger


def test_comparison_after_the_compilation() -> None:
    """A comparison is refused too."""
    kept: list[Any] = []
    jit(lambda x: (kept.append(x > 2.0), x)[1])(3.0)
    for use in (bool, str, hash, float, lambda c: c & c, lambda c: c * 2.0, lambda c: [1, 2][c], lambda c: c == 1):
        with pytest.raises(TypeError, match="do not keep"):
            bool(use(kept[0]))


# ---- other threads -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that started before the capture."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


W = Value(3.0)
MAKES: dict[str, Callable[[], Any]] = {  # made in a thread, from a Value from outside
    "arithmetic": lambda: W * 2.0,
    "math": lambda: am.exp(W),
    "many": lambda: am.sum([W, W, 1.0]),
    "without a graph": no_grad()(lambda: W * 2.0),
    "leaf": lambda: Value(W.data * 2.0),
    "named leaf": lambda: Value(W.data * 2.0, label="twice"),
    "detached": lambda: W.detach(),
    "copied": lambda: copy.deepcopy(W * W),
    "pickled": lambda: pickle.loads(pickle.dumps(W * W)),
    "gradient": lambda: grad(lambda t: t * W)(W),
}


@pytest.mark.parametrize("name", MAKES)
def test_values_made_by_threads(name: str, pool: ThreadPoolExecutor) -> None:
    """A Value that another thread makes during the capture would be frozen in the program, so it is refused."""

    def function(x: Any) -> Any:
        return x * pool.submit(MAKES[name]).result()

    for use in (lambda y: y, lambda y: am.where(y > 0.0, y, -y)):
        with pytest.raises(TypeError, match=r"made in another thread.*test_jit_escapes.py:\d+ in function"):
            jit(lambda x, use=use: use(function(x)))(2.0)
    with pytest.raises(TypeError, match="made in another thread"):
        jit(vmap(function))(np.array([1.0, 2.0]))


def test_arguments_in_threads(pool: ThreadPoolExecutor) -> None:
    """The function's own numbers are refused in a thread, also if it has the caller's context."""
    uses: list[Callable[[Any], Any]] = [lambda x: x * x, lambda x: 1.0 if x > 0.0 else 2.0, lambda x: x.data, bool]
    for use in uses:
        with pytest.raises(TypeError, match="used in another thread"):
            jit(lambda x, use=use: x * pool.submit(use, x).result())(2.0)
        with pytest.raises(TypeError, match="used in another thread"):
            jit(lambda x, use=use: x * pool.submit(contextvars.copy_context().run, use, x).result())(2.0)
    with pytest.raises(TypeError, match="used in another thread"):
        jit(lambda x: x * pool.submit(contextvars.copy_context().run, lambda: W * 2.0).result())(2.0)


def test_other_work_in_threads(pool: ThreadPoolExecutor) -> None:
    """Threads may compute with their own numbers, for use outside, and may return plain numbers."""
    results: list[Any] = []
    inside, done = threading.Event(), threading.Event()

    def train() -> None:
        inside.wait(10.0)
        w = Value(1.0)
        for _ in range(5):
            loss = (w * 3.0 - 6.0) ** 2
            w.grad = 0.0
            loss.backward()
            w.data -= 0.05 * w.grad
        results.extend([w, copy.deepcopy(w * w)])
        done.set()

    def function(x: Any) -> Any:
        inside.set()
        assert done.wait(10.0)
        return x * W + pool.submit(sum, [1.0, 2.0]).result()

    thread = threading.Thread(target=train)
    thread.start()
    assert 9.0 == jit(function)(2.0).data
    thread.join()
    w, square = results
    assert w.data == pytest.approx(2.0, abs=0.01)
    square.backward()
    assert 3.0 * w.data == jit(lambda x: x * w)(3.0).data


def test_results_of_another_compilation_in_a_thread(pool: ThreadPoolExecutor) -> None:
    """Two functions that are captured at the same time in two threads do not affect each other."""
    barrier = threading.Barrier(2, timeout=20.0)
    v = Value(5.0)

    def function(x: Any) -> Any:
        barrier.wait()
        y = x * W + am.sin(v) * W
        barrier.wait()
        return y

    jobs = [pool.submit(lambda k=k: jit(value_and_grad(lambda x: function(x) * k))(2.0)) for k in (1.0, 2.0)]
    (one, slope), (two, twice) = [job.result() for job in jobs]
    assert (2.0 * one, 2.0 * slope) == pytest.approx((two, twice))


# ---- memory --------------------------------------------------------------------------------------------------------


class Holder:
    """A thing that refers to itself and to a number of the program."""

    def __init__(self, number: Any) -> None:
        self.number, self.itself = number, self


def held(k: Any) -> Any:
    """A branch assigns to a thing that the function has made."""
    holder = Holder(k)
    if k > 1.0:
        holder.number = holder.number * k
    return holder.number


def captures_alive() -> int:
    """How many captures there are; what the first collection finds may be all that keeps others."""
    gc.collect()
    gc.collect()
    return sum(isinstance(thing, Watched) for thing in gc.get_objects())


@pytest.mark.parametrize("name", ["held", "in rows", "mean", "refused"])
def test_no_capture_stays_alive(name: str) -> None:
    """Tracers refer to their capture, and the collector does not know them; still no cycle keeps one alive."""

    def refused(k: Any) -> Any:
        return attribute(k, lambda v: v * Holder(v).number)

    before = captures_alive()
    if name == "refused":
        with pytest.raises(TypeError, match="one row is used after"):
            jit(refused)(1.5)
    elif name == "held":
        assert jit(value_and_grad(held))(1.5) == value_and_grad(held)(1.5)
    else:
        mapped = vmap(held, reduce="mean" if name == "mean" else None)
        np.testing.assert_array_equal(mapped(np.arange(8.0)), jit(mapped)(np.arange(8.0)))
    assert captures_alive() == before


# ---- errors that the code catches ----------------------------------------------------------------------------------


def number_or(default: float, x: Any) -> Any:
    """What code does that takes anything."""
    try:
        return float(x)
    except (TypeError, ValueError):
        return default


def dual(x: Any) -> Any:
    """A function of floats and Values."""
    try:
        return math.exp(x)
    except TypeError:
        return am.exp(x)


@pytest.mark.parametrize("function", [lambda x: number_or(0.0, x) + x, dual, lambda x: x if x is None else dual(x)])
def test_a_refusal_that_is_caught(function: Any) -> None:
    """With a float the code would do something else, so it is refused all the same; with a Value it does the same."""
    for form, x in (
        (function, 3.0),
        (vmap(function), np.array([3.0, 4.0])),
        (lambda xs: vmap(function)(xs), np.ones(2)),
    ):
        compiled = jit(form)
        for _ in range(2):
            with pytest.raises(TypeError, match=r"would freeze it, at .*test_jit_escapes.*: compute with it"):
                compiled(x)
    assert value_and_grad(function)(3.0) == pytest.approx(jit(value_and_grad(function))(3.0))
    assert vmap(grad(function))(np.ones(2)) == pytest.approx(jit(vmap(grad(function)))(np.ones(2)))
    assert function(Value(3.0)).data == pytest.approx(jit(function)(Value(3.0)).data)


def test_a_refusal_on_a_side_that_is_not_taken() -> None:
    """What the source has on another side of a branch is not asked for."""

    def function(x: Any) -> Any:
        return dual(x) if x > 5.0 else x * 2.0

    assert jit(function)(1.0) == 2.0
    assert jit(vmap(function))(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]
    with pytest.raises(TypeError, match="would freeze it"):
        jit(function)(9.0)
