"""Operations during a capture: the C build writes down what the Python definition does, and calls no Python for it."""

import contextvars
import gc
import math
import sys
import threading
from fractions import Fraction
from functools import partial
from operator import neg
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_builds import needs_c

import autograd
import autograd.math as am
from autograd import (
    Value,
    custom_gradient,
    detect_anomaly,
    grad,
    hessian,
    jit,
    no_grad,
    record_sources,
    rules,
    scan,
    vmap,
)
from autograd.compiler.capture.signature import read_call
from autograd.compiler.capture.trace import Trace, current_trace, finish
from autograd.compiler.run import capturing
from autograd.compiler.source.identity import reaches_code_that_asks
from autograd.ir import rewriters
from autograd.ir.block import Instruction, Loop, Window, types_of
from autograd.ir.derive.messages import mapped_rewriters
from autograd.ir.passes import simplify
from autograd.ir.rewriters import fold_constants, identities, known_elements, number_values

NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    0.5,
    -0.25,
    3.7,
    math.nan,
    math.inf,
    5e-324,
    1e308,
    0,
    1,
    2,
    -1,
    2**53 + 1,
    10**30,
]
ODD_NUMBERS = [True, False, np.float64(1.5), np.float64(0.0), np.float32(0.1), np.int64(3), Fraction(1, 3)]
OPERATORS = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a**b,
    lambda a, b: a % b,
    lambda a, b: a // b,
    lambda a, b: -a,
    lambda a, b: +a,
    lambda a, b: abs(a),
    lambda a, b: divmod(a, b)[1],
]
WIDE = [am.sum, am.prod, am.mean, am.max, am.min, am.logsumexp, am.fsum, sum]


class PythonTrace(Trace):
    """A trace that the C build leaves to Python: it knows the very class `Trace` only."""

    __module__ = Trace.__module__  # no code of the function: its lists are not looked for in what rows may change

    def __init__(self, *args, **options):
        """Look instructions up in a dict."""
        super().__init__(*args, **options)
        self.known = {}

    def inner(self):
        """Be of the same class in loops."""
        return PythonTrace(self)


def shown(thing):
    """Make something comparable of a program: with the bits of its numbers, and the classes of its parts."""
    if isinstance(thing, float):
        return type(thing).__name__, thing.hex()
    if isinstance(thing, Loop):
        return shown((thing.body.code, thing.body.outputs, thing.body.inputs, thing.extent, thing.shared, thing.kinds))
    if isinstance(thing, (list, tuple)):
        return type(thing).__name__, [shown(part) for part in thing]
    return type(thing).__name__, repr(thing)


def captured(function, args, kind=Trace, flows=True):
    """Capture a function in a trace of this class; without `flows`, branches and loops of its source are Python's."""
    reading = read_call("f", args, {})
    numbers = [float(x) for x in reading.leaves]
    trace = kind(real_bools=reaches_code_that_asks(function))
    trace.flows = flows
    _, outputs, _ = capturing.trace_call(trace, function, reading, numbers)
    return finish(trace, outputs)


def outcome(function, args, kind):
    """Capture a function and show its program, or its error without the line."""
    try:
        program = captured(function, args, kind)
    except Exception as error:
        return type(error).__name__, str(error)
    return shown((program.code, program.outputs, program.inputs, program.guards))


@custom_gradient(lambda x, y: 2.0)
def doubled(x):
    """Double a number: a rule that is not in the table."""
    return 2.0 * x


class Writer:
    """Random operations on random operands: the same ones for the same seed."""

    def __init__(self, seed, outside, depth=0):
        self.random, self.outside, self.depth = Random(seed), outside, depth

    def operand(self, known):
        """Choose a number of the program, a Value from outside, or a plain number."""
        kind = self.random.random()
        if kind < 0.7:
            return self.random.choice(known[-6:] if kind < 0.4 else known)
        if kind < 0.8:
            return self.random.choice(self.outside)
        return self.random.choice(NUMBERS if kind < 0.97 else ODD_NUMBERS)

    def step(self, known):
        """Compute another number."""
        kind, some = self.random.randrange(16), lambda: self.operand(known)
        x = self.random.choice(known)
        if kind < 7:
            pair = [self.random.choice(known), some()]
            self.random.shuffle(pair)
            return self.random.choice(OPERATORS)(*pair)
        if kind < 11:
            rule = self.random.choice(list(rules.TABLE.values()))
            if rule.arity is None:
                return rule(*[some() for _ in range(self.random.randrange(1, 5))])
            return (getattr(am, rule.name, rule) if kind < 10 else rule)(*[some() for _ in range(rule.arity)])
        if kind == 11:
            return self.random.choice(WIDE)([x] + [some() for _ in range(self.random.choice((1, 2, 3, 70)))])
        if kind == 12:
            n = self.random.randrange(1, 4)
            return am.dot([some() for _ in range(n)], [some() for _ in range(n)])
        return self.special(known, self.random.randrange(9))

    def special(self, known, kind):
        """Compute a number in an unusual way."""
        x = self.random.choice(known)
        if kind < 3 and self.depth < 2:
            return self.nested(known, kind)
        if kind == 3:
            with self.random.choice((no_grad, detect_anomaly, record_sources))():
                return self.step(known)
        if kind == 4:
            return Value(1.5) * self.operand(known)  # made during the capture, and not even traced if so is the other
        if kind == 5:
            return am.where(x > 0.3, x, self.operand(known))
        if kind == 6:
            return x.data if self.random.random() < 0.5 else x.detach()
        if kind == 7:
            return np.sin(np.array([x, x * 2.0], dtype=object))[0]
        return doubled(x)

    def nested(self, known, kind):
        """Compute a number by a loop over rows, a loop with a carry, or a derivative: the same in each row and step."""
        rows, x, seed = known[:3] * 2, known[-1], self.random.random()

        def steps(*more):
            return Writer(seed, self.outside, self.depth + 1).steps([*known, *more], 4)

        if kind == 0:
            return vmap(steps, reduce="sum")(rows)
        if kind == 1:
            return scan(lambda carry, row: (steps(carry, row), None), x, rows)[0]
        return grad(steps)(x)

    def steps(self, known, count):
        """Compute some numbers and return the last one."""
        known = list(known)
        for _ in range(count):
            x = self.step(known)
            if isinstance(x, Value):
                known.append(x)
        return known[-1]


@given(st.integers(0, 2**32))
def test_both_write_the_same_program(seed):
    """A random program is the same, instruction by instruction, with C and without; so are errors."""
    outside = [Value(0.5, label="w"), Value(-1.5)]

    def function(x, values, array):
        return Writer(seed, outside).steps([x, *values, *array], 25)

    args = 0.7, [0.2, 1.2, -0.4], np.array([0.3, -0.9, 2.5])
    assert outcome(function, args, PythonTrace) == outcome(function, args, Trace)


linear = grad(lambda v: v[0] * 1.5 + v[1] * 2.0 + v[2])  # its gradient is an array of constants
IDENTITIES = {
    "negations": lambda x, y, a: [-(x * 2.0), neg(neg(x)), -x + y, x + -y, x - -y, -x - y, (-x) * (-y), (-x) * y],
    "absolute values": lambda x, y, a: abs(abs(x)) * abs(-x),
    "zeros and ones": lambda x, y, a: [op(x, c) for op in OPERATORS for c in (0.0, -0.0, 1.0, -1.0)],
    "on the left": lambda x, y, a: [op(c, x) for op in OPERATORS[:7] for c in (0.0, -0.0, 1.0, -1.0)],
    "divisors": lambda x, y, a: [x / c for c in (2, 0.5, -4.0, 3.0, 2.0**-1000, 2.0**999, 2.0**1001, math.inf, 5e-324)],
    "the same again": lambda x, y, a: [x * y + y * x, x + y, y + x, x - y, y - x, am.sin(x), x.sin(), am.max(x, y)],
    "copies": lambda x, y, a: [+x * y, +x * y],
    "elements of a gradient": lambda x, y, a: [d * x for d in grad(lambda v: v[0] * v[1] + v[2] * x)(a)],
    "elements of a table": lambda x, y, a: [
        f(d) for d in linear(a) for f in (lambda d: d * x, lambda d: d * 2.0, am.exp)
    ],
    "comparisons": lambda x, y, a: [
        x if x > y else y,
        y if 1 <= x else x,
        x if a[0] >= a[1] * x else y,
        x if x < 2 else y,
    ],
    "comparisons of comparisons": lambda x, y, a: [
        am.where((x > 0.0) & (y <= 2.0), x, y),
        x if (x > y) | (a[0] < y) else y,
        x if not x > y else y,
        (x > y) + (y >= x),
    ],
    "the same comparison again": lambda x, y, a: [x if x > y else y for _ in range(3)] + [x.data if x.data > y else y],
    "comparisons of functions": lambda x, y, a: [x if am.sin(x) * am.exp(y) > am.hypot(x, a[2]) else am.max(x, y)],
    "comparisons of constants": lambda x, y, a: [
        x if grad(lambda t: t * t)(2.0) > 1.0 else y,
        x if x > math.nan else y,
    ],
    "rows of computed numbers": lambda x, y, a: vmap(lambda r: r[0] * r[1] + x)([[x * k, y + k] for k in range(5)]),
    "sums of many": lambda x, y, a: [
        am.sum([x, y, *a, 0.0, -0.0, math.nan, 1, x * y, x.data] * 12),
        am.max([x, 2.0, y] * 40),
        am.dot([x, y, 0.5] * 30, [*a] * 30),
    ],
    "sums of many truths": lambda x, y, a: am.sum([x, x > y, True, y <= a[0]] * 20),
    "sums of many in rows of rows": lambda x, y, a: vmap(
        lambda r: vmap(lambda s: am.sum([x, y, a[1], r, s, 0.5, x * y] * 12))([r * x, y, r + 1.0])
    )([x, y, x * y]),
    "rows of constants": lambda x, y, a: vmap(lambda r: r[0] * r[1] + a[1])([[1.5, 0.5 * k] for k in range(5)]),
}


def test_the_c_build_knows_all_rewriters():
    """A new rewriter, or an identity for another row, needs a line in `may_be_rewritten` of _c/capture.h as well."""
    assert [fold_constants, identities, known_elements, number_values] == list(mapped_rewriters())
    assert {"abs", "add", "div", "mul", "neg", "pos", "sub"} == rewriters.IDENTITIES.keys() & rules.TABLE.keys()
    assert {"add", "mul"} == rewriters.COMMUTATIVE & rules.TABLE.keys()


@needs_c
def test_the_trace_is_given_once():
    """What the C build knows of the trace cannot be replaced."""
    if autograd.backend() != "c":
        pytest.skip("the C build is not in use")
    with pytest.raises(RuntimeError, match="knows the trace already"):
        autograd.native.extension.trace()
    with pytest.raises(RuntimeError, match="knows the flow already"):
        autograd.native.extension.flow()


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities_are_the_same(name):
    """Where Python code may find another instruction or a constant, it is asked."""
    args = 0.7, 0.2, np.array([0.3, -0.9, 2.5])
    expected = outcome(IDENTITIES[name], args, PythonTrace)
    assert "Error" not in expected[0]
    assert expected == outcome(IDENTITIES[name], args, Trace)


def test_the_random_programs_are_programs():
    """Most random programs are captured and long, so that the test above compares something."""
    outside, lengths = [Value(0.5), Value(-1.5)], []
    for seed in range(60):
        args = 0.7, [0.2, 1.2, -0.4], np.array([0.3, -0.9, 2.5])
        try:
            program = captured(lambda x, v, a, seed=seed: Writer(seed, outside).steps([x, *v, *a], 25), args)
        except Exception:
            continue
        lengths.append(len(program.code))
    assert 40 <= len(lengths)
    assert 25 <= sorted(lengths)[len(lengths) // 2]


@needs_c
@pytest.mark.parametrize("place", ["at the top", "in a row", "in a row of a row"])
def test_an_operation_calls_no_python(place):
    """Elements of arrays, Values from outside, what all rows share, and constants: each is written down in C.

    What the calls and loops of the source become is another matter, so the function is captured as it is written.
    """
    if autograd.backend() != "c":
        pytest.skip("the C build is not in use")
    w = Value(0.5)
    called = set()

    def note(frame, event, arg):
        if event == "call" and frame.f_globals["__name__"].startswith("autograd."):
            called.add(frame.f_code.co_qualname)

    def work(shared, row):
        # constants, the Value and what is shared are given a place when they come first
        known = [shared + 1.5, row * 3, 2 - row, row / w, am.sin(shared), row**2.5, am.sum([row, shared, w])]
        sys.setprofile(note)
        for k in range(100):
            known.append((known[-1] * known[-3] - 1.5) / (known[k] + w * shared) + am.tanh(known[-2]) * row)
        sys.setprofile(None)
        return known[-1]

    def in_row(shared, row):
        return vmap(lambda x: work(shared, x), reduce="sum")([row * (1.0 + k) for k in range(40)])

    a = np.linspace(0.1, 0.9, 40)
    functions = {
        "at the top": lambda a: work(a[0], a[1]),
        "in a row": lambda a: vmap(lambda row: work(a[0], row), reduce="sum")(a),
        "in a row of a row": lambda a: vmap(lambda row: in_row(row, row), reduce="sum")(a),
    }
    try:
        program = captured(functions[place], (a,), flows=False)
    finally:
        sys.setprofile(None)
    assert set() == called
    assert program.code


class Model:
    """What functions with branches read and call: attributes, elements, methods."""

    def __init__(self):
        self.rate, self.weights, self.name = 0.5, [0.1, 0.2, 0.3], "model"

    @property
    def last(self):
        """The last weight."""
        return self.weights[-1]

    def layer(self, x):
        """Compute a number from all weights."""
        return sum([w * x for w in self.weights])

    @staticmethod
    def clipped(x, low=-1.0):
        """Compute a number by a branch."""
        if x < low:
            return low
        return x


class Posing:
    """What calls itself a function, and does more than the function does."""

    __class__ = type(lambda: None)

    def __init__(self, function):
        self.function = function

    def __getattr__(self, name):
        return getattr(self.function, name)

    def __call__(self, x):
        """Call the function twice."""
        return self.function(self.function(x))


def halved(x):
    """Compute a number by a branch."""
    return x * 0.5 if x > 0.1 else x + 1.0


def with_conditions(x, y, a):
    """Decide by comparisons and by plain things."""
    found = []
    for k in range(3):
        found.append(x if x > k else y)
        found.append(y * k if k else x - y)
        if (x < k and y < k) or not a[0] < a[1]:
            found.append(am.sin(x) if a.tolist() else x)
        elif None or "" or k > 1:
            found.append(x * "ab".count("a"))
        else:
            found.append(-y if np.bool_(x > y) else y)
        if not (x > y and y > 0.0):
            found.append(x + k)
        found.append(1.0 if (x > 0.5) is None else y)
        found.append(x if 0.0 < x <= 1.0 < a[2] else y)
    return found


def with_jumps(x, y, a):
    """Leave loops and return early."""
    for k, number in enumerate(a):
        if number > x:
            continue
        if number * k > 2.0:
            break
        if k == 7:
            return y
        x = x + number
    while x < 3.0:
        x = x * 1.5 + 1.0
    return x + y


def with_calls(x, y, a):
    """Call and read things of many kinds."""
    model = Model()
    total = 0.0 if x < 0.0 else model.layer(x) + model.last * model.weights[1] + model.rate
    total += model.clipped(y) + Model.clipped(-x, low=0.0) + partial(model.clipped, low=0.1)(x)
    total += max(x, y) + min([x, y, 0.5]) + max(1, 2) + abs(y) + pow(x, 2) + math.sqrt(2.0) + am.hypot(x, y)
    total += am.sin(x) + x * am.exp(x) + sum(map(halved, [x, y])) + len(f"{model.name}") + Posing(halved)(x)
    return total + (lambda t: t * t if t > 0.0 else t)(y) + grad(halved)(x) + vmap(halved, reduce="sum")(a)


def with_assignments(x, y, a):
    """Make and change lists, dicts, objects and arrays, in branches of a single call and outside."""
    model, table, row = Model(), {"x": x}, [x, y, *a]
    array = np.zeros(3, dtype=object)
    for k in range(3):
        row[k] = row[k] * 2.0 if x > k else row[k - 1]
        table["sum"] = table.get("sum", 0.0) + row[k]
        array[k] = array[0, ...] * y if k == 2 else row[-1]
        if x > 0.5 + k:
            model.rate = x * model.rate
            row[0], row[x > 1.0] = y, x
            row.append([number * number for number in row[:2]][1])
        else:
            model.last_seen = {number: k for number in ("a", "b")}["a"]  # noqa: C420 (comprehensions are tested)
    return [*row, *table.values(), *array, model.rate, *[w for w in {*model.weights}]]  # noqa: C416


FLOWS = with_conditions, with_jumps, with_calls, with_assignments


def told(function, args, kind):
    """Capture a function; show the program, and what became of its branches and loops."""
    reading = read_call("f", args, {})
    trace, outputs, _ = capturing.trace_call(kind(), function, reading, [float(x) for x in reading.leaves])
    program = finish(trace, outputs)
    sites = [site.told(why) for site, why in trace.flow.items()]
    return shown((program.code, program.outputs, program.inputs, program.guards, sites))


@pytest.mark.parametrize("function", FLOWS)
@pytest.mark.parametrize("x", [0.7, -0.3, 2.5])
def test_branches_of_the_source_are_the_same(function, x):
    """What rewritten functions call does the same in C, and results are those of eager code."""
    args = x, 0.2, np.array([0.3, -0.9, 2.5, 0.4, 1.0])
    assert told(function, args, PythonTrace) == told(function, args, Trace)
    assert np.ravel(function(*args)) == pytest.approx(np.ravel(jit(function)(*args)), rel=1e-12)


def test_what_calls_itself_a_function_is_called():
    """Its own way of being called counts, in a capture as in eager code."""
    twice = Posing(halved)
    assert isinstance(twice, type(halved))
    assert twice(3.0) == 0.75 == jit(lambda x: twice(x) if x > 0.0 else x)(3.0) == jit(twice)(3.0)
    rows = jit(vmap(lambda x: twice(x) if x > 0.0 else x))
    np.testing.assert_array_equal([0.75, -1.0, 1.1], rows([3.0, -1.0, 0.2]))
    assert "if expression is a guard: it calls" in str(rows.branches())


@needs_c
def test_branches_of_the_source_call_no_python():
    """Guards, elements, attributes and functions of this package are answered in C."""
    if autograd.backend() != "c":
        pytest.skip("the C build is not in use")
    model, called, steps = Model(), {}, [0.0]

    def note(frame, event, arg):
        if event == "call" and frame.f_globals["__name__"].startswith("autograd."):
            called.setdefault(len(steps), set()).add(frame.f_code.co_qualname)

    def function(x):
        for k in range(5):
            x = am.sin(x) * model.rate if x < 0.5 + k and not x < -1.0 else x * model.weights[1]
            if x > 2.0 or k > 3:
                x = x.tanh() + len(model.weights)
            steps.append(x)
        return x

    sys.setprofile(note)
    try:
        program = captured(function, (0.4,))
    finally:
        sys.setprofile(None)
    assert len(program.guards) > 10
    assert not called.keys() & {3, 4}, called  # the first steps make the texts of lines, the last step another number


def test_collections_are_as_before_after_a_capture():
    """While a function is captured garbage is collected seldom; what the user sets then stays."""
    usual, seen = gc.get_threshold(), []

    def function(x, change=None):
        seen.append(gc.get_threshold())
        if change is not None:
            gc.set_threshold(*change)
        if x > 5.0:
            raise ArithmeticError
        return jit(lambda y: y * 2.0)(x)

    assert jit(function)(1.5) == 3.0
    with pytest.raises(ArithmeticError):
        jit(function)(6.0)
    assert (usual, usual[1:]) == (gc.get_threshold(), seen[0][1:])
    assert seen[0][0] > usual[0]
    try:
        jit(partial(function, change=(123, 4, 5)))(1.5)
        assert gc.get_threshold() == (123, 4, 5)
        gc.set_threshold(0)
        seen.clear()
        jit(partial(function, change=None))(2.5)
        assert {0} == {first for first, *_ in seen} | {gc.get_threshold()[0]}
    finally:
        gc.set_threshold(*usual)


def test_what_c_writes_is_an_instruction_like_any_other():
    """The parts have the classes that Python code makes, and passes see no difference."""
    program = captured(lambda a: a[0] * a[1] + a[2], (np.arange(1.0, 4.0),))
    assert {Instruction} == {type(instruction) for instruction in program.code}
    read = next(i for i in program.code if i.op == "read")
    assert (Window, Window((), 0)) == (type(read.data), read.data)
    assert hash(Instruction(*read)) == hash(read)
    assert read == read._replace(op="read")
    assert "v3 = read v0" not in str(simplify.prepare(simplify.simplify(program)))


def kept(function):
    """Do something with a number that was kept from a capture that is over."""

    def use():
        things = []
        captured(lambda x: things.append(x) or x * 2.0, (1.5,))
        return function(things[0])

    return use


def in_another_capture(function):
    """Do something with it in another capture."""

    def use():
        things = []
        captured(lambda x: things.append(x) or x * 2.0, (1.5,))
        return captured(lambda x: function(things[0]), (1.5,))

    return use


def in_another_thread(function):
    """Do something with it in a thread that has the context of the capture."""

    def use():
        def traced(x):
            errors = []
            context = contextvars.copy_context()

            def run():
                try:
                    context.run(function, x)
                except TypeError as error:
                    errors.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            raise errors[0]

        return captured(traced, (1.5,))

    return use


def after_the_capture(function):
    """Do something in the context of a capture that is over."""

    def use():
        contexts = []
        captured(lambda x: contexts.append((contextvars.copy_context(), x)) or x, (1.5,))
        context, x = contexts[0]
        return context.run(function, x)

    return use


def after_its_row(function):
    """Do something with a number of a row behind the map."""

    def use():
        def traced(x):
            things = {}
            rows = [x, x * 2.0, x * 3.0, x * 4.0, x]
            total = vmap(lambda row: things.setdefault("first", row) and row * x, reduce="sum")(rows)
            return total + function(things["first"])

        return captured(traced, (1.5,))

    return use


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x + 1.0,
        lambda x: 2.0 * x,
        lambda x: -x,
        lambda x: x * x,
        lambda x: am.sin(x),
        lambda x: x.tanh(),
        lambda x: am.sum([x, 1.0]),
        lambda x: am.dot([x], [x]),
        lambda x: rules.hypot(x, 1.0),
        lambda x: Value(2.0) * x,
    ],
)
@pytest.mark.parametrize("where", [kept, in_another_capture, in_another_thread, after_the_capture, after_its_row])
def test_a_number_outside_its_capture_is_refused(where, operation):
    """A tracer of another thread, another program, a finished one or a row is an error with the line."""
    with pytest.raises(TypeError, match=r"(one compilation|one row|another thread).*test_capture_in_c\.py:"):
        where(operation)()


@needs_c
def test_a_list_may_change_while_its_sum_is_written_down():
    """Python code that runs meanwhile may empty the list of operands: C keeps them."""
    if autograd.backend() != "c":
        pytest.skip("the C build is not in use")
    things = []

    def function(x):
        things[:] = [x * 2.0, x * 3.0, x]
        collected = [x]

        class Cycle:
            def __del__(self):
                things.clear()

        cycle = Cycle()
        cycle.self = cycle
        del cycle
        threshold = gc.get_threshold()
        gc.set_threshold(1)
        try:
            total = am.sum(things)
        finally:
            gc.set_threshold(*threshold)
        return total + collected[0]

    program = captured(function, (1.5,))
    assert 3 == len(next(i for i in program.code if i.op == "sum").operands)


ATTRIBUTES = ["code", "constants", "guarded", "guards", "types"]


@needs_c
@pytest.mark.parametrize("every", [1, 3, 50])
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_look_changes_nothing(attribute, every):
    """What the C build notes in brief becomes objects when Python code looks, at any time: the program is the same."""

    def steps(look):
        def function(x, y):
            total = x
            for k in range(100):
                limit = 0.07 * k + 1.0
                total = total + 0.1 * y if total < limit else total * 0.5
                if total < limit and 0.07 * k + 1.0 > y:
                    total = limit - total
                if look and k % every == 0:
                    assert all(getattr(current_trace(), name) is not None for name in ATTRIBUTES[::-1])
                    assert None not in list(getattr(current_trace(), attribute))
                total = total + (total < limit) * 0.25
            return total

        return function

    expected = captured(steps(False), (0.3, 1.7), PythonTrace)
    for function in (steps(False), steps(True)):
        program = captured(function, (0.3, 1.7))
        assert shown((expected.code, expected.outputs, expected.guards)) == shown(
            (program.code, program.outputs, program.guards)
        )
    assert types_of(expected) == types_of(program)


@needs_c
def test_second_derivatives_of_loops_are_the_same():
    """Bodies of loops that are copied for a derivative share what they compute, in both builds."""

    def function(x):
        def inner(c, _):
            return [am.sin(u) * x[k] + x[(k + 1) % 3] * c[k - 1] for k, u in enumerate(c)], None

        def middle(b, _):
            return [p * am.exp(-q * x[0]) for p, q in zip(scan(inner, b, length=3)[0], b, strict=True)], None

        def outer(a, _):
            return [am.tanh(p) for p in scan(middle, a, length=3)[0]], None

        return am.sum(scan(outer, [1.5 * number for number in x], length=3)[0])

    one, other = [captured(hessian(function), ([0.3, 0.2, 0.5],), kind) for kind in (Trace, PythonTrace)]
    assert shown((one.code, one.outputs)) == shown((other.code, other.outputs))


def test_many_truths_at_once():
    """Truths that live at the same time are apart, though the memory of dead ones is used again."""

    def function(x):
        found = []
        for scale in (1.0, 2.0, 3.0):
            truths = [x * scale < k for k in range(100)]
            found += [float(sum([1 if truth else 0 for truth in truths])), x.data if truths[3] else x]
        return found

    assert function(Value(1.2)) == jit(function)(1.2) == [98.0, 1.2, 97.0, 1.2, 96.0, 1.2]


def test_memory_comes_back():
    """A capture leaves no reference behind: to its trace, its numbers or the Values from outside."""
    w = Value(0.5)
    a = np.linspace(0.1, 0.9, 5)

    def function(a):
        rows = vmap(lambda row: row * w + a[0] * 1.25, reduce="sum")(a)
        return am.sum([rows, a[1] - w, -a[2], 3.0 * a[3]]) + abs(-a[4])

    def counts():
        gc.collect()
        return [sys.getrefcount(thing) for thing in (w, None, (), -1, 0, 1.25, Instruction, Window, Trace)]

    captured(function, (a,))
    rounds = []
    for _ in range(3):  # what other tests left may end in one of them
        before = counts()
        for _ in range(20):
            captured(function, (a,))
        rounds.append([abs(x - y) for x, y in zip(before, counts(), strict=True)])
    assert any(max(changes) < 15 for changes in rounds), rounds


def test_constants_are_told_apart():
    """0.0 and -0.0 are two constants, nan is one, and a truth is not the number 1."""

    def function(x):
        return [x * 0.0, x * -0.0, x * math.nan, x * float("nan"), am.where(x == x, x, 1.0), x * 1.5, x * 1.5]

    program = captured(function, (2.0,))
    numbers = [i.data for i in program.code if i.op == "constant" and not isinstance(i.data, bool)]
    assert ["0.0", "-0.0", "nan", "1.0", "1.5"] == [repr(x) for x in numbers]
    assert jit(lambda x: x * 0.0 + 1.0)(2.0) == 1.0


@pytest.mark.skipif(autograd.native.extension is None, reason="the C build is off")
def test_the_watch_over_calls_tells_what_a_profiler_is_told():
    """The calls of Python code that is not passed over, and those of two built-in functions, also by another name."""

    def passed():
        return told()

    def told(get=getattr):
        return get(list, "append"), sorted([2, 1], key=lambda x: vars(int) and x), len([])

    def events(begin):
        found = []
        begin(lambda frame, event, called: found.append((frame.f_code, event, called)))
        try:
            passed(), told()
        finally:
            sys.setprofile(None)
        return found

    def is_told(code, event, called):
        return code is not passed.__code__ if event == "call" else event == "c_call" and called in (getattr, vars)

    passing = {id(passed.__code__): passed.__code__}
    expected = [one for one in events(sys.setprofile) if is_told(*one)]
    assert len(expected) == 12
    assert expected == events(lambda event: autograd.native.extension.watch_calls(passing, event, getattr, vars))


@pytest.mark.skipif(autograd.native.extension is None, reason="the C build is off")
def test_the_watch_over_calls_raises_what_its_function_raises():
    """As `sys.setprofile` does; the watch is over then."""

    def refuse(frame, event, called):
        raise ValueError(event)

    try:
        with pytest.raises(ValueError, match=r"^call$"):
            autograd.native.extension.watch_calls({}, refuse, getattr, vars), doubled(1.0)
        assert sys.getprofile() is None
    finally:
        sys.setprofile(None)
