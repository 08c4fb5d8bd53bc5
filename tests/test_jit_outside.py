"""Things that a compiled function reads outside its arguments: changes are seen or refused; no result is stale."""
# ruff: noqa: UP030, UP031, UP032 (all ways to format are tested)

import array
import configparser
import copy
import ctypes
import dataclasses
import enum
import functools
import gc
import importlib
import io
import itertools
import operator
import os
import pickle
import queue
import random
import string
import sys
import threading
import time
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from datetime import datetime
from functools import partial
from os import environ, getenv
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import autograd.math as am
import nn
from autograd import Value, custom_gradient, grad, jit, rules, value_and_grad, vmap
from autograd.compiler import c_build
from autograd.compiler.capture.outside import MOST_STATES, TOO_OFTEN
from autograd.compiler.watch import Place, Watch

ROOT = Path(__file__).parent.parent
needs_c = pytest.mark.skipif(c_build.extension is None, reason="needs the C build")

K = 2.0
RATES = [1.0, 2.0]
TABLE = {"a": 1.0, "b": {"c": 2.0}}
ARRAY = np.array([1.0, 2.0, 3.0])
WORDS = {"x"}
QUEUE = deque([2.0])
epoch = 0
waiting: queue.Queue[float] = queue.Queue()
waiting.put(2.0)
config = types.ModuleType("config")
ini = configparser.ConfigParser()
ini.read_dict({"model": {"rate": "2.0"}})
sys.modules["outside_by_name"] = types.ModuleType("outside_by_name")
config.K = 2.0
settings = types.SimpleNamespace(rate=2.0, deep=types.SimpleNamespace(scale=3.0))


def helper(x: Any) -> Any:
    """A helper that reads a global."""
    return x * K


@dataclasses.dataclass
class Settings:
    """An object with attributes to read."""

    rate: float = 2.0
    names: tuple[str, ...] = ()


class Slotted:
    """An object without a dict."""

    __slots__ = ("rate",)

    def __init__(self) -> None:
        self.rate = 2.0


class Scaler:
    """State in the instance, in the class, and behind a property."""

    factor = 2.0

    def __init__(self) -> None:
        self.scale = 3.0
        self.steps = 0

    @property
    def both(self) -> float:
        """A product."""
        return self.scale * self.factor

    def shifted(self, x: Any) -> Any:
        """A sum."""
        return x + self.scale

    def __call__(self, x: Any) -> Any:
        """A product with the property."""
        return x * self.both


class Doubler(Scaler):
    """Everything by way of the class below."""

    factor = 1.0

    @property
    def both(self) -> float:
        """Twice as much."""
        return 2.0 * super().both

    def shifted(self, x: Any) -> Any:
        """A sum with a class attribute that the own one hides."""
        return super().shifted(x) + super().factor


class Line:
    """A base that reads a global."""

    def run(self, x: Any) -> Any:
        """A product."""
        return x * K


class Squarer(Line):
    """An heir that does not."""

    def run(self, x: Any) -> Any:
        """A square."""
        return super().run(x) ** 2


class Rate:
    """What is assigned is not what is read."""

    @property
    def rate(self) -> float:
        """What is kept."""
        return self.kept

    @rate.setter
    def rate(self, new: Any) -> None:
        self.kept = K * new


class Mode(enum.Enum):
    """Settings that are compared by identity."""

    FAST = 1
    SLOW = 2


class Meta(type):
    """A metaclass."""

    rate = 2.0


class Child(metaclass=Meta):
    """A class with an attribute of its metaclass."""


class Point(ctypes.Structure):
    """Memory with a name for each part."""

    _fields_ = (("rate", ctypes.c_double),)


class Begun(threading.local):
    """Each thread begins with an attribute."""

    def __init__(self) -> None:
        self.rate = 2.0


class OneField:
    """An attribute of the class."""

    rate = 2.0


class ByName(OneField):
    """Items that are attributes."""

    def __init__(self) -> None:
        self.rate = 2.0

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


LISTED = object()
NAME, FORMAT = "rate", "{0.rate}"
local, begun = threading.local(), Begun()
context, unset = ContextVar("context", default=2.0), ContextVar[float]("unset")
one_field, by_name = OneField(), ByName()
sentinel = LISTED
mode = Mode.FAST
FLOATS = array.array("d", [2.0])
pair = (ctypes.c_double * 2)(1.0, 2.0)
point = Point(2.0)
records = np.array([(2.0, 1)], [("rate", "f8"), ("count", "i4")])
record = records[0]
view = memoryview(bytearray(8)).cast("d")
HIDDEN = {"c": 2.0}
shown = types.MappingProxyType(HIDDEN)
values, items, flat = HIDDEN.values(), HIDDEN.items(), ARRAY.flat
ordered = OrderedDict(a=1.0, b=2.0)
ordered_values = ordered.values()
times_k = np.frompyfunc(lambda x: x * K, 1, 1)
scaler, doubler = Scaler(), Doubler()
parent, proxy = weakref.ref(scaler), weakref.proxy(scaler)
children = weakref.WeakValueDictionary({"a": scaler})
slotted = Slotted()
options = Settings()


def with_default(x: Any, rates: Any = [2.0]) -> Any:  # noqa: B006 (that it can be changed is what is tested)
    """A default that can be changed."""
    return x * rates[0]


def keyword_default(x: Any, *, rates: Any = {"a": 2.0}) -> Any:  # noqa: B006 (as above)
    """A keyword default that can be changed."""
    return x * rates["a"]


def matched(thing: Any) -> Any:
    """An attribute in a pattern, which may be missing."""
    match thing:
        case Settings(rate=rate):
            return rate
        case types.SimpleNamespace(scale=4.0):
            return 5.0
    return 1.0


def matched_by_place(thing: Any) -> Any:
    """An attribute that the class names."""
    match thing:
        case Settings(rate):
            return rate
    return 1.0


def assigned(x: Any) -> Any:
    """What a setter keeps."""
    thing = Rate()
    thing.rate = x
    return thing.kept


def in_order(x: Any) -> Any:
    """A sum that depends on the order."""
    return functools.reduce(lambda total, rate: total * x + rate, ordered_values, 0.0)


def replace_method() -> None:
    """Another method of a class that has heirs."""
    Scaler.shifted = lambda self, x: x * 5.0  # type: ignore[method-assign]


def set_global(name: str, new: Any) -> Callable[[], None]:
    """Rebind a global of this module."""
    return lambda: globals().update({name: new})


def fresh() -> None:
    """Reset everything."""
    globals().update(K=2.0, epoch=0, helper=ORIGINAL_HELPER, RATES=[1.0, 2.0], ARRAY=np.array([1.0, 2.0, 3.0]))
    globals().update(TABLE={"a": 1.0, "b": {"c": 2.0}}, scaler=Scaler(), slotted=Slotted(), options=Settings())
    globals().update(flat=ARRAY.flat)
    sys.modules["outside_by_name"].K = 2.0  # type: ignore[attr-defined]
    ini.set("model", "rate", "2.0")
    Scaler.shifted = SHIFTED  # type: ignore[method-assign]
    ordered.move_to_end("b")
    globals().update(mode=Mode.FAST, sentinel=LISTED, FLOATS=array.array("d", [2.0]))
    if "rate" in vars(Child):
        del Child.rate
    Meta.rate = 2.0
    globals().update(WORDS={"x"}, QUEUE=deque([2.0]), parent=weakref.ref(scaler), proxy=weakref.proxy(scaler))
    children["a"] = scaler
    pair[1] = point.rate = records["rate"][0] = view[0] = 2.0
    HIDDEN.clear()
    HIDDEN["c"] = 2.0
    globals().update(context=ContextVar("context", default=2.0), unset=ContextVar("unset"))
    local.rate = begun.rate = OneField.rate = by_name.rate = 2.0
    settings.rate, settings.deep.scale, config.K, Scaler.factor = 2.0, 3.0, 2.0, 2.0
    with_default.__defaults__[0][0] = 2.0  # type: ignore[index]
    keyword_default.__kwdefaults__["rates"]["a"] = 2.0


ORIGINAL_HELPER, SHIFTED = helper, Scaler.shifted


@pytest.fixture(autouse=True)
def clean() -> Any:
    """Every test starts and ends with the original globals."""
    fresh()
    yield
    fresh()


READS: dict[str, tuple[Callable[[Any], Any], Callable[[], Any]]] = {
    "global": (lambda x: x * K, set_global("K", 3.0)),
    "global int": (lambda x: x * K, set_global("K", 3)),
    "sign of zero": (lambda x: am.copysign(x, K * 0.0), set_global("K", -2.0)),
    "list element": (lambda x: x * RATES[1], lambda: RATES.__setitem__(1, 5.0)),
    "list length": (lambda x: x * len(RATES), lambda: RATES.append(1.0)),
    "list rebound": (lambda x: x * RATES[1], set_global("RATES", [1.0, 7.0])),
    "nested dict": (lambda x: x * TABLE["b"]["c"], lambda: TABLE["b"].update(c=4.0)),
    "dict key": (lambda x: x * (2.0 if "z" in TABLE else 1.0), lambda: TABLE.update(z=0.0)),
    "set": (lambda x: x * (2.0 if "y" in WORDS else 1.0), lambda: WORDS.add("y")),
    "deque": (lambda x: x * QUEUE[0], lambda: QUEUE.appendleft(5.0)),
    "array in place": (lambda x: x * ARRAY[1], lambda: ARRAY.__setitem__(1, 9.0)),
    "array reshaped": (lambda x: x * ARRAY.ndim, lambda: setattr(ARRAY, "shape", (3, 1))),
    "branch on an int": (lambda x: x * 2.0 if epoch < 1 else x * 5.0, set_global("epoch", 1)),
    "attribute": (lambda x: x * settings.rate, lambda: setattr(settings, "rate", 4.0)),
    "attribute of an attribute": (lambda x: x * settings.deep.scale, lambda: setattr(settings.deep, "scale", 4.0)),
    "module attribute": (lambda x: x * config.K, lambda: setattr(config, "K", 4.0)),
    "instance attribute": (lambda x: scaler.shifted(x), lambda: setattr(scaler, "scale", 9.0)),
    "property": (lambda x: scaler(x), lambda: setattr(scaler, "scale", 9.0)),
    "class attribute": (lambda x: scaler(x), lambda: setattr(Scaler, "factor", 7.0)),
    "class attribute hidden": (lambda x: scaler(x), lambda: setattr(scaler, "factor", 7.0)),
    "class attribute through super": (lambda x: doubler.shifted(x), lambda: setattr(Scaler, "factor", 7.0)),
    "property through super": (lambda x: x * doubler.both, lambda: setattr(doubler, "scale", 7.0)),
    "method replaced below super": (lambda x: doubler.shifted(x), replace_method),
    "what is read below super": (lambda x: Squarer().run(x), set_global("K", 5.0)),
    "setter": (assigned, set_global("K", 5.0)),
    "class itself": (lambda x: x * Scaler.factor, lambda: setattr(Scaler, "factor", 7.0)),
    "getattr": (lambda x: x * getattr(scaler, "sca" + "le"), lambda: setattr(scaler, "scale", 7.0)),
    "vars": (lambda x: x * vars(scaler)["scale"], lambda: setattr(scaler, "scale", 7.0)),
    "slot": (lambda x: x * slotted.rate, lambda: setattr(slotted, "rate", 7.0)),
    "dataclass": (lambda x: x * options.rate, lambda: setattr(options, "rate", 7.0)),
    "dataclass as a dict": (lambda x: x * dataclasses.asdict(options)["rate"], lambda: setattr(options, "rate", 7.0)),
    "nested helper": (lambda x: helper(x) + 1.0, set_global("K", 5.0)),
    "helper redefined": (lambda x: helper(x) + 1.0, set_global("helper", lambda x: x * 10.0)),
    "default": (with_default, lambda: with_default.__defaults__[0].__setitem__(0, 3.0)),  # type: ignore[index]
    "keyword default": (keyword_default, lambda: keyword_default.__kwdefaults__["rates"].update(a=3.0)),
    "comprehension": (lambda x: sum([x * r for r in RATES]), lambda: RATES.append(4.0)),
    "lambda inside": (lambda x: (lambda y: y * K)(x), set_global("K", 5.0)),
    "function in a dict": (lambda x: {"h": helper}["h"](x), set_global("K", 5.0)),
    "enumeration": (lambda x: x * (2.0 if mode is Mode.FAST else 3.0), set_global("mode", Mode.SLOW)),
    "sentinel": (lambda x: x * (2.0 if sentinel is LISTED else 3.0), set_global("sentinel", object())),
    "metaclass": (lambda x: x * Child.rate, lambda: setattr(Meta, "rate", 3.0)),
    "hides a metaclass's": (lambda x: x * Child.rate, lambda: setattr(Child, "rate", 4.0)),
    "globals()": (lambda x: x * globals()["K"], set_global("K", 4.0)),
    "array of Python": (lambda x: x * FLOATS[0], lambda: FLOATS.__setitem__(0, 4.0)),
    "text": (lambda x: x * (2.0 if TABLE.get("mode") == "fast" else 1.0), lambda: TABLE.update(mode="fast")),
    "array of ctypes": (lambda x: x * pair[1], lambda: pair.__setitem__(1, 4.0)),
    "structure of ctypes": (lambda x: x * point.rate, lambda: setattr(point, "rate", 4.0)),
    "record of an array": (lambda x: x * record["rate"], lambda: records["rate"].fill(4.0)),
    "view of memory": (lambda x: x * view[0], lambda: view.__setitem__(0, 4.0)),
    "weak reference": (lambda x: x * parent().scale, lambda: setattr(scaler, "scale", 4.0)),
    "weak proxy": (lambda x: x * proxy.scale, lambda: setattr(scaler, "scale", 4.0)),
    "weak dict": (lambda x: x * children["a"].scale, lambda: setattr(scaler, "scale", 4.0)),
    "method of a list": (lambda x: x * length(), lambda: RATES.append(4.0)),
    "match a class": (lambda x: x * matched(options), lambda: setattr(options, "rate", 4.0)),
    "match a class by place": (lambda x: x * matched_by_place(options), lambda: setattr(options, "rate", 4.0)),
    "match a missing attribute": (lambda x: x * matched(settings.deep), lambda: setattr(settings.deep, "scale", 4.0)),
    "eval": (lambda x: x * eval("K + 1"), set_global("K", 4.0)),
    "attrgetter": (lambda x: x * get_rate(settings), lambda: setattr(settings, "rate", 4.0)),
    "attrgetter of two": (lambda x: x * get_deep(settings), lambda: setattr(settings.deep, "scale", 4.0)),
    "methodcaller": (lambda x: call_shifted(scaler) * x, lambda: setattr(scaler, "scale", 4.0)),
    "methodcaller of any": (lambda x: call_any(settings) * x, lambda: setattr(settings, "rate", 4.0)),
    "__getattribute__": (
        lambda x: x * object.__getattribute__(settings, "rate"),
        lambda: setattr(settings, "rate", 4.0),
    ),
    "read-only view of a dict": (lambda x: x * shown["c"], lambda: HIDDEN.update(c=4.0)),
    "values of a dict": (lambda x: x * sum(values), lambda: HIDDEN.update(c=4.0)),
    "items of a dict": (lambda x: x * len(items), lambda: HIDDEN.update(d=4.0)),
    "values of an ordered dict": (in_order, lambda: ordered.move_to_end("a")),
    "flat array": (lambda x: x * flat[1], lambda: ARRAY.__setitem__(1, 9.0)),
    "frompyfunc": (lambda x: x * times_k(np.array([x], dtype=object))[0], set_global("K", 5.0)),
    "iterator of a list": (lambda x: x * sum(begin()), lambda: RATES.append(4.0)),
    "module by its name": (
        lambda x: x * sys.modules["outside_by_name"].K,
        lambda: setattr(sys.modules["outside_by_name"], "K", 4.0),
    ),
    "module imported by its name": (
        lambda x: x * importlib.import_module("outside_by_name").K,
        lambda: setattr(sys.modules["outside_by_name"], "K", 4.0),
    ),
    "configparser": (lambda x: x * ini.getfloat("model", "rate"), lambda: ini.set("model", "rate", "4.0")),
    "section of a configparser": (lambda x: x * float(ini["model"]["rate"]), lambda: ini.set("model", "rate", "4.0")),
    "queue": (lambda x: x * waiting.qsize(), lambda: waiting.put(4.0)),
    "context variable": (lambda x: x * context.get(), lambda: context.set(4.0)),
    "context variable without a value": (lambda x: x * unset.get(2.0), lambda: unset.set(4.0)),
    "local to a thread": (lambda x: x * local.rate, lambda: setattr(local, "rate", 4.0)),
    "local to a thread, by getattr": (lambda x: x * getattr(local, NAME), lambda: setattr(local, "rate", 4.0)),
    "subclass of a local": (lambda x: x * begun.rate, lambda: setattr(begun, "rate", 4.0)),
    "format": (lambda x: x * float("{0.rate:.3f}".format(settings)), lambda: setattr(settings, "rate", 4.0)),
    "format by a keyword": (lambda x: x * float("{s.rate}".format(s=settings)), lambda: setattr(settings, "rate", 4.0)),
    "format of an attribute's": (
        lambda x: x * float("{0.deep.scale}".format(settings)),
        lambda: setattr(settings.deep, "scale", 4.0),
    ),
    "format of a class's": (lambda x: x * float("{0.factor}".format(scaler)), lambda: setattr(Scaler, "factor", 4.0)),
    "format of a property": (lambda x: x * float("{0.both}".format(scaler)), lambda: setattr(Scaler, "factor", 4.0)),
    "format of a slot": (lambda x: x * float("{0.rate}".format(slotted)), lambda: setattr(slotted, "rate", 4.0)),
    "format of a module": (lambda x: x * float("{0.K}".format(config)), lambda: setattr(config, "K", 4.0)),
    "format elsewhere": (lambda x: x * float(FORMAT.format(settings)), lambda: setattr(settings, "rate", 4.0)),
    "format in a class": (lambda x: x * float(FORMAT.format(one_field)), lambda: setattr(OneField, "rate", 4.0)),
    "str.format": (lambda x: x * float(str.format("{0.rate}", settings)), lambda: setattr(settings, "rate", 4.0)),
    "Formatter": (
        lambda x: x * float(string.Formatter().format("{0.rate}", settings)),
        lambda: setattr(settings, "rate", 4.0),
    ),
    "format_map": (lambda x: x * float("{c}".format_map(HIDDEN)), lambda: HIDDEN.update(c=4.0)),
    "format_map of an object": (
        lambda x: x * float("{rate}".format_map(by_name)),
        lambda: setattr(by_name, "rate", 4.0),
    ),
    "format_map of attributes": (
        lambda x: x * float("{rate}".format_map(vars(settings))),
        lambda: setattr(settings, "rate", 4.0),
    ),
    "percent": (lambda x: x * float("%(c)s" % HIDDEN), lambda: HIDDEN.update(c=4.0)),
    "percent of an object": (lambda x: x * float("%(rate)s" % by_name), lambda: setattr(by_name, "rate", 4.0)),
    "f-string": (lambda x: x * float(f"{settings.rate}"), lambda: setattr(settings, "rate", 4.0)),
    "getattr by a global": (lambda x: x * getattr(settings, NAME), lambda: setattr(settings, "rate", 4.0)),
    "getattr of a class's": (lambda x: x * getattr(one_field, NAME), lambda: setattr(OneField, "rate", 4.0)),
    "getattr of a computed name": (
        lambda x: x * getattr(one_field, "".join(reversed("etar"))),
        lambda: setattr(OneField, "rate", 4.0),
    ),
    "getattr of a module": (lambda x: x * getattr(config, "".join(["K"])), lambda: setattr(config, "K", 4.0)),
    "jit inside": (lambda x: jitted_helper(x) + 1.0, set_global("K", 5.0)),
    "grad inside": (lambda x: grad(helper)(x) * x, set_global("K", 5.0)),
}
jitted_helper = jit(lambda x: helper(x))
length, begin = RATES.__len__, RATES.__iter__
get_rate, get_deep = operator.attrgetter("rate"), operator.attrgetter("deep.scale")
call_shifted, call_any = operator.methodcaller("shifted", 1.0), operator.methodcaller("__getattribute__", "rate")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # of NumPy 2.5, which still does it
@pytest.mark.parametrize("what", READS)
def test_changes_are_seen(what: str) -> None:
    """After a change of anything that is read, the next two calls give the eager result."""
    function, change = READS[what]
    forms = {
        "plain": (function, (1.5,)),
        "gradient": (value_and_grad(function), (1.5,)),
        "batch": (vmap(function), (np.array([1.5, 2.5]),)),
        "reduced": (grad(vmap(lambda w, x: w * function(x), (None, 0), "mean")), (2.0, np.array([1.5, 2.5]))),
    }
    compiled = {name: jit(form) for name, (form, _) in forms.items()}

    def check() -> None:
        for name, (form, args) in forms.items():
            for _ in range(2):
                assert np.array_equal(form(*args), compiled[name](*args)), name
        w = Value(1.5)
        compiled["plain"](w).backward()
        assert (function(1.5), grad(function)(1.5)) == (compiled["plain"](w).data, w.grad)

    check()
    change()
    check()


def test_each_thread_and_each_context_has_its_own() -> None:
    """A compiled function reads what its caller has, and what was compiled for another caller is kept."""
    compiled = jit(lambda x: x * local.rate + context.get())
    seen: list[float] = []

    def call(rate: float) -> None:
        local.rate = rate
        context.set(rate)
        seen.extend([compiled(1.0), compiled(2.0)])

    assert 4.0 == compiled(1.0)
    copy_context().run(context.set, 5.0)
    for rate in (3.0, 4.0):
        thread = threading.Thread(target=call, args=(rate,))
        thread.start()
        thread.join()
    assert [6.0, 9.0, 8.0, 12.0] == seen
    assert 4.0 == compiled(1.0)
    assert 3 == len(compiled.outside.states())


def test_a_format_that_names_no_attribute_reads_none() -> None:
    """What is formatted by itself, as in messages, adds nothing that must be watched."""
    compiled = jit(lambda x: x * len("{:.3f} {a}".format(2.0, a="b")) + scaler.scale)
    compiled(1.0)
    assert not [read for read in compiled.reads() if read.name.endswith(".steps")]


class TestClosures:
    """Cells, methods, partials, callable objects."""

    def test_nonlocal(self) -> None:
        """A variable of the enclosing function is rebound there."""
        scale = 2.0

        def rescale(new: float) -> None:
            nonlocal scale
            scale = new

        compiled = jit(lambda x: x * scale)
        assert 2.0 == compiled(1.0)
        rescale(3.0)
        assert [3.0, 3.0] == [compiled(1.0), compiled(1.0)]

    def test_epochs(self) -> None:
        """A loop's variable that decides a branch."""
        seen = []
        compiled = None
        for step in range(3):
            compiled = compiled or jit(lambda x: x if step < 1 else x * 10.0)  # noqa: B023 (it is bound late)
            seen.append(compiled(1.0))
        assert [1.0, 10.0, 10.0] == seen

    def test_bound_method_and_callable_object(self) -> None:
        """The instance of a bound method, and a callable object."""
        one = Scaler()
        method, called = jit(one.shifted), jit(one)
        assert (4.0, 6.0) == (method(1.0), called(1.0))
        one.scale = 10.0
        assert (11.0, 20.0) == (method(1.0), called(1.0))

    def test_class_of_an_instance(self) -> None:
        """The class of an object is assigned."""
        one = Scaler()

        class Other(Scaler):
            factor = 100.0

        compiled = jit(lambda x: one(x))
        assert 6.0 == compiled(1.0)
        one.__class__ = Other
        assert 300.0 == compiled(1.0)

    def test_method_redefined(self) -> None:
        """A method is replaced in its class, in the instance, and its code is replaced."""

        class Local:
            def run(self, x: Any) -> Any:
                return x * 2.0

        one = Local()
        compiled = jit(lambda x: one.run(x))
        assert 2.0 == compiled(1.0)
        Local.run = lambda self, x: x * 3.0  # type: ignore[method-assign]
        assert 3.0 == compiled(1.0)
        one.run = lambda x: x * 4.0  # type: ignore[method-assign]
        assert 4.0 == compiled(1.0)

    def test_code_and_defaults_of_a_function(self) -> None:
        """A helper's code and defaults assigned in place."""

        def inner(x: Any, k: float = 2.0) -> Any:
            return x * k

        compiled = jit(lambda x: inner(x))
        assert 2.0 == compiled(1.0)
        inner.__defaults__ = (3.0,)
        assert 3.0 == compiled(1.0)
        inner.__code__ = (lambda x, k: x + k).__code__
        assert 4.0 == compiled(1.0)

    def test_partial(self) -> None:
        """The arguments in a functools.partial."""
        rates, named = [2.0], {"k": 1.0}
        compiled = jit(functools.partial(lambda r, x, o: x * r[0] + o["k"], rates, o=named))
        assert 3.0 == compiled(1.0)
        rates[0], named["k"] = 5.0, 2.0
        assert 7.0 == compiled(1.0)

    def test_shadowed_builtin(self) -> None:
        """A global that gets the name of a builtin."""
        names: dict[str, Any] = {}
        exec("f = lambda x: abs(x)", names)
        compiled = jit(names["f"])
        assert 2.0 == compiled(-2.0)
        names["abs"] = lambda x: x * 10.0
        assert -20.0 == compiled(-2.0)

    def test_decorated(self) -> None:
        """A function behind a user's decorator."""
        scale = [2.0]

        def doubled(function: Any) -> Any:
            @functools.wraps(function)
            def wrapper(x: Any) -> Any:
                return 2.0 * function(x)

            return wrapper

        @doubled
        def inner(x: Any) -> Any:
            return x * scale[0]

        compiled = jit(inner)
        assert 4.0 == compiled(1.0)
        scale[0] = 3.0
        assert 6.0 == compiled(1.0)

    def test_argument_s_class(self) -> None:
        """A method of an argument reads a global."""

        class Line(nn.Module):
            def __init__(self) -> None:
                self.w = Value(1.0)

            def __call__(self, x: Any) -> Any:
                return self.w * x * K

        line = Line()
        compiled = jit(lambda model, x: model(x))
        assert 2.0 == compiled(line, 1.0).data
        set_global("K", 3.0)()
        assert 3.0 == compiled(line, 1.0).data

    def test_import_inside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module that the function itself imports."""
        (tmp_path / "outside_config.py").write_text("RATE = 2.0\n")
        monkeypatch.syspath_prepend(tmp_path)
        names: dict[str, Any] = {}
        exec("def f(x):\n    from outside_config import RATE\n    return x * RATE", names)
        compiled = jit(names["f"])
        assert 2.0 == compiled(1.0)
        sys.modules["outside_config"].RATE = 3.0  # type: ignore[attr-defined]
        assert 3.0 == compiled(1.0)
        del sys.modules["outside_config"]


# ---- Values ------------------------------------------------------------------------------------------------------


def test_names_of_values() -> None:
    """A name that is bound to another Value, to a number and back."""
    w = Value(2.0)
    compiled = jit(lambda x: w * x)
    compiled(3.0).backward()
    first, w = w, Value(5.0)
    y = compiled(3.0)
    y.backward()
    assert (3.0, 15.0, 3.0) == (first.grad, y.data, w.grad)
    w = 7.0  # type: ignore[assignment]
    assert (21.0, float) == (compiled(3.0), type(compiled(3.0)))
    w = first
    assert (6.0, True) == (compiled(3.0).data, isinstance(compiled(3.0), Value))


def test_layers() -> None:
    """A model's layer, a neuron and a weight are replaced; an activation too."""
    model = nn.MLP(2, [3, 1], seed=1)
    loss = jit(lambda x: model(x) ** 2)
    x = [0.5, -0.25]

    def check() -> None:
        for _ in range(2):
            compiled, eager = loss(x), model(x) ** 2
            assert eager.data == pytest.approx(compiled.data, rel=1e-14)
            for y, into in ((eager, []), (compiled, [])):
                model.zero_grad()
                y.backward()
                into += [p.grad for p in model.parameters()]

    check()
    model.layers[0] = nn.MLP(2, [3, 1], seed=2).layers[0]
    check()
    model.layers[0].neurons[1].w[0] = Value(0.75)
    check()
    model.layers = nn.MLP(2, [3, 1], seed=3).layers
    check()
    assert 4 == len(loss._with_derivatives(()).paths())


def test_training() -> None:
    """A training loop with a schedule in a global: compiled and eager end with the same weights."""
    ends = []
    for wrap in (lambda f: f, jit):
        model = nn.MLP(2, [4, 1], seed=4)
        state = {"decay": 0.1}

        def loss(x: Any) -> Any:
            return (model(x) - 1.0) ** 2 + state["decay"] * sum(p * p for p in model.parameters())  # noqa: B023

        step = wrap(loss)
        for k in range(30):
            state["decay"] = 0.1 if k < 10 else 0.01
            model.zero_grad()
            step([0.5, 0.3]).backward()
            for p in model.parameters():
                p.data -= 0.05 * p.grad
        ends.append([p.data for p in model.parameters()])
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)


# ---- how often a function is traced ------------------------------------------------------------------------------


def test_toggling() -> None:
    """Two values that alternate are compiled once each, and both stay on the fast path."""
    compiled = jit(lambda x: x * K)
    for _ in range(10):
        for number in (2.0, 3.0):
            set_global("K", number)()
            assert number == compiled(1.0)
    assert 2 == compiled.stats()["paths"]


def test_equal_things() -> None:
    """New but equal containers, functions and objects cause no new trace."""
    count = []
    compiled = jit(lambda x: (count.append(1), x * RATES[0] * helper(1.0) * scaler.scale * ARRAY[0])[1])
    for _ in range(5):
        compiled(1.0)
        scaled = Scaler()
        set_global("RATES", [1.0, 2.0])()
        set_global("ARRAY", np.array([1.0, 2.0, 3.0]))()
        set_global("scaler", scaled)()
        set_global("K", float("2.0"))()
    assert 1 == compiled.stats()["paths"]
    assert [1] == count


def test_notice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that changes at every call: the results are right, few states are kept, one notice says what to do."""
    monkeypatch.delenv("AUTOGRAD_QUIET", raising=False)
    compiled = jit(lambda x: x * K)
    for k in range(2 * TOO_OFTEN):
        set_global("K", float(k))()
        assert float(k) == compiled(1.0)
    assert MOST_STATES == compiled.stats()["paths"]
    said = capsys.readouterr().err
    assert (
        said == f"autograd: <lambda> was traced again {TOO_OFTEN} times because `K` changed: pass it as an argument\n"
    )
    monkeypatch.setenv("AUTOGRAD_QUIET", "1")
    other = jit(lambda x: x + K)
    for k in range(2 * TOO_OFTEN):
        set_global("K", float(k))()
        other(1.0)
    assert "" == capsys.readouterr().err


def test_what_is_not_read() -> None:
    """A change of attributes and globals that the function does not mention has no effect."""
    compiled = jit(lambda x: scaler.shifted(x))
    for step in range(5):
        scaler.steps, globals()["epoch"] = step, step
        compiled(1.0)
    assert 1 == compiled.stats()["paths"]


@needs_c
def test_the_short_way_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes, and after a change back, calls stay in C."""
    compiled = jit(lambda x: x * K + RATES[0] * ARRAY.T[1] + scaler.both + slotted.rate + len(WORDS) + TABLE["a"])
    general: list[Any] = []
    call = type(compiled)._call
    monkeypatch.setattr(type(compiled), "_call", lambda *args: (general.append(args), call(*args))[1])
    compiled(1.0)
    assert compiled(2.0) == compiled.function(2.0)
    assert 1 == len(general)
    set_global("K", 3.0)()
    compiled(1.0)
    set_global("K", float("2.0"))()
    assert compiled(2.0) == compiled.function(2.0)
    assert 2 == len(general)


def test_primitives() -> None:
    """A walk ends at a primitive of the table; what a primitive of the user reads is watched."""
    rates = [2.0]

    @custom_gradient(lambda x, y: rates[0])
    def linear(x: float) -> float:
        return rates[0] * x

    chosen = {"sin": rules.sin, "linear": linear}
    compiled = jit(lambda x: chosen["sin"](x) + chosen["linear"](x))
    assert compiled(0.5) == compiled.function(0.5)
    reads = compiled.reads()
    assert {"chosen[]", "rates[]"} <= {read.name for read in reads if read.watched}
    assert not [read.name for read in reads if read.name.startswith("chosen['sin']")]
    rates[0] = 3.0
    assert compiled(0.5) == compiled.function(0.5)
    chosen["sin"] = rules.cos
    assert compiled(0.5) == compiled.function(0.5)


# ---- side effects ------------------------------------------------------------------------------------------------


def test_counting_is_refused() -> None:
    """A number outside that the function counts up would be counted only once, so it is refused with the line."""
    total = 0.0

    def counts(x: Any) -> Any:
        nonlocal total
        total = total + 1.0
        return x * total

    def accumulates(x: Any) -> Any:
        nonlocal total
        total += x
        return x

    for function, x in ((counts, 1.0), (accumulates, 1.0), (grad(counts), 1.0), (vmap(counts), np.ones(3))):
        total = 0.0
        with pytest.raises(TypeError, match=r"changes total, at .*test_jit_outside.py:\d+ in (counts|accumulates)"):
            jit(function)(x)


def test_lists_that_the_function_appends_to() -> None:
    """Such a list is not watched, because every call would trace again; everything else is."""
    log: list[Any] = []
    compiled = jit(lambda x: (log.append(1), x * K)[1])
    assert [2.0, 4.0] == [compiled(1.0), compiled(2.0)]
    log.clear()
    assert 2.0 == compiled(1.0)
    set_global("K", 3.0)()
    assert [3.0, 6.0] == [compiled(1.0), compiled(2.0)]
    assert 2 == compiled.stats()["paths"]
    assert [("log[]", "list that the function itself changes", False)] == [r for r in compiled.reads() if not r.watched]


def test_attributes_that_the_function_sets() -> None:
    """A stored activation does not hide other changes."""

    class Net(nn.Module):
        def __init__(self) -> None:
            self.w, self.last, self.scale = Value(2.0), None, 1.0

        def __call__(self, x: Any) -> Any:
            self.last = self.w * x
            return self.last * self.scale  # type: ignore[operator]

    net = Net()
    compiled = jit(lambda x: net(x))
    assert [2.0, 2.0] == [compiled(1.0).data, compiled(1.0).data]
    net.scale = 5.0
    assert [10.0, 10.0] == [compiled(1.0).data, compiled(1.0).data]


def test_made_when_first_needed() -> None:
    """A table that the function makes at its first call is watched afterwards."""
    table: Any = None

    def function(x: Any) -> Any:
        nonlocal table
        if table is None:
            table = [1.0, 2.0]
        return x * table[1]

    compiled = jit(function)
    assert [2.0, 2.0] == [compiled(1.0), compiled(1.0)]
    table[1] = 5.0
    assert [5.0, 5.0] == [compiled(1.0), compiled(1.0)]


class Lazy:
    """What is made at the first call, in an attribute."""

    def __init__(self) -> None:
        self.rate: float | None = None

    def __call__(self, x: Any) -> Any:
        """A product."""
        if self.rate is None:
            self.rate = 2.0
        return x * self.rate


@pytest.mark.parametrize("batch", [False, True])
def test_tables_that_the_function_fills(batch: bool) -> None:
    """A table of results is watched once it is full; when it is emptied, the function fills it again."""
    results: dict[int, float] = {}
    defaults: dict[str, float] = defaultdict(lambda: 1.0)
    lazy, calls = Lazy(), {"first": True}

    def power(n: int) -> float:
        if n not in results:
            results[n] = K**n
        return results[n]

    def function(x: Any) -> Any:
        first, calls["first"] = calls["first"], False
        return lazy(x) * power(3) + defaults["a"] + (100.0 if first and not batch else 0.0)

    compiled = jit(vmap(function)) if batch else jit(function)

    def call() -> Any:
        return compiled(np.array([1.0]))[0] if batch else compiled(1.0)

    more = 0.0 if batch else 100.0
    assert [17.0 + more, 17.0, 17.0] == [call() for _ in range(3)]
    assert 1 == compiled.stats()["paths"]
    results[3], defaults["a"], lazy.rate = 10.0, 3.0, 4.0
    assert [43.0, 43.0] == [call(), call()]
    lazy.rate = None
    assert [23.0, 23.0] == [call(), call()]
    assert 2.0 == lazy.rate
    results.clear()
    set_global("K", 1.0)()
    calls["first"] = True
    assert [5.0 + more, 5.0, 5.0] == [call() for _ in range(3)]
    assert {3: 1.0} == results
    assert all(read.watched for read in compiled.reads() if read.name.startswith(("results", "lazy", "defaults")))


def test_what_rows_store_is_no_table() -> None:
    """A number that each row stores, and none reads, causes no trace at the second call."""
    kept = types.SimpleNamespace(last=0.0)

    def stored(x: Any) -> Any:
        kept.last = x * K
        return kept.last + 1.0

    compiled = jit(vmap(stored))
    assert [3.0, 5.0] == compiled(np.array([1.0, 2.0])).tolist()
    (first,) = compiled.paths()
    assert [3.0, 7.0] == compiled(np.array([1.0, 3.0])).tolist()
    assert [first] == compiled.paths()


def test_states_that_the_function_advances() -> None:
    """An attribute that each call computes from the one before would stand still: the second call is refused."""
    integral = types.SimpleNamespace(total=0.0)

    def controller(error: Any) -> Any:
        integral.total = integral.total + 0.1 * error
        return integral.total

    compiled = jit(controller)
    assert 0.1 == compiled(1.0)
    with pytest.raises(TypeError, match="do not keep traced values in globals, lists or attributes; return them"):
        compiled(1.0)


def test_attributes_that_are_missing() -> None:
    """An attribute that appears or goes is noticed by code that asks for it, or that catches its error."""

    def by_hasattr(x: Any) -> Any:
        return x * thing.scale if hasattr(thing, "scale") else x

    def by_error(x: Any) -> Any:
        try:
            return x * thing.scale
        except AttributeError:
            return x

    thing: Any
    for thing in (type("Thing", (), {})(), types.ModuleType("thing")):
        for function in (by_hasattr, by_error):
            compiled = jit(function)
            assert 2.0 == compiled(2.0)
            thing.scale = 3.0
            assert 6.0 == compiled(2.0)
            del thing.scale
            assert 2.0 == compiled(2.0)


def test_the_order_of_a_dict() -> None:
    """The order counts, that of an `OrderedDict` too."""
    names = OrderedDict(a=1.0, b=2.0)
    compiled = jit(lambda x: x * next(iter(names.values())))
    assert 3.0 == compiled(3.0)
    names.move_to_end("a")
    assert 6.0 == compiled(3.0)
    names["b"] = 5.0
    assert 15.0 == compiled(3.0)


def test_frames_of_pandas() -> None:
    """A change of the numbers or the labels of a Series or DataFrame is noticed."""
    pandas = pytest.importorskip("pandas")
    frame, series = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), pandas.Series([1.0, 2.0], index=["u", "v"])
    total, first = jit(lambda x: x * frame["a"].sum()), jit(lambda x: x * series["u"])
    assert (3.0, 1.0) == (total(1.0), first(1.0))
    frame.loc[0, "a"] = 5.0
    series.index = ["v", "u"]
    assert (7.0, 2.0) == (total(1.0), first(1.0))
    frame["a"] = [1.0, 1.0]
    series["u"] = 7.0
    assert (2.0, 7.0) == (total(1.0), first(1.0))


def test_random_numbers_are_refused() -> None:
    """A generator that is used during tracing is refused by name; one made inside the function is allowed."""
    own, generator, legacy = random.Random(1), np.random.default_rng(1), np.random.RandomState(1)
    holder = types.SimpleNamespace(rng=random.Random(2))
    gauss = random.gauss

    def noisy(x: Any) -> Any:
        return x + random.random()

    for function in (
        noisy,
        lambda x: x + np.random.normal(),  # noqa: NPY002 (the legacy one is tested too)
        lambda x: x + own.gauss(0.0, 1.0),
        lambda x: x + generator.normal(),
        lambda x: x + legacy.normal(),
        lambda x: x + holder.rng.random(),
        lambda x: x + gauss(0.0, 1.0),
    ):
        for form, arg in ((function, 1.0), (vmap(function), np.ones(3)), (grad(function), 1.0)):
            with pytest.raises(TypeError, match="draws random numbers while it is traced"):
                jit(form)(arg)
    with pytest.raises(TypeError, match="noisy draws random numbers"):
        jit(noisy)(1.0)
    assert jit(lambda x: x + random.Random(3).random())(1.0) == 1.0 + random.Random(3).random()


# ---- inspection --------------------------------------------------------------------------------------------------


def test_reads() -> None:
    """Everything that is read is listed, and things that are not watched are marked."""
    local = Value(1.0)
    huge = np.broadcast_to(1.0, (1 << 24,))
    text = io.StringIO("12")
    compiled = jit(lambda x: local * x * K + RATES[0] + huge[0] + time.time() + scaler.scale + len(text.getvalue()))
    listed = {(read.name, read.kind): read.watched for read in compiled.reads()}
    for name, kind, watched in (
        ("local", "closure", True),
        ("K", "global", True),
        ("RATES[]", "list", True),
        ("huge[]", "ndarray too large to be watched", False),
        ("time", "clock, file or system", False),
        ("text", "file", False),
        ("scaler.scale", "attribute", True),
    ):
        assert watched == listed[name, kind]
    assert compiled.reads() == (compiled(1.0), compiled.reads())[1]


STEPS = itertools.count()


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("time", lambda x: x * time.time()),
        ("perf_counter", lambda x: x * perf_counter()),
        ("datetime", lambda x: x * datetime.now().year),
        ("environ", lambda x: x * len(environ)),
        ("os", lambda x: x * os.path.exists("a file")),
        ("getenv", lambda x: x * float(getenv("NO_SUCH_NAME", "1"))),
        ("STEPS", lambda x: x * next(STEPS)),
        ("open", lambda x: x * x if x == x else open("a file").close()),
    ],
)
def test_what_is_read_once_is_said(name: str, function: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A clock, the environment, a file or an iterator is not read again, and a notice says so, once."""
    compiled = jit(function)
    compiled(1.0), compiled(2.0)
    assert (
        f"autograd: <lambda> reads `{name}` while it is traced: that happens once, and not at every call. Pass what it "
        "reads as an argument\n"
    ) == capsys.readouterr().err


class Started:
    """It looks at a clock when it is made, and not later."""

    def __init__(self) -> None:
        self.at = time.time()


STARTED = Started()


def test_paths_and_fixed_dates_are_no_notice(capsys: pytest.CaptureFixture[str]) -> None:
    """Parts of these modules that always give the same answer."""
    jit(lambda x: x * len(os.path.join("a", "b")))(1.0)
    jit(lambda x: x * datetime(2026, 1, 2).day)(1.0)
    jit(lambda x: x + STARTED.at)(1.0)
    assert not capsys.readouterr().err


def test_read_only_arrays_may_be_changed_meanwhile() -> None:
    """One that is made writeable, changed and made read-only again is compared as any other."""
    table = np.arange(3.0)
    table.flags.writeable = False
    compiled = jit(lambda x: x * table[2])
    assert 2.0 == compiled(1.0)
    table.flags.writeable = True
    table[2] = 5.0
    table.flags.writeable = False
    assert [5.0, 5.0] == [compiled(1.0), compiled(1.0)]


def test_arrays_of_bytes_are_not_copied() -> None:
    """Their memory never changes, so it is neither copied nor compared; their shape is. No notice: the advice works."""
    table = np.arange(6.0)
    fixed = np.frombuffer(table.tobytes(), table.dtype).reshape(2, 3)
    compiled = jit(lambda x: x * fixed[1, 2])
    assert [5.0, 5.0] == [compiled(1.0), compiled(1.0)]
    (look,) = [state.look for state in compiled.outside.states()]
    ((copy, *_),) = [place.found for place in look.places if place.kind == "array"]
    assert copy.ctypes.data == fixed.ctypes.data
    assert all(place.holds() for place in look.places)
    assert Watch(look.places).holds()
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        fixed.flags.writeable = True


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(12.0).reshape(3, 4).T,
        lambda: np.arange(24.0)[::-2].reshape(3, 4),
        lambda: np.arange(24).reshape(2, 3, 4)[1],
        lambda: np.array([[1.0, 2.0], [3.0, 4.0]], dtype=object),
        lambda: np.array(3.0),
        lambda: np.empty((0, 3)),
        lambda: np.ma.masked_array([1.0, 2.0], [False, True]),
        lambda: np.arange(4.0, dtype=">f8").reshape(2, 2),
        lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
)
def test_arrays_of_all_kinds(make: Any) -> None:
    """For any strides, types and shapes, unchanged arrays cause no new trace and one changed element does."""
    array = make()
    function = jit(lambda x: x * float(len(array.tobytes())))
    function(1.0)
    function(1.0)  # NumPy has filled in a masked array's `_fill_value`
    # The last used comes first. If another thread runs meanwhile, the capture starts again, and the state before that
    # one remains.
    state, *_ = function.outside.states()
    assert state.watch.holds()
    assert Watch(state.look.places).holds()
    if array.size:
        array[(-1,) * array.ndim] = (5, 6.0) if array.dtype.names else 17.0
        assert not state.watch.holds()
        assert not Watch(state.look.places).holds()


# ---- copies, pickles, threads, memory ----------------------------------------------------------------------------


def pickled(x: Any) -> Any:
    """A function that pickle finds by its name."""
    return x * K + RATES[0]


def test_pickles() -> None:
    """An unpickled function uses its programs only in the states in which they were captured."""
    compiled = jit(pickled)
    assert 3.0 == compiled(1.0)
    set_global("K", 3.0)()
    assert 4.0 == compiled(1.0)
    data = pickle.dumps(compiled)
    assert copy.copy(compiled) is copy.deepcopy(compiled) is compiled
    for twin in (pickle.loads(data), pickle.loads(data)):
        assert 2 == len(twin.paths())
        for number in (3.0, 2.0):
            set_global("K", number)()
            assert [number + 1.0] * 2 == [twin(1.0), twin(1.0)]
        assert 2 == len(twin.paths())
        set_global("K", 7.0)()
        assert 8.0 == twin(1.0)
        set_global("K", 3.0)()


@pytest.mark.parametrize(
    "form", [lambda f: jit(f), lambda f: jit(f, static_argnames="n"), lambda f: jit(partial(f, 1.0))]
)
def test_copies_of_objects(form: Callable[[Any], Any]) -> None:
    """The compiled method of a copied object is that of the copy, as a bound method in Python is."""

    class Model:
        def __init__(self) -> None:
            self.rate = 2.0
            self.run = form(self.times)

        def times(self, x: Any, n: Any = 1) -> Any:
            return x * n * self.rate

    model = Model()
    assert 2.0 == model.run(1.0)
    twin = copy.deepcopy(model)
    twin.rate = 5.0
    assert [5.0, 2.0, 5.0] == [twin.run(1.0), model.run(1.0), twin.run(1.0)]


def test_threads() -> None:
    """While one thread changes a number, the others only see values that it has had."""
    values = [float(k) for k in range(1, 6)]
    compiled = jit(lambda x: x * K + K)
    stop, wrong = threading.Event(), []

    def change() -> None:
        k = 0
        while not stop.is_set():
            set_global("K", values[k % 5])()
            k += 1

    def call() -> None:
        for _ in range(400):
            y = compiled(1.0)
            if y / 2.0 not in values:
                wrong.append(y)

    changer = threading.Thread(target=change)
    callers = [threading.Thread(target=call) for _ in range(3)]
    for thread in (changer, *callers):
        thread.start()
    for thread in callers:
        thread.join()
    stop.set()
    changer.join()
    assert [] == wrong
    for number in values:
        set_global("K", number)()
        assert 2.0 * number == compiled(1.0)


def test_threads_that_change_a_list() -> None:
    """A list that another thread changes in place during captures is still watched."""
    rates = [2.0]
    compiled = jit(lambda x: x * rates[0] + rates[0])
    stop, wrong = threading.Event(), []

    def change() -> None:
        k = 0
        while not stop.is_set():
            rates[0] = float(k % 4 + 1)
            k += 1
            time.sleep(0.02)  # longer than a capture: else it is refused after many tries

    changer = threading.Thread(target=change)
    changer.start()
    for _ in range(200):
        if (y := compiled(1.0)) not in (2.0, 4.0, 6.0, 8.0):
            wrong.append(y)
    stop.set()
    changer.join()
    assert [] == wrong
    for number in (1.0, 2.0, 7.0):
        rates[0] = number
        assert 2.0 * number == compiled(1.0)


def test_large_arrays(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice names once what is slow to compare, and what would be faster."""
    monkeypatch.delenv("AUTOGRAD_QUIET", raising=False)
    table = np.ones(1 << 18)
    compiled = jit(lambda x: x * table[0])
    assert [1.0, 1.0] == [compiled(1.0), compiled(1.0)]
    table[0] = 3.0
    assert 3.0 == compiled(1.0)
    assert 1 == capsys.readouterr().err.count("<lambda> reads arrays of 2 MB, which are compared at every call")


def test_code_of_packages() -> None:
    """Only a part of an installed package is followed, and `reads()` says so."""
    sklearn = pytest.importorskip("sklearn.linear_model")
    reads = jit(lambda x: sklearn.LinearRegression().fit(x, x).coef_).reads()
    assert ("more of installed packages", "code", False) in reads
    assert len(reads) < 2000


def test_memory() -> None:
    """Watched objects live no longer than the compiled function."""

    class Thing:
        rate = 2.0

    thing = Thing()
    alive = weakref.ref(thing)
    compiled = jit((lambda held: lambda x: x * held.rate)(thing))
    assert 2.0 == compiled(1.0)
    del thing
    gc.collect()
    assert alive() is not None
    del compiled
    gc.collect()
    assert alive() is None


class Liar:
    """Comparisons that lie, or raise."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.rate = answer, 2.0

    def __eq__(self, other: object) -> bool:
        if self.answer is None:
            raise RuntimeError("no comparison")
        return bool(self.answer)

    __hash__ = object.__hash__


@pytest.mark.parametrize("answer", [True, False, None])
def test_objects_that_lie(answer: Any) -> None:
    """No method of a watched object is called to compare it."""
    held = [Liar(answer)]
    table = {held[0]: 1.0}
    compiled = jit(lambda x: x * held[0].rate * len(table))
    assert [2.0, 2.0] == [compiled(1.0), compiled(1.0)]
    held[0] = Liar(answer)
    held[0].rate = 3.0
    assert 3.0 == compiled(1.0)


@needs_c
def test_references() -> None:
    """A watch leaks nothing, whether something changed or not."""
    thing, slots = Scaler(), Slotted()
    names, items, table, words = {"a": 1.0}, [1.0, "x"], {"k": 2.0}, {"y"}
    array = np.arange(3.0)
    held = 1.0
    variable = ContextVar("variable", default=held)
    cell = (lambda: held).__closure__[0]  # type: ignore[index]
    places = [
        Place("item", names, "a", (names["a"],)),
        Place("item", names, "none", ()),
        Place("attribute", thing, "scale", (thing.scale,)),
        Place("attributes", thing, None, tuple(x for pair in vars(thing).items() for x in pair)),
        Place("slot", slots, Slotted.rate, (slots.rate,)),  # type: ignore[attr-defined]
        Place("class", Scaler, "factor", (Scaler.factor,)),
        Place("cell", cell, None, (held,)),
        Place("context", variable, None, (held,)),
        Place("type", thing, None, (Scaler,)),
        Place("function", helper, None, (helper.__code__, None, None)),
        Place("list", items, None, tuple(items)),
        Place("dict", table, None, ("k", table["k"])),
        Place("set", words, None, ("y",)),
        Place("array", array, None, (array.copy(), 8, array.dtype)),
    ]
    objects = [thing, variable, slots, names, items, table, words, array, cell, helper]
    before = [sys.getrefcount(x) for x in objects]
    for place in places:
        for _ in range(100):
            watch = c_build.extension.Watch((place,))
            assert watch.holds()
            assert place.holds()
    watch = c_build.extension.Watch(tuple(places))
    assert watch.holds()
    del watch
    assert before == [sys.getrefcount(x) for x in objects]
    changes: list[Callable[[], Any]] = [
        lambda: names.update(a=2.0),
        lambda: names.update(none=2.0),
        lambda: setattr(thing, "scale", 9.0),
        lambda: setattr(thing, "extra", 9.0),
        lambda: delattr(slots, "rate"),
        lambda: setattr(Scaler, "factor", 9.0),
        lambda: setattr(cell, "cell_contents", 3),
        lambda: variable.set(4.0),
        lambda: setattr(thing, "__class__", Liar),
        lambda: setattr(helper, "__defaults__", (1.0,)),
        lambda: items.append(1),
        lambda: table.update(k=3.0),
        lambda: words.add("z"),
        lambda: array.__setitem__(0, 9.0),
    ]
    for place, change in zip(places, changes):
        watch = c_build.extension.Watch((place,))
        change()
        assert not watch.holds(), place.kind
        assert not place.holds(), place.kind
    helper.__defaults__ = None


@needs_c
def test_wrong_places() -> None:
    """An invalid place is refused when the watch is made, not when it is checked."""
    for bad in (
        Place("nothing", {}, "a", ()),
        Place("item", [], "a", ()),
        Place("item", {}, 3, ()),
        Place("item", {}, "a", (1, 2)),
        Place("attribute", 3.0, "a", ()),
        Place("attributes", 3.0, None, ()),
        Place("slot", 3.0, Slotted.rate, ()),  # type: ignore[attr-defined]
        Place("class", 3, "a", ()),
        Place("cell", 3, None, ()),
        Place("context", 3, None, ()),
        Place("function", len, None, (1, 2, 3)),
        Place("list", (), None, ()),
        Place("dict", [], None, ()),
        Place("set", [], None, ()),
        Place("array", [], None, ()),
        Place("array", np.ones(2), None, (1, 2, 3)),
    ):
        with pytest.raises(ValueError, match="no place to watch"):
            c_build.extension.Watch((bad,))
    for wrong in (3, ("item",), ("item", {}, "a", [])):
        with pytest.raises(TypeError):
            c_build.extension.Watch((wrong,))


def test_an_array_that_each_call_fills_first_is_no_reason_to_trace_again() -> None:
    """A workspace of objects has other numbers of a trace after each one; from the third call on, none is made."""
    work, runs = np.zeros(4, dtype=object), []

    def f(x: Any) -> Any:
        runs.append(0)
        for i in range(4):
            work[i] = x * i
        return work[2] + work[3]

    compiled = jit(f, quiet=True)
    assert [5.0, 10.0, 15.0, 20.0] == [compiled(x) for x in (1.0, 2.0, 3.0, 4.0)]
    assert 2 == len(runs)
