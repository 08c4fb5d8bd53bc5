"""NumPy's functions on Values: the name of a ufunc leads to a rule of the table.

This module imports NumPy only inside functions, which run only if the user has imported NumPy already.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autograd import linalg, rules, special
from autograd.ieee import refuse_masked
from autograd.rules import TABLE

RENAMED = {
    "absolute": "abs", "fabs": "abs", "add": "add", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh", "divide": "div",
    "float_power": "pow", "floor_divide": "floordiv", "maximum": "max", "minimum": "min", "multiply": "mul",
    "negative": "neg", "positive": "pos", "power": "pow", "remainder": "mod", "subtract": "sub",
}  # fmt: skip  # a table
SAME_NAME = (
    "cbrt ceil copysign cos cosh exp exp2 expm1 floor fmod hypot log log10 log1p log2 logaddexp rint sign "
    "sin sinh sqrt tan tanh trunc"
)
COMPARISONS = ("less", "less_equal", "equal", "not_equal", "greater", "greater_equal")

UFUNCS: dict[str, Callable[..., Any]] = {
    **{name: TABLE[row] for name, row in RENAMED.items()},
    **{name: TABLE[name] for name in SAME_NAME.split()},
    **dict(zip(COMPARISONS, (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge))),
    "square": lambda x: rules.mul(x, x),
    "reciprocal": lambda x: rules.div(1.0, x),
    "degrees": lambda x: rules.mul(x, 180.0 / math.pi),
    "radians": lambda x: rules.mul(x, math.pi / 180.0),
    "divmod": divmod,
    "conjugate": lambda x: x,
    "isfinite": lambda x: bool((x > -math.inf) & (x < math.inf)),  # comparisons: no node, but the compiler sees them
    "isinf": lambda x: bool((x == math.inf) | (x == -math.inf)),
    "isnan": lambda x: bool(x != x),
    "signbit": lambda x: bool(rules.copysign(1.0, x.data if hasattr(x, "data") else x) < 0.0),
}
UFUNCS["rad2deg"], UFUNCS["deg2rad"] = UFUNCS["degrees"], UFUNCS["radians"]


def apply_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Apply a ufunc of NumPy to arguments with a Value among them: for ``__array_ufunc__``."""
    import numpy

    for x in inputs:
        refuse_masked(x)
    if method != "__call__":  # indices stay what they are, and an array that `at` changes is not copied
        return getattr(ufunc, method)(*map(_as_array, inputs), **options)
    objects = [numpy.asarray(x, dtype=object) for x in inputs]
    function = UFUNCS.get(ufunc.__name__) or special.UFUNCS.get(ufunc.__name__)
    if function is None:
        raise TypeError(
            f"{'numpy.' * hasattr(numpy, ufunc.__name__)}{ufunc.__name__} has no derivative rule here: "
            "write it with autograd.math, or add a "
            "primitive with autograd.custom_gradient"
        )
    if not options and all(numpy.ndim(x) == 0 for x in inputs):
        return function(*[x.item() if isinstance(x, numpy.ndarray) else x for x in inputs])
    out = options.pop("out", (None,))[0]
    options.pop("dtype", None)
    with numpy.errstate(all="ignore"):  # inf and nan are valid results, as for single numbers
        result = numpy.frompyfunc(function, ufunc.nin, ufunc.nout)(*objects, out=out, **options)
    if ufunc.__name__ in (*COMPARISONS, "isfinite", "isinf", "isnan", "signbit") and out is None:
        return numpy.asarray(result, dtype=bool)
    return result


def _where(condition: Any, *choices: Any) -> Any:
    if len(choices) != 2 or any(getattr(x, "ndim", 0) for x in (condition, *choices)):
        return NotImplemented
    import numpy

    return numpy.asarray(rules.where(condition, *choices), dtype=object)  # for floats too, it is an array


def _clip(x: Any, low: Any = None, high: Any = None, **options: Any) -> Any:
    if options or any(getattr(each, "ndim", 0) for each in (x, low, high)):
        return NotImplemented
    return rules.clip(x, -math.inf if low is None else low, math.inf if high is None else high)


# Functions of NumPy that are no ufuncs: name → our function, which may return NotImplemented.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "clip": _clip,
    "det": linalg.det,
    "interp": linalg.interp,
    "inv": linalg.inv,
    "nan_to_num": lambda x, *, nan=0.0: rules.where(x == x, x, nan),
    "solve": linalg.solve,
    "where": _where,
}


def apply_function(function: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Apply another function of NumPy, with Values as arrays of no dimensions: for ``__array_function__``."""
    import numpy

    if (own := FUNCTIONS.get(function.__name__)) is not None:
        result = own(*args, **options)
        if result is not NotImplemented:
            return result

    anchor = numpy.empty((), object)
    given = tuple(map(_as_array, args))
    named = {name: _as_array(x) for name, x in options.items()}
    return anchor.__array_function__(function, (numpy.ndarray,), given, named)


def _as_array(x: Any) -> Any:
    """A Value as an array of no dimensions; anything else as it is."""
    import numpy

    return numpy.asarray(x, dtype=object) if hasattr(type(x), "apply_rule") else x


def elementwise(function: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """Apply `function` to arrays element by element, broadcasting; floats come back as float64."""
    import numpy

    for x in operands:
        refuse_masked(x)
    objects = [numpy.asarray(x, dtype=object) for x in operands]
    with numpy.errstate(all="ignore"):  # as above
        result = numpy.frompyfunc(function, len(operands), 1)(*objects)
    numbers = are_plain(numpy.ravel(result), (float, int))
    return numpy.asarray(result, dtype=float) if numbers else result


def are_plain(numbers: Iterable[Any], kinds: Any) -> bool:
    """Whether all numbers are plain ones of these kinds: a tracer may call itself a float."""
    return all(isinstance(x, kinds) and not hasattr(type(x), "apply_rule") for x in numbers)


def by_rows(function: Callable[[list[Any]], list[Any]], elements: Any, shape: tuple[int, ...]) -> Any:
    """An array of this shape from its elements, with `function` applied to each row along the last axis."""
    import numpy

    length = shape[-1] if shape else 1
    rows = [function(elements[i : i + length].tolist()) for i in range(0, len(elements), length)]
    numbers = [x for row in rows for x in row]
    result = numpy.empty(len(numbers), dtype=float if are_plain(numbers, float) else object)
    result[:] = numbers
    return result.reshape(shape)
