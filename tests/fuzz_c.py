"""A program for test_fuzz_c.py: calls every function of the C modules with objects of every kind.

    python fuzz_c.py CASES

Only a crash is a failure, so results and exceptions are dropped. The last call is in the log that faulthandler's
trace ends with.
"""

from __future__ import annotations

import array
import faulthandler
import sys
import types
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import autograd
import autograd.math as am
from autograd import Value, jit, native, rules, sweep
from autograd.compiler import c_build
from autograd.compiler.capture.trace import Trace
from autograd.ir.block import NUMBER, Array
from autograd.modes import recording_with

nodes, calls = native.extension, c_build.extension
MODULES = [module for module in (nodes, calls) if module is not None]  # none in the pure build
LISTS: list[list[Any]] = []  # the lists in arguments of calls: hostile objects change them


class HostileError(Exception):
    """The error that methods of hostile objects raise."""


def _disturb(self: Any, *args: Any) -> Any:
    """Change the lists of the call, sweep, and raise every other time."""
    if not LISTS:
        return 1.5
    for some in LISTS:
        some.clear()
    (SHARED * SHARED).backward()
    _disturb.count += 1  # type: ignore[attr-defined]
    if _disturb.count % 2:  # type: ignore[attr-defined]
        raise HostileError
    return 1.5


_disturb.count = 0  # type: ignore[attr-defined]


def _hash(self: Any) -> int:
    _disturb(self)
    return 7


NAMES = [
    "float",
    "int",
    "index",
    "len",
    "iter",
    "getitem",
    "contains",
    "call",
    "bool",
    "eq",
    "lt",
    "add",
    "radd",
    "mul",
    "rmul",
    "neg",
    "pow",
    "rpow",
    "array",
    "buffer",
]
METHODS = {f"__{name}__": _disturb for name in NAMES}


class Meta(type):
    """A metaclass that disturbs when an attribute is read."""

    def __getattr__(cls, name: str) -> Any:
        return _disturb(cls)


Odd = type("Odd", (), {**METHODS, "data": property(_disturb), "apply_rule": _disturb})
OddFloat = Meta("OddFloat", (float,), {"__float__": _disturb, "__hash__": _hash, "__eq__": _disturb})
OddValue = type("OddValue", (Value,), {"__hash__": _hash, **{f"__{k}__": _disturb for k in ("eq", "float", "bool")}})
Sub = type("Sub", (Value,), {})
OddList, OddDict = type("OddList", (list,), METHODS), type("OddDict", (dict,), {"__getitem__": _disturb})
SHARED = Value(1.5)


def made() -> list[Any]:
    """One new object of each kind."""
    x, y = Value(1.5), Value(0.5, label="y")
    z = x * y + am.sum([x, y, x * 2.0])
    odd = OddValue.__new__(OddValue)
    return [
        None, True, 0, 1, -1, 3, 2**62, 2**70, -(2**63), 10**400, 0.0, 2.5, float("nan"), 1j, "x", "data", "", b"b",
        x, y, z, SHARED, Sub(2.0), odd, Sub(1.0) * x, OddFloat(2.0), Odd(), [], [x], [x, z, 1.0],
        [OddFloat(1.0), x, 2.0, z], [1.0, 10**400, x], (), (x,), (1.0, None), (x, 2.0, z), OddList([x, 1.0]), {},
        {x: 1.0},
        {odd: 1.0, x: 2.0}, {1: x}, OddDict(), {"a": 1.0}, iter([x, 1.0]), range(3), np.float64(1.0),
        np.array([1.0, 2.0]),
        np.array([x, z], dtype=object), np.zeros((2, 3)), np.array([None], dtype=object), np.zeros(3)[::2],
        np.broadcast_to(np.float64(1.0), (3, 4)), np.zeros(2, dtype=">f8"), array.array("d", [1.0, 2.0]),
        memoryview(b"12345678"), Value, Sub, OddValue, float, Odd, len, made, sweep.recorded, rules.TABLE,
        *list(rules.TABLE.values())[:6], rules.TABLE["sum"], sweep.topological_order(z), *FAST_PATHS, *ENTRIES,
        ("float", (), ()), ("list", (), (("float", (), ()),)), ("dict", ("a",), (("none", (), ()),)),
        ("rows", (2,), ()),
        ("array", (2, 3), ()), ("array", (2**40, 2**40), ()), ("array", (-1,), ()),
        ((x, 1.0), None), [(1.0, None, [0], (1.0,), None, 0.0, None)],
        [(1.0, None, [0, 7], (1.0, None), None, 0.0, None)],
    ]  # fmt: skip  # a list of oddities


ENTRIES = [
    jit(lambda x: x * 2.0),
    jit(lambda v: v * 2.0),
    jit(autograd.vmap(lambda x: x * 3.0)),
    jit(lambda t: t[0] * 2.0),
    jit(lambda x, n=1: x * n, static_argnums=1),
]
for entry, argument in zip(ENTRIES, (1.0, np.array([1.0, 2.0]), np.array([1.0, 2.0]), [1.0, 2.0], 1.0)):
    entry(argument), entry(argument)
for static in (2, 1.0, "a", (1, 2.0), None):
    with suppress(TypeError):  # text times a number
        ENTRIES[-1](2.0, static)
DISPATCHERS = [one for state in ENTRIES[0].outside.states() for one in state.dispatchers.values()]
FAST_PATHS = [fast for version in DISPATCHERS for fast in version.fast_paths.values()]


def entry_points() -> list[tuple[str, Any]]:
    """Every function and method of the C modules, by name."""
    found = [(f"{module.__name__}.{name}", getattr(module, name)) for module in MODULES for name in dir(module)]
    found = [(name, point) for name, point in found if callable(point) and not name.endswith("FastPath")]
    for kind in (Value, Sub, c_build.Entry):
        found += [(f"{kind.__name__}.{n}", getattr(kind, n)) for n in dir(kind) if n not in SKIPPED]
    for module in (am, sweep, autograd, autograd.graphs, rules):
        for name in dir(module):
            point = getattr(module, name)
            if type(point).__name__ == "Native":
                found.append((f"{module.__name__}.{name}", point))
                found += [(f"{name}.{n}", getattr(point, n)) for n in ("__get__", "__reduce__", "__call__", "__repr__")]
    return [(name, point) for name, point in found if callable(point)]


# Other calls use a name and a class that must not change.
SKIPPED = {"__class__", "__setattr__", "__delattr__", "__init_subclass__", "__subclasshook__", "__dir__"}
POINTS = entry_points()
ATTRIBUTES = [
    "data",
    "grad",
    "op",
    "operands",
    "local_grads",
    "parents",
    "label",
    "source",
    "_data",
    "_grad",
    "nothing",
]


def call(data: st.DataObject) -> None:
    """Make one call or set one attribute, perhaps during a capture; afterwards the engine is as it was."""
    LISTS.clear()
    things = made()
    with recording_with(trace) if data.draw(st.booleans()) and (trace := traced(things)) else nullcontext():
        call_with(data, things)
    LISTS.clear()
    y = Value(3.0)
    (y * y + am.sum([y, 2.0])).backward()
    assert y.grad == 7.0
    assert ENTRIES[0](2.0) == 4.0


def traced(things: list[Any]) -> Trace:
    """Start a capture; its tracers join the objects."""
    trace = Trace()
    x, *elements = trace.inputs_of([NUMBER, Array((3,))], [1.5, 0.5, 2.0, -1.0])
    negative = trace.apply_rule(rules.neg, (x,))
    row = Trace(trace)
    things += [x, x, negative, *elements, *row.inputs_of([NUMBER], [0.5])]
    things += [
        [x, 1.0, elements[0]],
        [OddFloat(1.0), x, 2.0],
        [x, SHARED],
        (x, x),
        np.array([x, negative], dtype=object),
    ]
    return trace


def call_with(data: st.DataObject, things: list[Any]) -> None:
    """Make one call with some of these objects, or set one attribute."""
    LISTS[:] = [thing for thing in things if type(thing) is list]
    some = st.integers(0, len(things) - 1)
    count = data.draw(st.integers(0, 8))
    args = [things[data.draw(some)] for _ in range(count)]
    keywords = {
        k: things[data.draw(some)] for k in data.draw(st.sets(st.sampled_from(["label", "leaves", "seed"]), max_size=1))
    }
    which = data.draw(st.integers(0, len(POINTS) + len(ATTRIBUTES)))
    try:
        if which < len(POINTS):
            name, point = POINTS[which]
            if isinstance(point, types.BuiltinFunctionType) and name.endswith("prefer"):
                return
            result = point(*args, **keywords)
        elif which < len(POINTS) + len(ATTRIBUTES):
            target = things[data.draw(some)]
            if isinstance(target, Value) and args:
                setattr(target, ATTRIBUTES[which - len(POINTS)], args[0])
            result = getattr(target, ATTRIBUTES[which - len(POINTS)])
        else:
            calls.FastPath(*args)
            result = ENTRIES[len(args) % len(ENTRIES)](*args, **keywords)
        repr(result)
    except Exception:
        pass


def main() -> None:
    """Run a number of cases."""
    faulthandler.enable()
    cases = int(sys.argv[1])

    @settings(
        max_examples=cases, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        for _ in range(20):
            call(data)

    fuzz()
    print(f"{len(POINTS)} entry points")


if __name__ == "__main__":
    main()
