"""Rows for `vmap` and `scan`: arguments are cut into rows, and results are stacked or added up."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from autograd import rules
from autograd.ieee import to_float
from autograd.tree import (
    Rebuild,
    children,
    flatten,
    in_doubles,
    is_array,
    is_leaf,
    leaves_like,
    make_array,
    only_leaves,
    pairs,
    widened,
)
from autograd.value import Value

MOST_STEPS = 2.0**53  # up to here, all whole numbers are floats
# Parameter of `vmap` or `scan` → what to do about an argument that has no rows.
INSTEAD = {"in_axes": "give it None in in_axes", "xs": "let the function close over what all steps share"}


def rows_of(tree: Any, axis: int, said_by: str = "in_axes") -> list[Any]:
    """The rows of an argument along an axis; `said_by` is the parameter that errors are about."""
    if is_array(tree):
        if not -tree.ndim <= axis < tree.ndim:
            raise ValueError(f"{said_by} names axis {axis} of an ndarray of shape {tree.shape}")
        import numpy

        copied = numpy.moveaxis(tree, axis, 0).copy()
        if tree.ndim > 1:
            return list(copied)
        rows = copied.tolist()
        return rows if only_leaves(rows) else [x if is_array(x) or isinstance(x, Value) else float(x) for x in rows]
    if isinstance(tree, list):
        if axis != 0:
            raise ValueError(f"the rows of a list are its elements: {said_by} must be 0 or None, not {axis}")
        return list.copy(tree)
    if _is_mapped_by_parts(tree):
        parts, rebuild = _parts(tree)
        columns = [rows_of(part, axis, said_by) for part in parts]
        if len({len(column) for column in columns}) != 1:
            raise ValueError(f"the parts of {tree!r:.80} have different numbers of rows")
        return [rebuild(row) for row in zip(*columns)]
    if hasattr(tree, "to_numpy"):
        to_float(tree)  # raises, and says how to get an array of it
    what = "a number" if isinstance(tree, Value) else f"{tree!r:.80} of type {type(tree).__name__}"
    raise TypeError(f"{what} has no rows: {INSTEAD[said_by]}")


def _is_mapped_by_parts(tree: Any) -> bool:
    return isinstance(tree, (tuple, dict)) or hasattr(tree, "__dataclass_fields__")


def _parts(tree: Any) -> tuple[list[Any], Rebuild]:
    found = children(tree)
    assert found is not None  # a container
    return [part for _, part in found.named], found.rebuild


def holds_array(tree: Any) -> bool:
    """Whether the results for the rows of an argument go into ndarrays."""
    if _is_mapped_by_parts(tree):
        return any(map(holds_array, _parts(tree)[0]))
    return is_array(tree)


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function in messages."""
    return str(getattr(function, "__name__", "the function"))


def cut(
    function: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None]
) -> tuple[list[tuple[Any, ...]], bool]:
    """The arguments of a function for each row, and whether its results go into ndarrays."""
    named = [f"argument {k} of {name_of(function)}" for k in range(len(args))]
    columns = [
        None if axis is None else rows_of(in_doubles(arg, name), axis) for name, arg, axis in zip(named, args, axes)
    ]
    counts = {len(column) for column in columns if column is not None}
    if len(counts) != 1:
        what = f"have different numbers of rows: {sorted(counts)}" if counts else "are not mapped: in_axes has no axis"
        raise ValueError(f"the arguments of {name_of(function)} {what}")
    (count,) = counts
    rows = list(zip(*[repeat(widened(a), count) if c is None else c for a, c in zip(args, columns)]))
    return rows, any(holds_array(a) for a, c in zip(args, columns) if c is not None)


def together(results: list[Any], as_arrays: bool, reduce: str | None) -> Any:
    """The results of all rows stacked, added up, or their mean."""
    return _stacked(results, as_arrays) if reduce is None else _reduced(results, reduce)


def _reduced(results: list[Any], reduce: str) -> Any:
    """The sum or the mean of the results, leaf by leaf, as one node each."""
    if not results:
        if reduce == "mean":
            raise ValueError("the mean over no rows has no value: pass at least one row, or reduce='sum'")
        return 0.0
    rule = rules.sum if reduce == "sum" else rules.mean
    return flatten(results[0])[1]([rule(*column) for column in zip(*_of_one_shape(results))])


def _of_one_shape(results: list[Any]) -> list[list[Any]]:
    """The numbers of each result, in the order of the first."""
    if all(map(is_leaf, results)):
        return [[result] for result in results]
    return [leaves_like(results[0], result, ("row 0", f"row {i}")) for i, result in enumerate(results)]


def _stacked(results: list[Any], as_arrays: bool) -> Any:
    """The results stacked leaf by leaf, in ndarrays or in lists."""
    if not results:
        return make_array([], (0,)) if as_arrays else []
    return in_arrays(results[0], _of_one_shape(results)) if as_arrays else results


def in_arrays(first: Any, rows: Sequence[Sequence[Any]]) -> Any:
    """Results in ndarrays, one for each leaf or array of the first; `rows` has the leaves of each result."""
    leaves, rebuild = flatten(first, "a result", arrays=True)
    stacked, start = [], 0
    for leaf in leaves:
        stop = start + (leaf.size if is_array(leaf) else 1)
        stacked.append(
            make_array([x for row in rows for x in row[start:stop]], (len(rows), *getattr(leaf, "shape", ())))
        )
        start = stop
    return rebuild(stacked)


# ---- one row or step after another, for recorders without a better way ---------------------------------------------


def map_in_turn(
    function: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None], reduce: str | None
) -> Any:
    """The results of a function for all rows of its arguments, computed one after another."""
    rows, as_arrays = cut(function, args, axes)
    return together([function(*row) for row in rows], as_arrays, reduce)


def loop_in_turn(
    function: Callable[[Any, Any], Any], initial: Any, xs: Any, length: int | None, reverse: bool
) -> tuple[Any, Any]:
    """The last carry and the stacked results of all steps, computed one after another."""
    rows, as_arrays = steps_of(xs, length)
    leaves, rebuild = flatten(initial, "the initial carry")
    carry = rebuild(leaves)
    results: list[Any] = [None] * len(rows)
    for step in reversed(range(len(rows))) if reverse else range(len(rows)):
        following, results[step] = pair(function, function(carry, rows[step]))
        carry = next_carry(carry, following, step)
    if rows and all(y is None for y in results):
        return carry, None
    return carry, together(results, as_arrays, None)


def repeat_in_turn(n: Any, function: Callable[[Any, Any], Any], initial: Any) -> Any:
    """The last carry of a loop of n steps, computed one after another."""
    leaves, rebuild = flatten(initial, "the initial carry")
    carry = rebuild(leaves)
    for step in range(count_of(n)):
        carry = next_carry(carry, function(step, carry), step)
    return carry


def while_in_turn(
    condition: Callable[[Any], Any], function: Callable[[Any], Any], initial: Any, at_most: int | None
) -> Any:
    """The last carry of a loop that goes on while a condition holds."""
    leaves, rebuild = flatten(initial, "the initial carry")
    carry, steps = rebuild(leaves), 0
    while truth_of(condition, condition(carry)):
        if steps == at_most:
            raise too_many_steps(at_most)
        carry = next_carry(carry, function(carry), steps)
        steps += 1
    return carry


def truth_of(condition: Callable[..., Any], outcome: Any) -> Any:
    """Check that a condition returned a truth or a number; return it."""
    if not (is_leaf(outcome) or isinstance(outcome, bool) or type(outcome).__name__ in ("bool_", "bool")):
        raise TypeError(
            f"{name_of(condition)} must return a comparison or a number, not {outcome!r:.80} of type "
            f"{type(outcome).__name__}"
        )
    return outcome


def count_of(n: Any) -> int:
    """A number of steps as an int."""
    number = n.data if isinstance(n, Value) else n
    if isinstance(number, bool) or not isinstance(number, int | float):
        try:
            number = operator.index(number)
        except TypeError:
            raise TypeError(f"n must be a whole number, not {n!r:.80} of type {type(n).__name__}") from None
        if isinstance(n, bool):
            raise TypeError(f"n must be a whole number, not {n!r}")
    if not (0 <= number <= MOST_STEPS and number == int(number)):
        raise wrong_count(number)
    return int(number)


def wrong_count(number: float | None) -> ValueError:
    """The error for a number of steps that is negative or not whole; it is None if only machine code knows it."""
    found = "" if number is None else f", but is {number!r}"
    return ValueError(f"n, the number of steps of fori, must be whole, not negative and at most 2**53{found}")


def too_many_steps(at_most: int) -> RuntimeError:
    """The error for a loop that would take more steps than it may."""
    return RuntimeError(
        f"while_loop takes more than at_most={at_most:,} steps: its condition still holds. Allow more, or see why"
    )


def pair(function: Callable[..., Any], result: Any) -> tuple[Any, Any]:
    """Check that a step returned a pair: the next carry and a result."""
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(
            f"{name_of(function)} must return a pair (carry, y), not {result!r:.80} of type {type(result).__name__}"
        )
    return result


def steps_of(xs: Any, length: int | None) -> tuple[list[Any], bool]:
    """The row that each step takes, and whether the results go into ndarrays."""
    if xs is None:
        if length is None:
            raise ValueError("scan needs to know how often: pass xs, whose rows the steps take, or length")
        return [None] * length, False
    rows = rows_of(in_doubles(xs, "xs"), 0, "xs")
    if length is not None and length != len(rows):
        raise ValueError(f"length is {length}, but xs has {len(rows)} rows: leave out length, or make them equal")
    return rows, holds_array(xs)


def next_carry(carry: Any, following: Any, step: int) -> Any:
    """The carry that a step returned, after a check that it has the structure of the one before."""
    if is_leaf(carry) and is_leaf(following):
        return following
    names = f"the carry before step {step}", f"the carry after step {step}"
    pairs(carry, following, names)
    if type(following) is tuple and only_leaves(following):
        return following
    leaves, rebuild = flatten(following, names[1])  # a copy: the step may change it in place
    return rebuild(leaves)
