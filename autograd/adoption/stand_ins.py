"""Modules of the standard library as adopted code sees them: floats as ever, Values as `autograd.math` has them."""

from __future__ import annotations

import cmath
import dataclasses
import functools
import math
import operator
import random
import statistics
import sys
from collections.abc import Callable
from math import inf
from types import ModuleType
from typing import Any

from autograd import linalg, rules, special
from autograd import math as am
from autograd.adoption import answers
from autograd.adoption.answers import Function, guard_kinds, whole
from autograd.modes import caller, now
from autograd.rules import REAL, Rule
from autograd.value import Value

Condition = Callable[[Any], Any]


def is_real(y: Any) -> Any:
    """Whether a result is a number, or infinite: where these functions raise, IEEE arithmetic has nan."""
    return y == y


def is_not_infinite(y: Any) -> Any:
    """Whether a result is neither too large nor nan."""
    return y < inf


def is_finite(y: Any) -> Any:
    """Whether a result is finite."""
    return abs(y) < inf


# name → what holds for every result for which the standard library does not raise; None if it never raises
RAISING: dict[str, Condition | None] = {
    **dict.fromkeys(["acos", "acosh", "asin", "cos", "fmod", "remainder", "sin", "sqrt", "tan"], is_real),
    **dict.fromkeys(["cosh", "exp", "exp2", "expm1", "lgamma"], is_not_infinite),
    **dict.fromkeys(["atanh", "fma", "gamma", "ldexp", "log", "log10", "log1p", "log2", "pow", "sinh"], is_finite),
    **dict.fromkeys(["asinh", "atan", "atan2", "cbrt", "copysign", "degrees", "dist", "erf", "erfc"]),
    **dict.fromkeys(["fabs", "hypot", "isclose", "isfinite", "isinf", "isnan", "modf", "radians", "tanh"]),
}
OVER_ITERABLES: dict[str, Condition | None] = {"fsum": is_finite, "prod": None, "sumprod": None}
WHOLE: dict[str, Rule] = {"ceil": rules.ceil, "floor": rules.floor, "trunc": rules.trunc}


def any_value(things: Any) -> bool:
    """Whether a Value is among these."""
    return any(isinstance(x, Value) for x in things)


def _named(function: Function, plain: Function) -> Function:
    function.__name__ = function.__qualname__ = plain.__name__
    function.__doc__ = plain.__doc__
    return function


def checked(plain: Function, own: Function, condition: Condition | None) -> Function:
    """A function of numbers that raises for Values where `plain` raises for floats."""

    def one(x: Any, /) -> Any:
        if not isinstance(x, Value):
            return plain(x)
        y = own(x)
        if condition is not None and not condition(y):
            guard_kinds([x])
            plain(now(x))
        return y

    def several(*arguments: Any, **options: Any) -> Any:
        if not any_value(arguments) and not any(map(_holds_values, arguments)):
            return plain(*arguments, **options)
        y = own(*arguments, **options)
        if condition is not None and not condition(y):
            guard_kinds(arguments)
            plain(*map(now, arguments), **options)
        return y

    single = getattr(own, "__name__", "") == plain.__name__ and plain.__name__ in SINGLE
    return _named(one if single else several, plain)


SINGLE = frozenset(  # functions of one number, which are called most
    [
        *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp", "exp2"),
        *("expm1", "fabs", "gamma", "lgamma", "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh"),
    ]
)


def _holds_values(thing: Any) -> bool:
    return isinstance(thing, (list, tuple)) and any_value(thing)


def _over_iterable(plain: Function, own: Function, condition: Condition | None) -> Function:
    def function(*iterables: Any, **options: Any) -> Any:
        lists = [list(iterable) for iterable in iterables]
        if not any(map(any_value, lists)) and not any_value(options.values()):
            return plain(*lists, **options)
        y = own(*lists, **options)
        if condition is not None and not condition(y):
            guard_kinds([x for things in lists for x in things])
            plain(*[list(map(now, things)) for things in lists])
        return y

    return _named(function, plain)


def _rounding(name: str) -> Function:
    plain = getattr(math, name)
    return _named(lambda x, /: whole(WHOLE[name], x) if isinstance(x, Value) else plain(x), plain)


def _frexp(x: Any, /) -> tuple[Any, int]:
    """Mantissa and exponent, which is guarded when compiled."""
    if not isinstance(x, Value):
        return math.frexp(x)
    exponent = math.frexp(now(x))[1]
    y = am.ldexp(x, -exponent)
    # guards: numbers with another exponent take another path, and so do 0 and what is not finite
    if not ((abs(y) >= 0.5) & (abs(y) < 1.0)) and y != 0.0 and abs(y) < inf:
        raise AssertionError(f"the exponent of {now(x)!r} is not {exponent}")
    return y, exponent


def _log(x: Any, *base: Any) -> Any:
    return am.log(x) if not base else answers.divide(_LOG(x), _LOG(base[0]))


def _remade(module: ModuleType, **changed: Any) -> ModuleType:
    """A module that has other functions under some of its names."""
    made = ModuleType(module.__name__, module.__doc__)
    vars(made).update(vars(module))
    vars(made).update({name: function for name, function in changed.items() if hasattr(module, name)})
    return made


def _math() -> ModuleType:
    functions: dict[str, Function] = {"frexp": _frexp}
    for name, condition in RAISING.items():
        if plain := getattr(math, name, None):
            functions[name] = checked(plain, _log if name == "log" else getattr(am, name), condition)
    for name, condition in OVER_ITERABLES.items():
        if plain := getattr(math, name, None):
            functions[name] = _over_iterable(plain, getattr(am, name), condition)
    functions |= {name: _rounding(name) for name in WHOLE}
    return _remade(math, **functions)


_LOG = checked(math.log, am.log, is_finite)

# ---- cmath: of Values only what is real ------------------------------------------------------------------------------

REAL_IN_CMATH: dict[str, Callable[[Any], Any]] = {
    "acos": lambda x: abs(x) <= 1.0,
    "asin": lambda x: abs(x) <= 1.0,
    "log": lambda x: x > 0.0,
    "log10": lambda x: x > 0.0,
    "sqrt": lambda x: x >= 0.0,
    **dict.fromkeys(["asinh", "atan", "cos", "cosh", "exp", "sin", "sinh", "tan", "tanh"], lambda x: True),
    **dict.fromkeys(["isclose", "isfinite", "isinf", "isnan"], lambda x: True),
}


def _real_only(name: str) -> Function:
    plain = getattr(cmath, name)

    def function(*arguments: Any, **options: Any) -> Any:
        if not any_value(arguments):
            return plain(*arguments, **options)
        if name in REAL_IN_CMATH and REAL_IN_CMATH[name](arguments[0]):
            return getattr(MATH, name)(*arguments, **options)
        raise TypeError(
            f"cmath.{name}({', '.join(repr(now(x)) for x in arguments)}) at {caller(source=True)} is complex; "
            "derivatives here are of real numbers: choose arguments for which the code stays real"
        )

    return _named(function, plain)


# ---- statistics: exact sums, as rows with a derivative ---------------------------------------------------------------


def _row(name: str, derivative: Callable[[Any, Any], Any]) -> Rule:
    """A row on a list of numbers whose value is that of the standard library."""
    plain = getattr(statistics, name)
    return Rule(name, name, lambda xs: float(plain(list(xs))), (derivative,), None, (REAL,), module=__name__)


def _deviations(xs: Any, divisor: int) -> list[Any]:
    center = am.fsum(xs) / float(len(xs))
    return [(x - center) * (1.0 / divisor) for x in xs]


mean = _row("mean", lambda xs, y: [1.0 / len(xs)] * len(xs))
fmean = _row("fmean", lambda xs, y: [1.0 / len(xs)] * len(xs))
geometric_mean = _row("geometric_mean", lambda xs, y: [y / (x * float(len(xs))) for x in xs])
harmonic_mean = _row("harmonic_mean", lambda xs, y: [y * y / (x * x * float(len(xs))) for x in xs])
pvariance = _row("pvariance", lambda xs, y: [2.0 * d for d in _deviations(xs, len(xs))])
variance = _row("variance", lambda xs, y: [2.0 * d for d in _deviations(xs, len(xs) - 1)])
pstdev = _row("pstdev", lambda xs, y: [rules.div(d, y) for d in _deviations(xs, len(xs))])
stdev = _row("stdev", lambda xs, y: [rules.div(d, y) for d in _deviations(xs, len(xs) - 1)])
STATISTICS = (mean, fmean, geometric_mean, harmonic_mean, pvariance, variance, pstdev, stdev)


def _of_data(rule: Rule) -> Function:
    plain = getattr(statistics, rule.name)

    def function(data: Any, *more: Any, **options: Any) -> Any:
        data = list(data)
        if not any_value(data) and not any_value([*more, *options.values()]):
            return plain(data, *more, **options)
        if more or options:
            raise TypeError(
                f"statistics.{rule.name} of Values takes the data alone, at {caller(source=True)}: leave out weights "
                "and center, or write the sum in plain arithmetic"
            )
        plain(list(map(now, data)))  # raises for too little data, or negative numbers
        return rule(*data)

    return _named(function, plain)


def over_statistics() -> dict[str, Function]:
    """What takes the place of functions in the adopted module `statistics`."""
    functions = {rule.name: _of_data(rule) for rule in STATISTICS}

    def mean_and_stdev(data: Any) -> tuple[Any, Any]:
        data = list(data)
        return functions["mean"](data), functions["stdev"](data)

    def exact_ratio(x: Any) -> Any:
        if isinstance(x, Value):
            raise TypeError(
                f"this function of statistics computes with fractions, at {caller(source=True)}, which have no "
                f"derivative: of Values there are {', '.join(sorted(functions))}, and what is computed from floats"
            )
        return _EXACT_RATIO(x)

    return {**functions, "_mean_stdev": mean_and_stdev, "_exact_ratio": exact_ratio}


_EXACT_RATIO: Function = vars(statistics)["_exact_ratio"]


# ---- random, functools, operator -------------------------------------------------------------------------------------


def _lognormvariate(mu: Any = 0.0, sigma: Any = 1.0) -> Any:
    return MATH.exp(random.normalvariate(mu, sigma))


def _uncached(wrapped: Any, function: Function) -> Any:
    """A cached function that computes for Values: their numbers change, and their results are parts of a graph."""

    @functools.wraps(function)
    def cached(*arguments: Any, **options: Any) -> Any:
        if any_value(arguments) or any_value(options.values()):
            return function(*arguments, **options)
        return wrapped(*arguments, **options)

    for name in ("cache_info", "cache_clear", "cache_parameters"):
        setattr(cached, name, getattr(wrapped, name))
    return cached


def _lru_cache(maxsize: Any = 128, typed: bool = False) -> Any:
    if callable(maxsize):
        return _uncached(functools.lru_cache(maxsize), maxsize)
    return lambda function: _uncached(functools.lru_cache(maxsize, typed)(function), function)


# ---- NumPy and SciPy: functions that look into arrays of Values ------------------------------------------------------


def _has_objects(thing: Any) -> bool:
    """Whether a Value is in an argument, or an array of objects, which may hold Values."""
    if isinstance(thing, (list, tuple)):
        return any(map(_has_objects, thing))
    return isinstance(thing, Value) or getattr(getattr(thing, "dtype", None), "hasobject", False)


def _of_objects(plain: Function, own: Function) -> Function:
    """NumPy's function, or ours where a Value is among the arguments."""

    @functools.wraps(plain)
    def function(*arguments: Any, **options: Any) -> Any:
        return (own if any(map(_has_objects, (*arguments, *options.values()))) else plain)(*arguments, **options)

    return function


def _numpy() -> ModuleType:
    import numpy

    algebra = {
        name: _of_objects(getattr(numpy.linalg, name), getattr(linalg, name)) for name in ("det", "inv", "solve")
    }
    return _remade(numpy, interp=_of_objects(numpy.interp, linalg.interp), linalg=_remade(numpy.linalg, **algebra))


class _Norm:
    """`scipy.stats.norm`, and ours for Values."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def __getattr__(self, name: str) -> Any:
        plain, own = getattr(self._plain, name), getattr(special.norm, name, None)
        return plain if own is None else _of_objects(plain, own)


def _scipy_stats() -> ModuleType:
    import scipy.stats

    return _remade(scipy.stats, norm=_Norm(scipy.stats.norm))


def _scipy() -> ModuleType:
    import scipy

    made = _remade(scipy)
    vars(made)["__getattr__"] = lambda name: stand_in("scipy.stats") if name == "stats" else getattr(scipy, name)
    vars(made).pop("stats", None)
    return made


LATER: dict[str, Callable[[], ModuleType]] = {
    "numpy": _numpy,
    "numpy.linalg": lambda: stand_in("numpy").linalg,
    "scipy": _scipy,
    "scipy.stats": _scipy_stats,
}


def is_answered(name: str) -> bool:
    """Whether a module has a stand-in."""
    return name in MODULES or name in LATER


def stand_in(name: str) -> Any:
    """The stand-in of a module; those of libraries are made when they are first imported."""
    if name not in MODULES:
        MODULES[name] = LATER[name]()
    return MODULES[name]


def singledispatch(function: Function) -> Any:
    """`functools.singledispatch`, for which a Value is what it stands for: a float or an int."""
    found = functools.singledispatch(function)

    def of_value(x: Any, *arguments: Any, **options: Any) -> Any:
        return found.dispatch(int if answers.is_integer(x) else float)(x, *arguments, **options)

    found.register(Value, of_value)
    return found


class _Singledispatchmethod(functools.singledispatchmethod):  # type: ignore[type-arg]  # which takes none when it runs
    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self.dispatcher = singledispatch(function)


def _dataclass(cls: Any = None, /, **options: Any) -> Any:
    """`dataclasses.dataclass`, which looks for the module of the class in `sys.modules`: it finds the private one."""
    namespace = sys._getframe(1).f_globals
    return _made_dataclass(namespace, options) if cls is None else _made_dataclass(namespace, options)(cls)


def _made_dataclass(namespace: dict[str, Any], options: dict[str, Any]) -> Callable[[type], type]:
    def made_dataclass(cls: Any) -> Any:
        return _with_module(cls, namespace, lambda: dataclasses.dataclass(cls, **options))

    return made_dataclass


def _with_module(cls: Any, namespace: dict[str, Any], make: Callable[[], Any]) -> Any:
    name, temporary = cls.__module__, f"autograd adopts {id(cls)}"
    sys.modules[temporary] = ModuleType(name)
    vars(sys.modules[temporary]).update(namespace)
    cls.__module__ = temporary
    try:
        made = make()
    finally:
        cls.__module__ = name
        del sys.modules[temporary]
    made.__module__ = name
    return made


MATH = _math()
MODULES: dict[str, ModuleType] = {
    "math": MATH,
    "cmath": _remade(
        cmath, **{n: _real_only(n) for n in dir(cmath) if callable(getattr(cmath, n)) and not n.startswith("_")}
    ),
    "dataclasses": _remade(dataclasses, dataclass=_dataclass),
    "functools": _remade(
        functools,
        cache=lambda function: _lru_cache(None)(function),
        lru_cache=_lru_cache,
        singledispatch=singledispatch,
        singledispatchmethod=_Singledispatchmethod,
    ),
    "operator": _remade(
        operator,
        contains=answers.contains,
        floordiv=answers.floor_divide,
        mod=answers.modulo,
        pow=answers.power,
        truediv=answers.divide,
    ),
    "random": _remade(random, lognormvariate=_lognormvariate),
}
