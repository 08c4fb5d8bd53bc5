"""no_grad and detect_anomaly, in computations and sweeps; threads and tasks do not affect each other."""

import asyncio
import functools
import math
import threading

import pytest

import autograd.math as am
from autograd import AnomalyError, Value, backward, detect_anomaly, grad, hessian, jacobian, no_grad, vjp


def test_no_grad_as_block_and_decorator():
    """Nothing is recorded inside; afterwards, also after an error, recording continues."""
    x = Value(3.0)

    @no_grad()
    def square(v):
        return v * v

    for _ in range(2):
        assert () == square(x).parents
    with pytest.raises(TypeError, match="is text"), no_grad():
        Value("1")
    assert (x,) == (x + 1).parents
    with no_grad(), no_grad():
        pass
    assert (x,) == (x + 1).parents


def test_no_grad_covers_every_kind_of_operation():
    """Operators, methods, n-ary primitives and user code make leaves; data and IEEE results are the same."""
    x = Value(0.0)
    with no_grad():
        results = [x + 1, 2 - x, x.exp(), am.sum([x, x]), am.where(x, x, 1.0), am.log(x), -x, x**2]
    assert [1.0, 2.0, 1.0, 0.0, 1.0, -math.inf, -0.0, 0.0] == [y.data for y in results]
    assert all(y.op is None and y.operands == () and y.local_grads == () for y in results)


def test_a_transform_inside_no_grad_still_differentiates():
    """grad records what it needs, also under no_grad."""
    with no_grad():
        assert 6.0 == grad(lambda x: x * x)(3.0)


def test_no_grad_inside_a_transform_is_a_constant():
    """What a function computes under no_grad has no gradient."""

    def function(x):
        with no_grad():
            frozen = x * x
        return frozen * x

    assert 9.0 == grad(function)(3.0)


# ---- detect_anomaly -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda x: x.log(), r"log\(x=0.0\) made -inf at .*test_modes\.py:\d+ in <lambda>"),
        (lambda x: 1 / x, r"div\(1.0, x=0.0\) made inf at .*test_modes\.py"),
        (lambda x: x / x, r"div\(x=0.0, x=0.0\) made nan"),
        (lambda x: (x - 1) ** 0.5, r"pow\(-1.0, 0.5\) made nan"),
        (lambda x: am.sum([x] * 20 + [math.inf]), r"sum\(x=0.0, .*… 13 more\) made inf"),
        (lambda x: am.exp(x + 1000.0), r"exp\(1000.0\) made inf"),
    ],
)
def test_the_first_value_that_is_not_finite_raises(compute, message):
    """The error names the operation, its operands with labels, and the line outside the engine that made it."""
    x = Value(0.0, label="x")
    with detect_anomaly(), pytest.raises(AnomalyError, match=message):
        compute(x)
    assert not math.isfinite(compute(x).data)


def test_an_anomaly_is_a_floating_point_error():
    """Code that catches arithmetic errors also catches it."""
    with detect_anomaly(), pytest.raises(FloatingPointError):
        Value(0.0).log()


def test_the_first_message_that_is_not_finite_raises():
    """The error of a reverse sweep names node, slot, adjoint, local derivative and source; no gradient changes."""
    x, z = Value(0.0, label="x"), Value(2.0)
    with detect_anomaly():
        y = am.sqrt(x) * 0.0 + z
        expected = (
            r"message nan \(adjoint 0.0 × local derivative inf, sum so far nan\) "
            r"from sqrt\(x=0.0\) to its operand 0 'x', made at .*test_modes\.py:\d+ in test_the_first_message"
        )
        with pytest.raises(AnomalyError, match=expected):
            y.backward()
    assert [0.0, 0.0, 0.0] == [x.grad, z.grad, y.grad]
    y.backward()
    assert math.isnan(x.grad)


def test_a_sum_that_overflows_raises():
    """Two finite messages whose sum is not finite are an anomaly too."""
    x = Value(1.0)
    with detect_anomaly():
        y = x * 1.7e308
        z = x * 1.7e308
        with pytest.raises(AnomalyError, match="sum so far inf"):
            backward([y, z])


def test_what_is_finite_is_as_without():
    """A finite computation gives the same numbers, and its nodes have the line that made them."""
    x = Value(2.0)
    with detect_anomaly():
        y = x * x
        z = am.exp(y)
        z.backward()
    assert 4.0 * math.exp(4.0) == x.grad
    assert "test_modes.py" in y.source
    assert "test_what_is_finite_is_as_without" in z.source
    assert (x * x).source is None


def test_an_infinite_leaf_is_no_operation():
    """Only operations are checked: a leaf may hold any number."""
    with detect_anomaly():
        assert math.inf == Value(math.inf).data


def test_anomalies_in_transforms():
    """A transform under detect_anomaly raises for its function and for its sweep."""
    forward = functools.partial(jacobian, mode="fwd")
    with detect_anomaly(), pytest.raises(AnomalyError, match=r"log\(.*0.0\) made -inf"):
        grad(lambda x: am.log(x))(0.0)
    for transform in (grad, jacobian, hessian, forward, lambda f: lambda x: vjp(f, x)[1](1.0)):
        with detect_anomaly(), pytest.raises(AnomalyError, match=r"inf|nan"):
            transform(lambda x: x**0.5)(0.0)


def test_no_alarm_for_a_branch_that_is_not_taken():
    """Formulas of second derivatives compute branches that they do not select: only messages are checked."""
    with detect_anomaly():
        assert 2.0 == hessian(lambda x: x**2)(0.0)
        assert 0.0 == hessian(am.elu)(800.0)
        with pytest.raises(AnomalyError, match="inf"):
            hessian(lambda x: x**1.5)(0.0)


# ---- threads and tasks ----------------------------------------------------------------------------------------


def test_threads_have_modes_of_their_own():
    """no_grad in one thread does not stop another from recording."""
    x = Value(3.0)
    inside, done = threading.Event(), threading.Event()
    found = {}

    def without():
        with no_grad():
            inside.set()
            done.wait(10.0)
            found["without"] = (x * x).parents

    thread = threading.Thread(target=without)
    thread.start()
    assert inside.wait(10.0)
    found["with"] = (x * x).parents
    done.set()
    thread.join()
    assert {"without": (), "with": (x, x)} == found


def test_threads_share_no_state_in_transforms():
    """Many gradients at once, in threads, each right."""
    results = [None] * 8

    def work(i):
        results[i] = [grad(grad(lambda x: x**3 * (i + 1.0)))(2.0) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[12.0 * (i + 1.0)] * 50 for i in range(8)] == results


def test_tasks_have_modes_of_their_own():
    """The same for asynchronous tasks that run in turns."""
    x = Value(3.0)

    async def without():
        with no_grad():
            await asyncio.sleep(0)
            return (x * x).parents

    async def recording():
        await asyncio.sleep(0)
        return (x * x).parents

    async def both():
        return await asyncio.gather(without(), recording(), without())

    assert [(), (x, x), ()] == asyncio.run(both())
