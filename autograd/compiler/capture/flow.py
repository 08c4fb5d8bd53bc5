"""What rewritten functions call while they are captured: branches and loops that become part of the program.

On plain numbers all of this does what Python does. Where a condition is a number of the program, both sides of a branch
are captured, each under its condition, and a selection of their results follows. A loop is captured once. What a side
compares besides is supposed to come out as it does now; the program is valid only where it does, or where the side is
not taken. Whatever cannot be captured so is left to Python, in which a condition is a guard.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.compiler.capture.branches import path
from autograd.compiler.capture.maps import finished
from autograd.compiler.capture.merging import (
    NOTHING,
    UNBOUND,
    Carry,
    blank,
    is_number,
    is_truth,
    merged,
    truth_place,
)
from autograd.compiler.capture.pure import Checked, impure, refuse_operators, used_by
from autograd.compiler.capture.sides import (
    MOST_IN_BRANCH,
    MOST_IN_LOOP,
    Mark,
    Refused,
    Side,
    branches,
    compares_rounded,
    is_for_others,
    is_open,
    is_predicate,
    not_supposed,
    present,
    refuse_long,
    sides_open,
    size,
    suppose,
    truth_of,
    under,
)
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.watched import UnrollError
from autograd.compiler.source.functions import codes, new_code, with_code
from autograd.compiler.source.rewrite import Rewritten, Site
from autograd.ir.block import STEPS, calls_python
from autograd.ir.builder import LoopBuilder
from autograd.native import extension, fast
from autograd.rules import where
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace

MOST_STEPS_IN_A_SIDE = 256  # that Python runs: a side that is not taken may have a loop that never ends
SINGLE_CALL = "a single call runs one side only"
ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip  # a table


def followed(function: Any) -> Any:
    """A function as it is to be called in a capture: rewritten, if it is one in Python that can be."""
    if present() is None:
        return function
    kind = type(function)  # what calls itself a function has its own way of being called
    if kind is FunctionType:
        found = new_code(function)
        return function if found is None else with_code(function, found, Flow(found))
    if kind is MethodType and type(function.__func__) is FunctionType:
        inner = followed(function.__func__)
        return function if inner is function.__func__ else MethodType(inner, function.__self__)
    if kind is partial:
        inner = followed(function.func)
        return function if inner is function.func else partial(inner, *function.args, **function.keywords)
    return function


class Flow:
    """What the code of one function calls."""

    __slots__ = ("sites",)
    nothing = NOTHING

    def __init__(self, code: Rewritten) -> None:
        self.sites = code.sites

    # ---- statements ------------------------------------------------------------------------------------------

    @fast
    def returned(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        """An `if` with which the function ends: its result."""
        return self._chosen(number, condition, then, otherwise, given)

    @fast
    def choose(self, number: int, condition: Any, then: Any, otherwise: Any) -> Any:
        """``then if condition else otherwise``."""
        return self._chosen(number, condition, then, otherwise, ())

    def _chosen(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        def together(trace: Any, truth: Any, one: Any, other: Any) -> Any:
            return merged(trace, truth, one, other, "the result")

        return self._branch(number, condition, then, otherwise, given, together)

    @fast
    def branch(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        """``if condition``: what the names have after it."""
        names = self.sites[number].names

        def together(trace: Any, truth: Any, one: Any, other: Any) -> Any:
            return tuple([merged(trace, truth, x, y, word) for x, y, word in zip(one, other, names)])

        return self._branch(number, condition, then, otherwise, given, together)

    def _branch(self, number: int, condition: Any, then: Any, otherwise: Any, given: Any, together: Any) -> Any:
        """The results of both sides together if they can be captured, or else the result of one."""
        found = truth_of(condition)
        if found is None:
            return then(*given) if condition else otherwise(*given)
        trace, truth = found
        site = self.sites[number]
        if not branches(trace, truth.index):
            self.note(trace, site, SINGLE_CALL)
            return then(*given) if condition else otherwise(*given)
        if is_open(trace, site):
            raise Refused("the function calls itself")
        refuse_long(trace)
        mark = Mark(trace)
        try:
            if compares_rounded(trace, truth.index):
                raise Refused("it compares rounded numbers by ==")
            one, other = self._sides(trace, truth, site, then, otherwise, given)
            if one is other is None:
                raise Refused("both sides raise")
            if one is None or other is None:
                (result,) = other if one is None else one
                suppose(trace, truth.negated() if one is None else truth)
            else:
                result = together(trace, truth, one[0], other[0])
        except Exception as error:  # whatever Python code raises: then Python decides
            mark.undo()
            if is_for_others(error, site):
                raise
            self.note(trace, site, _why(error))
            return then(*given) if condition else otherwise(*given)
        self.note(trace, site)
        return result

    def _sides(self, trace: Any, truth: Any, site: Site, then: Any, otherwise: Any, given: Any) -> list[Any]:
        """The results of both sides, each in a tuple; None for one that raises."""
        found: list[Any] = []
        refuse_operators([*used_by(then), *used_by(otherwise), *given])
        start, most = size(trace), MOST_IN_BRANCH if trace.parent is None or trace.rows_branch else inf
        for side, outcome in ((then, True), (otherwise, False)):
            mark, before = Mark(trace), len(trace.code)
            try:
                with under(trace, site, truth.index, outcome, start, most):
                    found.append((side(*given),))
                    refuse_long(trace)
            except (Refused, RecursionError):
                raise
            except Exception:
                mark.undo()
                found.append(None)
            if calls_python(trace.code[before:]):
                raise Refused("a side calls a rule written in Python")
        return found

    def loop(self, number: int, test: Any, step: Any, given: tuple[Any, ...]) -> Any:
        """A loop: what the names have after it."""
        site, trace = self.sites[number], present()
        carry = given
        while trace is not None:
            mark = Mark(trace)
            try:
                with under(trace, None):
                    outcome = test(*carry)
                found = truth_of(outcome)
                if found is not None:
                    carry = self._compiled(trace, site, test, step, carry, found[1])
                elif not outcome:
                    return carry
                else:
                    if not site.jumps:
                        mark.undo()
                        carry = step(*carry)
                        continue
                    with under(trace, None):
                        following = step(*carry)
                        found = truth_of(test(*following))
                    if found is None:
                        carry = following
                        continue
                    mark.undo()
                    carry = self._compiled(trace, site, test, step, carry, None)
            except Exception as error:
                mark.undo()
                if is_for_others(error, site):
                    raise
                self.note(trace, site, _why(error))
                break
            self.note(trace, site)
            return carry
        steps = 0
        while test(*carry):
            if steps == MOST_STEPS_IN_A_SIDE and sides_open():
                raise Refused("a loop in it does not end soon")
            carry = step(*carry)
            steps += 1
        return carry

    def _compiled(self, trace: Any, site: Site, test: Any, step: Any, carry: tuple[Any, ...], begins: Any) -> Any:
        """The last carry of a loop of the program; `begins` says whether it takes a step, None that it does."""
        if is_open(trace, site):
            raise Refused("the function calls itself")
        refuse_operators([*used_by(test), *used_by(step), *carry])
        if begins is not None and (unbound := [word for word, x in zip(site.names, carry) if x is UNBOUND]):
            raise Refused(f"{', '.join(unbound)} may be unbound after it")
        counts = path(trace)
        goes = trace.constant(1.0) if begins is None else trace.place(begins)
        if counts is not None:
            goes = trace.place(counts.select(trace.wrap(goes), 0.0))
        if any(x is UNBOUND or x is NOTHING for x in carry):  # a step tells what these names are numbers for
            probe = Steps(trace, site, goes, carry)
            with probe.open():
                following = probe.run(step)
            carry = tuple([blank(x, then) for x, then in zip(carry, following)])
        floats: set[int] = set()
        while True:  # until it is known which ints stay ints
            steps = Steps(trace, site, goes, carry, floats)
            child, before = steps.child, steps.before
            with steps.open():
                after = Carry(child, site.names, following := steps.run(step))
                refuse_long(child)
            before.check(after)
            changed = {k for k, (one, other) in enumerate(zip(before.wholes, after.wholes)) if one and not other}
            if not changed:
                break
            floats |= changed
        with steps.open():
            outcome = test(*following)
            truth = truth_of(outcome)
            going = child.predicate(child.truth_constant(bool(outcome))) if truth is None else truth[1]
            goes_on = child.place(steps.supposed(going))
        if calls_python(child.code):
            raise Refused("it calls a rule written in Python")
        count = child.emit("add", (steps.made.counter, child.constant(1.0)))
        loop = finished(trace, steps.made, [goes_on, count, *after.places], [])
        trace.root().spent += len(child.code)
        last = [trace.emit("item", (loop,), 2 + k) for k in range(len(before.places))]
        if any(before.wholes):
            trace.root().whole_numbers = True
        return before.rebuilt(trace, last)

    # ---- expressions -----------------------------------------------------------------------------------------

    @fast
    def combined(self, number: int, first: Any, *rest: Any) -> Any:
        """``first and …`` or ``first or …``."""
        site = self.sites[number]
        ands = site.kind == "and"
        value = first
        for later in rest:
            found = self._joined(site, ands, value, later)
            if found is NOTHING:
                if not value if ands else value:
                    return value
                found = later()
            value = found
        return value

    def _joined(self, site: Site, ands: bool, value: Any, later: Any) -> Any:
        """Two truths combined, if both are part of the program."""
        found = truth_of(value) if is_predicate(value) else None
        if found is None:
            return NOTHING
        trace, truth = found
        if not branches(trace, truth.index):
            return NOTHING
        mark, before = Mark(trace), len(trace.code)
        try:
            refuse_operators(used_by(later))
            with under(trace, None, truth.index, ands):
                other = later()
            if not is_truth(other) or calls_python(trace.code[before:]):
                raise Refused("what is combined is no comparison")
            return truth.with_(site.kind, truth_place(trace, other))
        except Exception as error:
            mark.undo()
            if is_for_others(error, None):
                raise
            return NOTHING

    def chained(self, number: int, signs: tuple[str, ...], first: Any, second: Any, *rest: Any) -> Any:
        """``first < second < …``."""
        value = ORDERS[signs[0]](first, second)
        site = self.sites[number]
        left = [second]
        for sign, later in zip(signs[1:], rest):

            def compare(sign: str = sign, later: Any = later) -> Any:
                left.append(later())
                return ORDERS[sign](left[-2], left[-1])

            found = self._joined(site, True, value, compare)
            if found is NOTHING:
                del left[left.index(left[-1]) + 1 :]
                if not value:
                    return value
                found = compare()
            value = found
        return value

    @fast
    def negated(self, value: Any) -> Any:
        """``not value``."""
        found = truth_of(value) if is_predicate(value) else None
        if found is None or not branches(found[0], found[1].index):
            return not value
        return found[1].negated()

    @fast
    def guard(self, number: int, condition: Any) -> Any:
        """The condition of a statement that stays as it is."""
        found = truth_of(condition)
        if found is not None:
            site = self.sites[number]
            self.note(found[0], site, site.refused or "")
        return condition

    # ---- names, attributes, elements, calls ----------------------------------------------------------------------

    @staticmethod
    def value(read: Callable[[], Any]) -> Any:
        """The value of a name that may be unbound."""
        try:
            return read()
        except NameError:
            return UNBOUND

    @staticmethod
    def is_unbound(value: Any) -> bool:
        """Whether a name has no value."""
        return value is UNBOUND

    @staticmethod
    @fast
    def immutable(value: Any) -> None:
        """In a side, ``x += y`` may not change the thing itself."""
        if sides_open() and not (is_number(value) or is_truth(value) or type(value) in (tuple, str, complex)):
            raise Refused(f"it changes a {type(value).__name__} in place")

    @staticmethod
    @fast
    def owner(thing: Any, name: str) -> Any:
        """In a side, to read an attribute must not run code."""
        if sides_open() and not isinstance(thing, (ModuleType, Value, float, int)):
            kind = type(thing)
            found = next((vars(c)[name] for c in kind.__mro__ if name in vars(c)), None)
            if found is None and name not in getattr(thing, "__dict__", ()) and not isinstance(thing, type):
                raise Refused(f"it reads the attribute {name} of a {kind.__name__}")
            if isinstance(found, property) or hasattr(type(found), "attrname"):
                raise Refused(f"it reads the property {name} of a {kind.__name__}")
            refuse_operators([getattr(thing, "__dict__", {}).get(name)])
        return thing

    @staticmethod
    @fast
    def container(thing: Any) -> Any:
        """In a side, to read an element must not run code."""
        if sides_open() and type(thing) not in (list, tuple, dict, str, bytes, range, np.ndarray):
            raise Refused(f"it reads an element of a {type(thing).__name__}")
        return thing

    @staticmethod
    @fast
    def iterated(thing: Any) -> Any:
        """In a side, a loop must not use up anything."""
        if sides_open() and type(thing) not in ITERATED:
            raise Refused(f"it goes through a {type(thing).__name__}")
        return thing

    @staticmethod
    def shown(thing: Any) -> Any:
        """What a text shows: an int that is a number of the program would look like a float."""
        trace = present()
        if trace is not None and trace.root().whole_numbers:
            for x in thing if type(thing) is tuple else (thing,):
                if isinstance(x, Traced):
                    trace.root().spoiled = True
                    raise Refused("a whole number is part of the program, and its text is asked for")
        return thing

    @staticmethod
    @fast
    def called(function: Any) -> Any:
        """A function as it is to be called."""
        trace = present()
        if trace is None:
            return function
        if function is min or function is max:
            return partial(_best, function)
        if trace.root().sides:
            refuse_long(trace)
            if (why := impure(function)) is not None:
                raise Refused(why)
        if trace.root().whole_numbers and _asks(function):
            return partial(_asked, function)
        new = followed(function)
        if trace.root().sides and new is function:
            return Checked(function, followed)
        return new

    @staticmethod
    def bounds(numbers: range) -> tuple[int, int, int]:
        """The first number of a range, its end and its step."""
        return numbers.start, numbers.stop, numbers.step

    @staticmethod
    def within(number: Any, stop: int, step: int) -> Any:
        """Whether a number of a range comes before its end."""
        return number < stop if step > 0 else number > stop

    @staticmethod
    def note(trace: Any, site: Site, why: str | None = None) -> None:
        """Remember what became of a branch or loop: None for a part of the program, or why it is a guard."""
        notes = trace.root().flow
        notes.setdefault(site, why)
        if why is None:
            notes[site] = None


ITERATED: tuple[Any, ...] = (
    list, tuple, dict, str, range, zip, enumerate, reversed, map, type({}.keys()), type({}.values()), type({}.items()),
    np.ndarray,
)  # fmt: skip  # a list


def _why(error: Exception) -> str:
    if isinstance(error, UnrollError):
        return error.reason.told
    return f"{type(error).__name__}: {error}"


def _is_real(trace: Any, goes: int) -> bool:
    """Whether the watched numbers take a step."""
    return getattr(trace.deciding, "real", True) and bool(trace.value(goes))


def _best(function: Any, *things: Any, **options: Any) -> Any:
    """`max` or `min`; of numbers of the program, it is a choice and no guard."""
    numbers = things[0] if len(things) == 1 and type(things[0]) in (list, tuple) else things
    if (
        options
        or len(numbers) < 2
        or not all(map(is_number, numbers))
        or not any(isinstance(x, Value) for x in numbers)
    ):
        return (Checked(function, followed) if sides_open() else function)(*things, **options)
    best = numbers[0]
    for x in numbers[1:]:
        best = where(x > best if function is max else x < best, x, best)
    return best


def _asks(function: Any) -> bool:
    """Whether a function tells an int from a float."""
    texts = getattr(function, "__name__", None) == "format" and isinstance(getattr(function, "__self__", None), str)
    return texts or any(function is one for one in (isinstance, type, str, repr, format, hash, dict.get))


def _asked(function: Any, *things: Any) -> Any:
    """`isinstance` or `type` where a number of the program may stand for an int."""
    trace = present()
    if any(isinstance(x, Traced) for x in things) and trace is not None:
        trace.root().spoiled = True  # whoever catches the exception
        raise Refused("a whole number is part of the program, and its type is asked for")
    return function(*things)


class Steps:
    """The steps of a loop that is captured: a program in the program."""

    def __init__(self, trace: Trace, site: Site, goes: int, carry: Sequence[Any], floats: Container[int] = ()) -> None:
        self.trace = trace
        self.made = LoopBuilder(trace, child := trace.inner(), STEPS, test=True)
        self.made.carry(goes)
        self.made.carry(trace.constant(0.0))
        self.child, self.before = child, Carry(trace, site.names, carry, floats)
        self.numbers = [self.made.carry(place) for place in self.before.places]
        child.deciding = Side((), None, {}, site, _is_real(trace, goes), size(trace), MOST_IN_LOOP)

    @contextmanager
    def open(self) -> Iterator[None]:
        """In the `with` block, operations are those of a step."""
        root = self.trace.root()
        root.sides += 1
        try:
            with self.child.watched():
                yield
        finally:
            root.sides -= 1

    def run(self, step: Any) -> tuple[Any, ...]:
        """What a step hands to the next one, captured in the `with` block of `open`."""
        found: tuple[Any, ...] = step(*self.before.rebuilt(self.child, self.numbers))
        return found

    def supposed(self, going: Any) -> Any:
        """The truth that there is another step: none after one in which something does not hold that was supposed."""
        wrong = self.child.demands
        if not wrong:
            return going
        any_wrong = wrong[0][0]
        for one, _ in wrong[1:]:
            any_wrong = any_wrong.with_("or", one)
        if all(error is not_supposed for _, error in wrong):
            self.child.demands = [(any_wrong, not_supposed)]
        return going.with_("and", any_wrong.negated())


if extension is not None:
    extension.flow(Flow, partial, min, max, codes, SINGLE_CALL)
