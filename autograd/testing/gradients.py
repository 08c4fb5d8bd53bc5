"""Compare derivatives with finite differences that choose their own step and estimate their own error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, isfinite, nan
from sys import float_info
from typing import Any, NamedTuple, NoReturn

from autograd.decisions import deciding_lines, outcomes, watched
from autograd.ieee import to_float
from autograd.modes import no_grad, record_sources
from autograd.sweep import topological_order
from autograd.transforms import jacobian
from autograd.tree import flatten, leaf_names, to_floats
from autograd.value import Value

Vector = list[float]
VectorFunction = Callable[[Vector], Vector]
VectorOfOne = Callable[[float], Vector]

STEPS = [2.0**-k for k in (*range(3, 10), *range(10, 22, 2))]  # as fractions of the scale
COLUMNS = 6  # of the extrapolation: each removes the next even power of the step
BESIDE = 2.0**-6  # fraction of the scale
WRONG = "is wrong"
FEWEST_PATHS = 6  # through comparisons, near a point, that tell an iteration from a kink or two
NOISE_STEP = 2.0**-24  # so short that, except for rounding, a smooth function is a cubic


class Estimate(NamedTuple):
    """A derivative by finite differences, its error estimate, and the shortest step used for it."""

    derivative: float
    error: float
    step: float


class _Measured(NamedTuple):
    """An estimate, and the error that rounding of the function's values makes in a difference with its shortest step.

    It is `hidden` if all its values are equal, though they differ at longer steps: the function may be constant there,
    or rounding may hide how it varies.
    """

    estimate: Estimate
    resolution: float
    hidden: bool
    plateau: float | None  # the slope that several longer steps agree on, if it is another one


class _Function(NamedTuple):
    """A function of a list that returns a list: the function to check, or all its derivatives of one order."""

    call: Callable[[Sequence[Any]], list[Any]]  # on floats or Values
    evaluate: VectorFunction  # on floats
    names: list[str]  # of what it returns
    how: tuple[str, ...]  # the modes that made it, the last first
    scale: float  # the largest of its values and of the lower orders', divided by the longest step for each order


def finite_difference(f: Callable[[float], float], x: float) -> Estimate:
    """The derivative of a function of one number, from its values alone.

    Central differences, with steps that shrink from 1/8 of the scale, are extrapolated to step 0 (Richardson). The
    result is the extrapolation with the smallest error estimate. The estimate has three parts: the difference from the
    two numbers that it was made from (Ridders), the amount by which shorter steps contradict it, and the error from
    rounding. The rounding noise of `f` is measured by fourth differences of values at points very close together
    (Hamming; Moré and Wild). The scales are 1 and ``abs(x)``.

    Parameters
    ----------
    f : callable
        Takes a float, returns a real number. If it raises an ArithmeticError or a ValueError near `x`, or is not
        finite there, shorter steps are used.
    x : float
        Where to differentiate.

    Returns
    -------
    Estimate
        ``(derivative, error, step)``. If the function has no finite values close to `x`, the derivative is nan
        and the error infinite.

    Raises
    ------
    Exception
        Any exception that `f` raises at `x` itself.

    References
    ----------
    C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Adv. Eng. Software 4 (1982) 75-76.
    J. J. Moré, S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011) 1292-1314.

    Examples
    --------
    >>> import math
    >>> from autograd.testing import finite_difference
    >>> slope, error, _ = finite_difference(math.exp, 1.0)
    >>> abs(slope - math.e) < 10 * error, error < 1e-11
    (True, True)
    """
    (measured,) = _differences(lambda t: [to_float(f(t))], to_float(x))
    return measured.estimate


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("rev", "fwd"),
    rtol: float = 1e-6,
) -> None:
    """Compare the derivatives of a function with finite differences, up to some order and in both modes.

    The first derivatives are compared with differences of the function's values, the second with differences of the
    first, and so on; every mode is combined with every other. From order 2 on, the first derivatives are also compared
    near the point: where a function is symmetric, a wrong derivative may be right at the point, with all its
    differences. Only relative error counts: no absolute difference is small enough to pass, except the error of the
    finite differences themselves.

    Parameters
    ----------
    f : callable
        Takes trees of numbers, returns a tree of numbers: plain Python, a primitive of the table, or one from
        `custom_gradient`.
    args : sequence of trees of numbers
        Where to check; ``args[i]`` is argument i. The function must be smooth there.
    order : int
        The highest order of derivatives to check.
    modes : sequence of {"rev", "fwd"}
        Reverse sweeps, forward sweeps, or both.
    rtol : float
        The relative difference that is allowed in addition to the error estimate of the finite differences.

    Raises
    ------
    AssertionError
        If a derivative is wrong, or cannot be checked by finite differences because of a kink, a pole or noise, or is
        that of an iteration's steps and not of its solution (a bisection). The message has the name of the argument,
        order and mode, both numbers and the error estimate, and the lines that compare or round.
    TypeError
        If an argument or the result has a leaf that is not a real number.
    ValueError
        For an unknown mode, no mode, an order below 1, a negative `rtol`, or no number in the arguments or the result.

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import custom_gradient
    >>> from autograd.testing import check_grads
    >>> check_grads(lambda p: p["a"] * am.sin(p["b"]), [{"a": 2.0, "b": 0.5}])

    >>> @custom_gradient(lambda x, y: 3.0 * x)  # should be 3 x²
    ... def cube(x):
    ...     return x**3
    >>> check_grads(cube, [2.0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: ∂(result of cube)/∂(argument 0) is wrong (order 1, rev):
      analytic   6.0
      numeric    12.0 ± ...
    at argument 0 = 2.0
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order must be a whole number of at least 1, not {order!r}")
    if not modes or isinstance(modes, str) or not set(modes) <= {"rev", "fwd"}:
        raise ValueError(f"modes must be a sequence of 'rev' and 'fwd', not {modes!r}")
    if not 0.0 <= rtol < math.inf:
        raise ValueError(f"rtol must be a number of at least 0, such as 1e-6, not {rtol!r}")
    if not isinstance(args, Iterable) or isinstance(args, Mapping | str):
        raise TypeError(f"args must be a tuple or list with an entry for each argument, not {args!r:.80}")
    point, function = _flat(f, to_floats(tuple(args)))
    if not point or not function.names:
        raise ValueError(
            f"there is nothing to check: {len(point)} numbers in the arguments and {len(function.names)} in the result"
        )
    functions = [function]
    for k in range(order):
        functions = [derived for each in functions for derived in _checked(each, point, modes, rtol)]
        if k == 0 and order > 1:
            _check_beside(function, point, modes, rtol)


def _flat(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[dict[str, float], _Function]:
    """The numbers in the arguments by name, and `f` as a function of them that returns a list of numbers."""
    numbers, rebuild = flatten(args, "args")
    paths = [path for i, argument in enumerate(args) for path in leaf_names(argument, f"argument {i}")]

    def call(xs: Sequence[Any]) -> list[Any]:
        return flatten(f(*rebuild(xs)), "the result")[0]

    def evaluate(xs: Vector) -> Vector:
        with no_grad():
            values: Vector = to_floats(call([Value(x) for x in xs]))
        return values

    with no_grad():
        result = f(*rebuild([Value(x) for x in numbers]))
    scale = max((abs(y) for y in to_floats(flatten(result, "the result")[0])), default=0.0)
    names = leaf_names(result, f"result of {getattr(f, '__name__', repr(f))}")
    return dict(zip(paths, numbers, strict=True)), _Function(call, evaluate, names, (), scale)


def _checked(y: _Function, point: dict[str, float], modes: Sequence[str], rtol: float) -> list[_Function]:
    """The derivatives of a function, mode by mode, each compared with finite differences."""
    numeric = _numeric(y, list(point.values()))
    names = _names_of_derivatives(y, point)
    scale = y.scale / STEPS[0]
    derived = []
    for mode in modes:
        gradient = _flat_jacobian(y.call, mode)
        found = gradient(list(point.values()))
        for k, (name, analytic, measured) in enumerate(zip(names, found, numeric, strict=True)):
            verdict = _verdict(analytic, measured, rtol, scale) or _staircase(y, point, k % len(point), measured)
            if verdict:
                _fail(name, verdict, (mode, *y.how), point, deciding=_deciding(y, point))
        derived.append(_Function(gradient, gradient, names, (mode, *y.how), max([scale, *map(abs, found)])))
    return derived


def _check_beside(y: _Function, point: dict[str, float], modes: Sequence[str], rtol: float) -> None:
    """Raise if a first derivative is wrong on both sides of the point.

    At the point itself a function may be symmetric; a wrong derivative and its differences may be right by chance.
    """
    names, scale = _names_of_derivatives(y, point), y.scale / STEPS[0]
    sides = [_shifted(point, BESIDE), _shifted(point, -0.7 * BESIDE)]
    try:
        numeric = [_numeric(y, list(side.values())) for side in sides]
        found = [[_flat_jacobian(y.call, mode)(list(side.values())) for side in sides] for mode in modes]
    except (ArithmeticError, ValueError):
        return  # the function has no value there
    for mode, both in zip(modes, found):
        for i, name in enumerate(names):
            verdicts = [_verdict(side[i], measured[i], rtol, scale) for side, measured in zip(both, numeric)]
            wrong = [verdict for verdict in verdicts if verdict is not None and verdict[0] == WRONG]
            if len(wrong) == len(sides):
                _fail(name, wrong[0], (mode,), sides[0], ", near the given point")


def _shifted(point: dict[str, float], by: float) -> dict[str, float]:
    """A point near it: each number is moved by another fraction of the scale, so that no symmetry is left."""
    parts = [by * (1.0 + math.fmod(0.618 * i, 1.0)) for i in range(len(point))]
    return {path: x + part * _scales(x)[-1] for (path, x), part in zip(point.items(), parts)}


def _numeric(y: _Function, at: Vector) -> list[_Measured]:
    """All derivatives of a function by finite differences, output by output."""
    columns = [_differences(_along(y.evaluate, at, i), x) for i, x in enumerate(at)]
    return [column[i] for i in range(len(y.names)) for column in columns]


def _names_of_derivatives(y: _Function, point: Iterable[str]) -> list[str]:
    return [f"∂({output})/∂({path})" for output in y.names for path in point]


def _staircase(y: _Function, point: dict[str, float], i: int, measured: _Measured) -> tuple[str, str] | None:
    """What is wrong with a derivative that is right on a small piece only, where an iteration ends somewhere else soon.

    A kink has a path through the comparisons on each of its sides; an iteration has a path for nearly every point.
    """
    if measured.plateau is None:
        return None
    x = list(point.values())[i]
    steps = [h * _scales(x)[-1] for h in STEPS[:10]]
    paths = {_path(y, point, i, at) for h in steps for at in (x - h, x + h)}
    if len(paths) < FEWEST_PATHS:
        return None
    return "cannot be checked", (
        f"  numeric    {measured.estimate.derivative!r} with steps up to {measured.estimate.step:.1e}\n"
        f"             {measured.plateau!r} with longer steps\nThe function takes another path through its comparisons "
        "at nearly every point nearby, as an iteration does that ends early, or a bisection: this derivative follows "
        "the iteration, not the solution. autograd.implicit has the derivative of the solution."
    )


def _path(y: _Function, point: dict[str, float], i: int, at: float) -> tuple[bool, ...] | None:
    """How comparisons come out with another number for argument i."""
    numbers = [*point.values()]
    numbers[i] = at
    with watched() as decisions, no_grad():
        try:
            y.call([Value(x) for x in numbers])
        except (ArithmeticError, ValueError):
            return None
        return outcomes(decisions)


def _deciding(y: _Function, point: dict[str, float]) -> str:
    """The lines at which the function compares or rounds what depends on its arguments; empty if there are none."""
    leaves = [Value(x) for x in point.values()]
    with watched() as decisions, record_sources():  # type: ignore[no-untyped-call]
        results = [result for result in y.call(leaves) if isinstance(result, Value)]
    compared = [o for decision in decisions for o in decision.operands if isinstance(o, Value)]
    order = topological_order(*results, *compared)
    lines = [line for x in leaves for line in deciding_lines(order, decisions, x)]
    return "\nIt compares or rounds at " + "; ".join(dict.fromkeys(lines)) if lines else ""


def _fail(
    name: str,
    verdict: tuple[str, str],
    how: Sequence[str],
    point: dict[str, float],
    added: str = "",
    deciding: str = "",
) -> NoReturn:
    """Raise the error. Only this line raises it: Hypothesis counts errors from two lines as two failures."""
    claim, numbers = verdict
    where = ", ".join([f"{path} = {x!r}" for path, x in point.items()][:8] + ["…"] * (len(point) > 8))
    raise AssertionError(
        f"{name} {claim} (order {len(how)}, {' over '.join(how)}):\n{numbers}\nat {where}{added}{deciding}"
    )


def _flat_jacobian(function: Callable[..., Any], mode: Any) -> Callable[[Sequence[Any]], list[Any]]:
    """All derivatives of a function of a list in one mode, as one list: output by output, input by input."""
    derivatives = jacobian(function, mode=mode)
    return lambda xs: [x for row in derivatives(xs) for x in row]


def _along(values: VectorFunction, point: Vector, i: int) -> VectorOfOne:
    """The function of input i alone."""
    return lambda x: values([*point[:i], x, *point[i + 1 :]])


def _verdict(analytic: float, measured: _Measured, rtol: float, scale: float) -> tuple[str, str] | None:
    """What is wrong with a derivative, and the numbers that show it; None if it is right."""
    numeric, error, step = measured.estimate
    size = max(abs(analytic), abs(numeric))
    numbers = f"  analytic   {analytic!r}\n  numeric    {numeric!r} ± {error:.1e}"
    if not isfinite(numeric):
        return "cannot be checked", f"{numbers}\nThe function has no finite values close to the point: take another."
    of_a_zero = 1e3 * max(measured.resolution, float_info.epsilon * scale)  # below this, all may be rounding
    if error > max(0.01 * abs(numeric), of_a_zero, float_info.min):
        return "cannot be checked", (
            f"{numbers} with step {step:.1e}\nThe error estimate is too large: is there a kink, a jump or a pole "
            "close to the point, or is the function too noisy? Take another point."
        )
    rounding = of_a_zero if numeric == 0.0 else 0.0  # the analytic zero may be rounded too
    allowed = rtol * size + 3.0 * error + rounding
    if abs(analytic - numeric) <= allowed:
        return None
    if measured.hidden:
        return "cannot be checked", (
            f"{numbers} with step {step:.1e}\nThe function has the same value at all points nearby, but others further "
            "away: either the derivative is 0, or rounding hides how the function varies. Take another point."
        )
    return WRONG, numbers


def _differences(f: VectorOfOne, x: float) -> list[_Measured]:
    """The derivative of each output of a function of one number, by finite differences."""
    center = f(x)
    f = _without_errors(f, len(center))
    scales = _scales(x)
    noise_at = {h * scale: scale * NOISE_STEP for scale in sorted(scales, reverse=True) for h in STEPS}
    noises = {step: _noise(f, x, step, center) for step in set(noise_at.values())}
    steps = sorted([h for h in noise_at if x - h < x < x + h], reverse=True)
    sides = [(h, f(x - h), f(x + h), noises[noise_at[h]]) for h in steps]
    measured = []
    for i in range(len(center)):
        slopes = [_slope(x, h, low[i], high[i], noise[i]) for h, low, high, noise in sides]
        slopes = [slope for slope in slopes if isfinite(slope.derivative)]
        best = _best_extrapolation(slopes)
        best = best._replace(
            error=best.error + _kink([(h, low[i], center[i], high[i], n[i]) for h, low, high, n in sides[-4:]])
        )
        rounding = next((_rounding(low[i], high[i]) / h for h, low, high, _ in sides if h == best.step), inf)
        flat = {h: low[i] == center[i] == high[i] for h, low, high, _ in sides}
        hidden = flat.get(best.step, False) and not all(flat.values())
        measured.append(_Measured(best, rounding, hidden, _plateau(slopes, best)))
    return measured


def _plateau(slopes: Sequence[Estimate], best: Estimate) -> float | None:
    """A slope that three longer steps agree on, although it is not that of short steps.

    The slopes of a smooth function approach the derivative as the step shrinks. Those of a staircase of smooth pieces
    do not: over many pieces they are one number, inside a piece another one.
    """
    longer = [slope for slope in slopes if slope.step > best.step]
    for three in zip(longer, longer[1:], longer[2:]):
        found = [slope.derivative for slope in three]
        distance = min(abs(slope - best.derivative) for slope in found)
        spread = max(found) - min(found) + sum(slope.error for slope in three)
        if spread < 0.1 * distance and distance > 1e-3 * max(map(abs, found)) + 10.0 * best.error:
            return found[-1]
    return None


def _scales(x: float) -> Vector:
    """The scales on which a function may vary around a number: 1, and the number's own size."""
    return [1.0] if x == 0.0 or 0.125 <= abs(x) <= 8.0 else [1.0, math.ldexp(0.5, math.frexp(x)[1])]


def _slope(x: float, step: float, low: float, high: float, noise: float) -> Estimate:
    """A central difference; its error estimate covers rounding only."""
    gap = (x + step) - (x - step)
    return Estimate((high - low) / gap, (noise + _rounding(low, high)) / gap, step)


def _kink(sides: Sequence[tuple[float, float, float, float, float]]) -> float:
    """The difference between the slopes to the left and right, if it does not shrink with the step.

    Where a function is smooth, it shrinks with the step. At a kink, such as that of relu at 0, it stays, and no central
    difference can show it.
    """
    bends = [abs((high - y) - (y - low)) / step for step, low, y, high, _ in sides]
    if len(bends) < 4 or not all(map(isfinite, bends)):
        return 0.0
    step, low, _, high, noise = sides[-1]
    stays = max(bends) <= 1.25 * min(bends)  # a difference due to rounding would grow as the step shrinks
    return bends[-1] if stays and bends[-1] > 8.0 * (noise + _rounding(low, high)) / step else 0.0


def _rounding(low: float, high: float) -> float:
    """The mean last bit of two numbers; infinite if one is not finite."""
    return 0.5 * (math.ulp(low) + math.ulp(high)) if isfinite(low - high) else inf


def _without_errors(f: VectorOfOne, count: int) -> VectorOfOne:
    def total(x: float) -> Vector:
        try:
            return f(x)
        except (ArithmeticError, ValueError):
            return [nan] * count

    return total


def _noise(f: VectorOfOne, x: float, step: float, center: Vector) -> Vector:
    """The rounding noise of each output: the fourth differences of values at points very close together."""
    samples = zip(*[f(x + k * step) for k in range(-3, 4)])
    levels = []
    for y, near in zip(center, samples):
        bends = [
            a - 4.0 * b + 6.0 * c - 4.0 * d + e for a, b, c, d, e in zip(near, near[1:], near[2:], near[3:], near[4:])
        ]
        measured = math.hypot(*bends) / math.sqrt(70.0 * len(bends))  # 70 = 1 + 16 + 36 + 16 + 1
        rounding = float_info.epsilon * abs(y)
        levels.append(max(3.0 * measured, rounding) if isfinite(measured) else rounding)
    return levels


def _best_extrapolation(slopes: Sequence[Estimate]) -> Estimate:
    """The extrapolation to step 0, from three central differences or more, that has the smallest error."""
    best = None
    row: list[tuple[float, float]] = []
    for i, (slope, noise, step) in enumerate(slopes):
        above, row = row, [(slope, noise)]
        for k, (before, noise_before) in enumerate(above[:COLUMNS], 1):
            last, noise_last = row[-1]
            ratio = slopes[i - k].step / step
            weight = 1.0 / (ratio * ratio - 1.0)
            better = last + (last - before) * weight
            noise_better = noise_last + (noise_last + noise_before) * weight
            row.append((better, noise_better))
            if k > 1 and isfinite(better):
                error, rounding = max(abs(better - last), abs(better - before)), noise_better + 4.0 * math.ulp(better)
                if best is None or error + rounding < best.error:  # what shorter steps say can only add to it
                    found = Estimate(better, max(error, _contradiction(better, slopes[i:])) + rounding, step)
                    best = found if best is None or found.error < best.error else best
    return best or Estimate(nan, inf, nan)


def _contradiction(better: float, slopes: Sequence[Estimate]) -> float:
    """How strongly shorter steps contradict an extrapolation: on a staircase three long steps may agree."""
    distance = abs(slopes[0].derivative - better)
    return max(abs(finer.derivative - better) - distance - 3.0 * finer.error for finer in slopes)
