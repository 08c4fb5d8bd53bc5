"""A program for test_failing_allocations.py: every operation with its first, second, third … allocation failing.

    python failing_allocations.py DIRECTORY [NAME...]

DIRECTORY has the module fail_allocation. Each operation is printed before it runs, so that a crash has a name.
"""

from __future__ import annotations

import array
import contextvars
import copy
import faulthandler
import gc
import operator
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import autograd
import autograd.math as am
from autograd import Value, jit, rules, sweep
from autograd.compiler.capture.control.flow import followed
from autograd.compiler.capture.trace import Trace, tracing
from autograd.ir.block import Array
from autograd.modes import recording_with

Prepare = Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]
MOST = 2000  # allocations of one operation


class Labelled(Value):
    """A subclass with its own fields, as a user writes it."""


def xy() -> tuple[Value, Value]:
    """Two leaves."""
    return Value(1.5, label="x"), Value(0.75)


def graph(kind: type[Value] = Value, length: int = 40) -> Any:
    """A graph with narrow and wide nodes, labels and branches that meet."""
    x = kind(0.5, label="a")
    y = kind(0.25)
    inner = [x, y]
    for k in range(length):
        inner.append(inner[-1] * inner[-2] + am.sin(inner[-1]) / (1.0 + k))
    wide = am.sum(inner[-9:])
    wide.label = "wide"
    return am.logsumexp([wide, x, y, 1.0]) - y / 3.0


def shown(thing: Any) -> Any:
    """The parts of a result that can be compared."""
    if isinstance(thing, Value):
        nodes = autograd.topological_order(thing)
        return [
            (node.data.hex(), node.grad.hex(), str(node.op and node.op.name), node.label, repr(node.local_grads))
            for node in nodes
        ]
    if isinstance(thing, (list, tuple)):
        return [shown(item) for item in thing]
    if isinstance(thing, dict):
        return [(shown(key), shown(item)) for key, item in thing.items()]
    if isinstance(thing, np.ndarray) and thing.dtype != object:
        return thing.tolist()
    return thing if isinstance(thing, bytes) else repr(thing)


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments after the call, to see its effect on them."""

    def call(*args: Any) -> Any:
        return function(*args), args

    return call


def in_mode(mode: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Run the function in a mode."""

    def call(*args: Any) -> Any:
        with mode():
            return function(*args)

    return call


def on(function: Callable[..., Any], *args: Any) -> Prepare:
    """Make an operation on two new leaves and other arguments."""
    return lambda: (function, (*xy(), *args))


def on_graph(function: Callable[..., Any], kind: type[Value] = Value, length: int = 40) -> Prepare:
    """Make an operation on a new graph."""
    return lambda: (function, (graph(kind, length),))


def compiled(function: Callable[..., Any], *args: Any, **options: Any) -> Prepare:
    """A call of a compiled function that has been called with such arguments before."""
    fast = jit(function, **options)
    for _ in range(3):
        fast(*args)
    return lambda: (fast, args)


def operators() -> Iterator[tuple[str, Prepare]]:
    """Arithmetic, comparisons and attributes."""
    names = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "eq", "ne", "gt", "ge"]
    for name in names:
        function = getattr(operator, name)
        yield name, on(function)
        yield f"{name} number", on(lambda x, _, function=function: function(x, 2))
        yield f"number {name}", on(lambda x, _, function=function: function(2.5, x))
        yield f"{name} subclass", lambda function=function: (function, (Labelled(1.5), Value(0.5)))
    for name in ("neg", "pos", "abs", "truth"):
        function = getattr(operator, name)
        yield name, on(lambda x, _, function=function: function(x))
    yield "round", on(lambda x, _: round(x, 1))
    yield "divmod", on(divmod)
    yield "exact sums", on(lambda x, y: (am.fsum([x, 1.5, y]), am.fsum((x, y)), am.fsum([2.5, 1.5])))
    yield "power of three", on(lambda x, y: pow(x, y, 3))
    yield "int", on(lambda x, _: x + 10**400)
    yield "repr", on_graph(repr)
    for name in ("data", "grad", "op", "operands", "local_grads", "parents", "label", "source"):
        yield name, on_graph(operator.attrgetter(name))
    yield "hash", on(lambda x, y: x in {x: 1} and y not in {x: 1})
    yield "sizeof", on_graph(sys.getsizeof)
    yield "make", lambda: (Value, (2.0,))
    yield "make with label", lambda: (lambda: Value(2, label="text"), ())
    yield "make of a NumPy number", lambda: (Value, (np.float64(2.0),))
    yield "make wrongly", lambda: (lambda: Value(2.0, wrong=3.0), ())
    yield "make a subclass", lambda: (lambda: Labelled(2.0, label="l"), ())
    yield "assign data", on(after(lambda x, _: setattr(x, "data", 4)))
    yield "assign grad", on(after(lambda x, _: setattr(x, "grad", 4.0)))
    yield "detach", on_graph(lambda y: y.detach())
    yield "restore", lambda: (Value.restore, (1.0, rules.mul, (Value(1.0), 2.0), (2.0, None)))


def table() -> Iterator[tuple[str, Prepare]]:
    """Every primitive of the table."""
    numbers = [0.5, 0.75, 0.25]
    for name, rule in rules.TABLE.items():
        if name in ("digamma", "polygamma"):
            continue  # it calls SciPy
        for count in (rule.arity,) if rule.arity else (2, 5, 200):
            operands = (numbers * count)[:count]
            yield f"row {name} of {count}", lambda rule=rule, operands=operands: (rule, tuple(map(Value, operands)))
            yield (
                f"row {name} of {count} mixed",
                lambda rule=rule, operands=operands: (rule, (Labelled(operands[0]), *operands[1:])),
            )
    for name in ("sum", "prod", "mean", "max", "min", "logsumexp"):
        function = getattr(am, name)
        yield f"{name} of a list", on(lambda x, y, f=function: f([x, y, 3.0, 2]))
        yield f"{name} of an iterator", on(lambda x, y, f=function: f(iter([x, y, 3.0] * 40)))
        yield f"{name} of an array", lambda f=function: (f, (array.array("d", [1.0, 2.0]),))
        yield f"{name} of objects", on(lambda x, y, f=function: f(np.array([x, y], dtype=object)))
        yield f"{name} of subclasses", lambda f=function: (f, ([Labelled(1.0), Labelled(2.0)],))
        yield f"{name} of text", on(lambda x, y, f=function: f([x, "text"]))
    yield "dot", on(lambda x, y: am.dot([x, y, 1.0] * 30, [y, 2, x] * 30))
    yield "dot of iterators", on(lambda x, y: am.dot(iter([x, y]), iter([y, 2])))
    yield "hypot", on(am.hypot)
    yield "log", on(lambda x, _: am.log(x, 2.0))


def sweeps() -> Iterator[tuple[str, Prepare]]:
    """Sweeps, and operations on whole graphs."""
    kinds = {"": Value, " of a subclass": Labelled}
    for kind, made in kinds.items():
        yield f"backward{kind}", on_graph(after(lambda y: y.backward()), made)
        yield f"backward with a seed{kind}", on_graph(after(lambda y: y.backward(2)), made)
        yield f"backward of many{kind}", on_graph(after(lambda y: autograd.backward([y, y], [1.0, 2])), made)
        yield f"backward watched{kind}", on_graph(after(in_mode(autograd.detect_anomaly, lambda y: y.backward())), made)
        yield f"zero_grad{kind}", on_graph(after(lambda y: (y.backward(), y.zero_grad())), made)
        yield f"record_sweep{kind}", on_graph(autograd.record_sweep, made, length=10)
        yield (
            f"topological_order{kind}",
            on_graph(lambda y: len(sweep.topological_order(y, leaves=y.parents[:1])), made),
        )
        yield (
            f"reverse{kind}",
            on_graph(lambda y: list(sweep.reverse(sweep.topological_order(y), {y: 2.0}).values()), made),
        )
        yield (
            f"forward{kind}",
            on_graph(
                lambda y: list(sweep.forward(order := sweep.topological_order(y), {order[0]: 2.0}).values()),
                made,
            ),
        )
        yield f"copy{kind}", on_graph(copy.copy, made)
        yield f"deepcopy{kind}", on_graph(copy.deepcopy, made)
        yield f"pickle{kind}", on_graph(lambda y: pickle.loads(pickle.dumps(y)), made)
        yield f"free{kind}", lambda made=made: ((lambda held: held.clear()), ([graph(made)],))
        yield (
            f"free wide{kind}",
            lambda made=made: (
                (lambda held: held.clear()),
                ([am.sum([made(1.0) * made(2.0) for _ in range(50)])],),
            ),
        )
    for name, mode in {"no_grad": autograd.no_grad, "sources": autograd.record_sources}.items():
        yield f"arithmetic in {name}", on(in_mode(mode, lambda x, y: x * y + am.sum([x, y, 1.0])))
    yield "anomaly", on(in_mode(autograd.detect_anomaly, lambda x, y: x / (y - y)))
    yield "long order", lambda: (lambda y: len(autograd.topological_order(y)), (long_graph(),))


def long_graph() -> Any:
    """A graph with so many nodes that a sweep does not keep its arrays."""
    y = x = Value(1.0)
    for _ in range(70_000):
        y = (y + x) * 0.5
    return y


def transforms() -> Iterator[tuple[str, Prepare]]:
    """Derivatives of functions."""

    def f(x: Any, y: Any) -> Any:
        return am.sin(x * y) + (x if x > y else y) ** 2

    for name in ("grad", "value_and_grad"):
        yield name, lambda name=name: (getattr(autograd, name)(f), (1.5, 0.5))
    yield "grad of grad", lambda: (autograd.grad(autograd.grad(f)), (1.5, 0.5))
    yield "hessian", lambda: (autograd.hessian(lambda v: f(*v)), ([1.5, 0.5],))
    yield "jacobian", lambda: (autograd.jacobian(lambda v: [f(*v), v[0]]), ([1.5, 0.5],))
    yield "jvp", lambda: (lambda: autograd.jvp(f, (1.5, 0.5), (1.0, 2.0)), ())
    yield "vmap", lambda: (autograd.vmap(lambda x: f(x, 2.0)), ([0.5, 1.5],))
    yield "checkpoint", on(lambda x, y: autograd.checkpoint(f)(x, y))


def compiled_calls() -> Iterator[tuple[str, Prepare]]:
    """Machine code, called by the fast path and by the slow one, for every kind of argument and result."""
    vector, matrix = np.linspace(0.1, 0.9, 7), np.linspace(0.1, 0.9, 12).reshape(4, 3)
    w = Value(0.5)
    by_name = jit(lambda x, y: x * y)
    yield "a float", compiled(lambda x: x * 2.0, 1.5)
    yield "an int", compiled(lambda x: x * 2.0, 3)
    yield "a NumPy number", compiled(lambda x: x * 2.0, np.float64(3.0))
    yield "many floats", compiled(lambda *xs: am.sum(xs), *range(20))
    yield "a list", compiled(lambda xs: am.sum(xs), [1.0, 2, 3.0])
    yield "a tuple", compiled(lambda xs: (xs[1], xs[0]), (1.0, 2.0))
    yield "a dict", compiled(lambda d: {"a": d["b"], "c": [d["a"]]}, {"a": 1.0, "b": 2.0})
    yield "None", compiled(lambda x, n: (x, None), 1.0, None)
    yield "an array", compiled(lambda v: v * 2.0, vector)
    yield "a strided array", compiled(lambda m: m.T * 2.0, matrix.T)
    yield "a mixture", compiled(lambda t: [t["a"], (t["b"][0] * 2.0, None)], {"a": vector, "b": [2.0, matrix]})
    yield "a keyword", lambda: (lambda: by_name(2.0, y=3.0), ())
    yield "a gradient", compiled(autograd.value_and_grad(lambda v: am.dot(v, v)), [1.0, 2.0, 3.0])
    yield "a branch", compiled(lambda x: x if x > 0.0 else -x, 2.0)
    yield "rows", compiled(autograd.vmap(lambda x: x * 2.0), vector)
    yield "rows of several numbers", compiled(autograd.vmap(lambda r: [r[0], r[1:]]), matrix)
    yield "rows in lists", compiled(autograd.vmap(lambda x: x * 2.0), [1.0, 2.0, 3.0])
    yield "rows that branch", compiled(autograd.vmap(lambda x: x if x > 0.5 else -x), vector)
    yield "a sum over rows", compiled(autograd.vmap(lambda x: x * 2.0, reduce="sum"), vector)
    mean = autograd.vmap(lambda w, r: am.dot(w, r), in_axes=(None, 0), reduce="mean")
    yield "a gradient over rows", compiled(autograd.value_and_grad(mean), [1.0, 2.0, 3.0], matrix)
    yield "a Value from outside", compiled(lambda x: x * w.data, 2.0)
    yield "a node", compiled(lambda x: x * w, 2.0)
    on_value = jit(lambda x, y: x * y)
    on_value(*xy())
    yield "Values as arguments", on(on_value)
    yield "backward of a node", on(after(lambda x, y: on_value(x, y).backward()))
    yield "a wrong argument", lambda: (by_name, ("text", 1.0))
    yield "Python called by machine code", compiled(lambda x: am.round(x, 1.0), 0.55)


def captured(function: Callable[..., Any]) -> Prepare:
    """Capture a function of two elements of an array, a Value from outside and a number that all rows share."""

    def prepare() -> tuple[Callable[..., Any], tuple[Any, ...]]:
        trace, w = Trace(), Value(0.5)
        a, b, c = trace.inputs_of([Array((3,))], [1.5, 0.75, 0.25])
        trace.constant(1.5), trace.leaf(w)

        def capture(*operands: Any) -> Any:
            with recording_with(trace):
                function(*operands)
            return [tuple(instruction) for instruction in trace.code]

        return capture, (a, b, c, w)

    return prepare


def decided(a: Any, b: Any, others: Any) -> Any:
    """A number that comparisons and plain conditions decide about."""
    for k, other in enumerate(others):
        if (a < 2.0 and not b > other) or k > 5:
            a = am.sin(a) if k else a * other
        a = a + b if a < b + k else a - others[0]
    return a


def captures() -> Iterator[tuple[str, Prepare]]:
    """Operations whose instructions are written down in C, or by Python code that C calls."""
    yield "captured operators", captured(lambda a, b, c, w: (a + 1.5) * b / c - a**2.5)
    yield "captured reads", captured(lambda a, b, c, w: (a * b, b * c, c * a))
    yield "captured Values", captured(lambda a, b, c, w: (a * w, w * 1.5, am.exp(w)))
    yield "captured constants", captured(lambda a, b, c, w: a * 7.25 + 9 - b / 11.0)
    yield "captured identities", captured(lambda a, b, c, w: (a * -1.0, operator.neg(-b), c / 2.0, a + -b, abs(abs(c))))
    yield "captured again", captured(lambda a, b, c, w: (a * b + b * a, am.sin(a), am.sin(a)))
    yield "captured sums", captured(lambda a, b, c, w: (am.sum([a, b, 1.5] * 30), am.max(a, b), am.logsumexp([c, w])))
    yield "captured exact sums", captured(lambda a, b, c, w: (am.fsum([a, b, 1.5]), am.fsum((a, b, 1.5)), am.fsum([w])))
    yield "captured methods", captured(lambda a, b, c, w: (a.tanh(), -b, c.atan2(a), rules.hypot(a, 1.5)))
    yield "captured branches", captured(lambda a, b, c, w: followed(decided)(a, b, [c, w]))
    yield "captured in a row", lambda: (lambda: captured_text(lambda a: autograd.vmap(lambda x: x * a[0] + x)(a)), ())


def captured_text(function: Callable[..., Any]) -> str:
    """Write out the program of a function of an array."""
    trace = Trace()
    array = trace.inputs_of([Array((5,))], [0.5] * 5)
    with tracing(trace):
        outputs = trace.outputs(function(np.array(array, dtype=object)))
    return str(trace.program(outputs))


GROUPS = {
    "operators": operators,
    "table": table,
    "sweeps": sweeps,
    "transforms": transforms,
    "compiled": compiled_calls,
    "captures": captures,
}


def outcome(prepare: Prepare) -> Any:
    """The result of an operation, or its exception."""
    function, args = prepare()
    try:
        return shown(function(*args))
    except Exception as error:
        return type(error), str(error)


def run(prepare: Prepare, fail: Any) -> int:
    """Let each allocation of an operation fail once; return how many failed."""
    expected = outcome(prepare)
    assert expected == outcome(prepare)
    n = 0
    while n < MOST:
        n += 1 + n // 40  # each of the first ones, then fewer
        function, args = prepare()
        context = contextvars.copy_context()  # CPython needs memory to reset a ContextVar, so a mode may stay set
        result: Any = None
        raised: Any = None
        try:
            fail.arm(n)
            result = context.run(function, *args)
        except BaseException as error:
            raised = error
        finally:
            failed = fail.disarm()
        if raised is None:
            assert expected == shown(result), f"a wrong result after allocation {n} failed"
        elif not failed:
            assert expected == (type(raised), str(raised)), f"another exception without a failure: {raised!r}"
        assert isinstance(raised, (Exception, type(None))), f"allocation {n} led to {raised!r}"
        del function, args, result, raised
        assert expected == outcome(prepare), f"a wrong result later, after allocation {n} failed"
        if not failed:
            return n - 1
    return n


def main() -> None:
    """Run the named groups, or all."""
    faulthandler.enable()
    folder, *chosen = sys.argv[1:]
    sys.path.insert(0, folder)
    import fail_allocation

    gc.disable()
    for group in chosen or GROUPS:
        for name, prepare in GROUPS[group]():
            print(f"{group}: {name}", end="", flush=True)
            print(f": {run(prepare, fail_allocation)}", flush=True)


if __name__ == "__main__":
    main()
