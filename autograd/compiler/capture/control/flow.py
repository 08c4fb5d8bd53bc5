"""What rewritten functions call while they are captured: branches and loops that become part of the program.

On plain numbers all of this does what Python does. Where a condition is a number of the program, both sides of a branch
are captured, each under its condition, and a selection of their results follows. A loop is captured once. What a side
compares besides is supposed to come out as it does now; the program is valid only where it does, or where the side is
not taken. Whatever cannot be captured so is left to Python, in which a condition is a guard.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from math import inf, isfinite
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.capture.branches import begins_where_it_counts, path
from autograd.compiler.capture.control import gathered
from autograd.compiler.capture.control.choice import Choice, alike_texts, is_among, is_the
from autograd.compiler.capture.control.journal import (
    Place,
    append,
    assign,
    attribute,
    besides,
    commit,
    element,
    extend,
    instance,
    joined,
    new_list,
    refuse_assigned,
    under,
)
from autograd.compiler.capture.control.kinds import as_index, asked, asks, best_of, refuse_mixed
from autograd.compiler.capture.control.made import MOST_MADE, note_made, refuse_begun
from autograd.compiler.capture.control.merging import (
    NOTHING,
    UNBOUND,
    Carry,
    alike,
    as_optional,
    blank,
    is_number,
    is_truth,
    merged,
    sometimes_none,
    truth_place,
)
from autograd.compiler.capture.control.optional import is_none
from autograd.compiler.capture.control.pure import Checked, impure, refuse_operators, used_by
from autograd.compiler.capture.control.rounded import Rounded
from autograd.compiler.capture.control.sides import (
    MOST_IN_BRANCH,
    MOST_IN_ROWS,
    Attempt,
    Mark,
    Refused,
    Side,
    branches,
    compares_rounded,
    in_step,
    is_for_others,
    is_predicate,
    is_reached,
    outermost,
    present,
    refuse_deep,
    refuse_long,
    sides_open,
    size,
    suppose,
    truth_of,
)
from autograd.compiler.capture.control.steps import Steps
from autograd.compiler.capture.control.tables import bisected, taken
from autograd.compiler.capture.control.whole import Whole, to_int
from autograd.compiler.capture.maps import finished
from autograd.compiler.capture.tracer import IN_PLACE_OF_THE_USER, Traced
from autograd.compiler.capture.watched import InTurnError, UnrollError
from autograd.compiler.notices import notice
from autograd.compiler.source.functions import codes, new_code, unreadable, with_code
from autograd.compiler.source.rewrite import Rewritten, Site
from autograd.ir.block import calls_python
from autograd.modes import caller
from autograd.native import extension, fast
from autograd.value import Value

SHOWN = (float, int, bool, str, type(None))  # besides numbers of the program, in a text that may be left unread
CONTAINERS = (list, tuple, dict, set, frozenset)
Handlers = tuple[tuple[Callable[[], Any] | None, Callable[..., Any]], ...]  # what each catches, and what it does
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made by a class statement
MOST_STEPS_IN_A_SIDE = 256  # that Python runs: a side that is not taken may have a loop that never ends
SINGLE_CALL = "a single call runs one side only"
GROWS = {"append": append, "extend": extend}  # methods of lists
ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip  # a table


def followed(function: Any) -> Any:
    """A function as it is to be called in a capture: rewritten, if it is one in Python that can be."""
    trace = present()
    if trace is None:
        return function
    kind = type(function)  # what calls itself a function has its own way of being called
    if kind is FunctionType:
        found = new_code(function)
        if found is None and (site := unreadable(function)) is not None:
            trace.root().flow[site] = site.refused
        return function if found is None else with_code(function, found, Flow(found))
    if kind is MethodType and type(function.__func__) is FunctionType:
        inner = followed(function.__func__)
        return function if inner is function.__func__ else MethodType(inner, function.__self__)
    if kind is partial:
        inner = followed(function.func)
        return function if inner is function.func else partial(inner, *function.args, **function.keywords)
    return function


class Text(NamedTuple):
    """An f-string that is to be printed: what makes it, and what it shows."""

    make: Callable[..., str]
    shown: tuple[Any, ...]


def _is_plain(thing: Any) -> bool:
    """Whether no code of the user's runs when a text shows this thing."""
    if type(thing) in CONTAINERS:
        return all(map(_is_plain, thing.items() if type(thing) is dict else thing))
    if type(thing) is Text:
        return all(map(_is_plain, thing.shown))
    if type(thing) is np.ndarray:
        return _is_plain(thing.tolist())
    return isinstance(thing, Traced) or type(thing) in SHOWN


def _element(thing: Any, key: Any) -> Any:
    """``thing[key]``."""
    return thing[key]


IN_PLACE_OF_THE_USER.add(_element.__code__)


def _made(thing: Any) -> Any:
    """What is printed."""
    return thing.make(None, *thing.shown) if type(thing) is Text else thing


def _made_now(thing: Any) -> Any:
    """The same where no code reads it: a text shows the numbers of now, of which it tells that it has them."""
    return thing.make(None, *map(_now, thing.shown)) if type(thing) is Text else thing


def _now(thing: Any) -> Any:
    """The number of now, in a text that is left unread."""
    if not isinstance(thing, Traced):
        return thing
    trace = thing.builder
    trace.check_in_use()
    trace.root().texts.shown = True
    number = trace.value(thing.index)
    whole = type(thing) in (Whole, Rounded) or trace.is_count(thing.index)
    return int(number) if whole and isfinite(number) else float(number)


@cache
def tell_of_print(line: str) -> None:
    """Tell once that a line prints no more than once."""
    notice(f"print() at {line} runs while the function is traced, and not at every call: print results instead")


class Flow:
    """What the code of one function calls."""

    __slots__ = ("sites",)
    nothing = NOTHING

    def __init__(self, code: Rewritten) -> None:
        self.sites = code.sites

    # ---- statements ------------------------------------------------------------------------------------------

    @fast
    def decided(self, number: int, condition: Any) -> int:
        """The outcome of the condition of a branch, 1 or -1; 0 while the branch may be a part of the program."""
        found = truth_of(condition)
        if found is not None and branches(found[0], found[1].index):
            if not was_guard(found[0], self.sites[number]):
                return 0
        elif found is not None:
            self.note(found[0], self.sites[number], SINGLE_CALL)
        return 1 if condition else -1

    @fast
    def returned(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        """An `if` with which the function ends: its result."""
        return self._chosen(number, condition, then, otherwise, given)

    @fast
    def choose(self, number: int, condition: Any, then: Any, otherwise: Any) -> Any:
        """``then if condition else otherwise``."""
        return self._chosen(number, condition, then, otherwise, ())

    def _chosen(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        return self._branch(number, condition, then, otherwise, given, _result)

    @fast
    def branch(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        """``if condition``: what the names have after it."""
        together = partial(self._together, self.sites[number])
        return self._branch(number, condition, then, otherwise, given, together)

    @staticmethod
    def _together(site: Site, trace: Any, truth: Any, one: Any, other: Any) -> Any:
        """What the names of a site have, of two sides."""
        pairs = [alike_texts(x, y) if w in site.texts else (x, y) for x, y, w in zip(one, other, site.names)]
        things = zip(site.names, pairs)
        return tuple([merged(trace, truth, *pair, word, word in site.optional) for word, pair in things])

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
        if was_guard(trace, site):
            return then(*given) if condition else otherwise(*given)
        refuse_deep(trace, site)
        refuse_long(trace)
        mark = Mark(trace)
        try:
            if compares_rounded(trace, truth.index):
                if not (site.leaves and in_step(trace)):
                    raise Refused("it compares rounded numbers by ==")
                trace.root().exact = True
            attempt = trace.root().attempts[-1] if trace.root().attempts else None
            raised, why = dict(attempt.raised) if attempt else {}, None
            one, other = self._sides(trace, truth, site, then, otherwise, given)
            errors = [x for x in (one, other) if isinstance(x, Exception)]
            if len(errors) == 2:
                raise Refused("both sides raise")
            if errors:
                result, journal = other if one is errors[0] else one
                holds = truth.negated() if one is errors[0] else truth
                handler = attempt and attempt.catches(trace, errors[0])
                if attempt is None or handler is None:
                    suppose(trace, holds)
                else:
                    attempt.note(handler, holds.negated())
                commit(trace.root(), journal)
            elif together is _result and (one[0] is None) != (other[0] is None):
                holds = truth if other[0] is None else truth.negated()
                if is_reached(trace, getattr(trace.deciding, "real", True)) and not trace.value(holds.index):
                    holds = holds.negated()
                suppose(trace, holds)  # a function falls off its end where something is wrong
                result, journal = one if holds.index == truth.index else other
                commit(trace.root(), journal)
                why = "the result is None on one side"
            else:
                result = together(trace, truth, one[0], other[0])
                for place, value in joined(trace, truth, one[1], other[1]):
                    assign(trace.root(), place, value)
            if attempt is not None:
                attempt.go_on(trace, raised)
        except Exception as error:  # whatever Python code raises: then Python decides
            mark.undo()
            if is_for_others(error, site):
                raise
            if isinstance(error, Refused) and outermost(trace, site) is not None:  # it is one of several calls
                trace.root().too_deep.add(site)
                raise
            self.note(trace, site, _why(error))
            return then(*given) if condition else otherwise(*given)
        self.note(trace, site, why)
        return result

    def _sides(self, trace: Any, truth: Any, site: Site, then: Any, otherwise: Any, given: Any) -> list[Any]:
        """The results of both sides, each with what it assigned; of one that raises, the error."""
        found: list[Any] = []
        refuse_operators([*used_by(then), *used_by(otherwise), *given])
        start = size(trace)
        most = MOST_IN_BRANCH if trace.parent is None else MOST_IN_ROWS if trace.rows_branch else inf
        for side, outcome in ((then, True), (otherwise, False)):
            mark, before = Mark(trace), len(trace.code)
            try:
                with under(trace, site, truth.index, outcome, start, most) as journal:
                    result = side(*given)
                    refuse_long(trace)
                found.append((result, journal))
            except (Refused, RecursionError):
                raise
            except Exception as error:
                mark.undo()
                found.append(error.with_traceback(None))  # its frames would stay until the next collection
            if calls_python(trace.code[before:]):
                raise Refused("a side calls a rule written in Python")
        return found

    def tried(self, number: int, body: Any, handlers: Handlers, given: tuple[Any, ...]) -> Any:
        """A `try`: what the names have after it."""
        return self._tried(number, body, handlers, given, partial(self._together, self.sites[number]))

    def tried_last(self, number: int, body: Any, handlers: Handlers, given: tuple[Any, ...]) -> Any:
        """A `try` with which the function ends: its result."""
        return self._tried(number, body, handlers, given, _result)

    def _tried(self, number: int, body: Any, handlers: Handlers, given: tuple[Any, ...], together: Any) -> Any:
        """The result of a `try`: that of a handler where the body raises what it catches, if that can be captured."""
        trace: Any = present()
        if trace is None or (trace.parent is None and not isinstance(trace.deciding, Side)):
            return _as_python_does(body, handlers, given)
        mark, site = Mark(trace), self.sites[number]
        attempt = Attempt(trace, [BaseException if kinds is None else kinds() for kinds, _ in handlers])
        trace.root().attempts.append(attempt)
        try:
            try:
                with under(trace, None) as journal:
                    result = body(*given)
            finally:
                trace.root().attempts.pop()
            if attempt.raised:
                refuse_assigned(journal, "the body of a try")
            commit(trace.root(), journal)
            for k, truth in attempt.raised.items():
                with under(trace, None, truth.index) as journal:
                    handled = handlers[k][1](*given)
                refuse_assigned(journal, "a handler")
                result = together(trace, truth, handled, result)
        except Exception as error:  # it raises for the watched numbers, too: then Python decides
            mark.undo()
            if is_for_others(error, site):
                raise
            self.note(trace, site, _why(error))
            return _as_python_does(body, handlers, given)
        if attempt.raised:
            self.note(trace, site)
        return result

    def loop(self, number: int, test: Any, step: Any, given: tuple[Any, ...]) -> Any:
        """A loop: what the names have after it."""
        site, trace = self.sites[number], present()
        carry = given
        while trace is not None and not was_guard(trace, site):
            mark = Mark(trace)
            try:
                with under(trace, None) as journal:
                    outcome = test(*carry)
                refuse_assigned(journal, "its test")
                found = truth_of(outcome)
                if found is not None:
                    carry = self._compiled(trace, site, test, step, carry, found[1])
                elif not outcome:
                    return carry
                else:
                    if not site.jumps:
                        carry = step(*carry)
                        continue
                    with under(trace, None, step=True) as journal:
                        following = step(*carry)
                        found = truth_of(test(*following))
                    if found is None:
                        commit(trace.root(), journal)
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
        if outermost(trace, site) is not None:
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
        steps, places, after, goes_on = self._settled(trace, site, goes, carry, test, step)
        child, before = steps.child, steps.before
        if calls_python(child.code):
            raise Refused("it calls a rule written in Python")
        count = child.emit("add", (steps.made.counter, child.constant(1.0)))
        begins_where_it_counts(trace, steps.made, counts)
        loop = finished(trace, steps.made, [goes_on, count, *after.places], [])
        trace.root().spent += len(child.code)
        last = [trace.emit("item", (loop,), 2 + k) for k in range(len(before.places))]
        if any(before.wholes):
            trace.root().whole_numbers = True
        values = before.rebuilt(trace, last)
        for place, value in zip(places, values[len(site.names) :]):
            assign(trace.root(), place, value)
        return values[: len(site.names)]

    def _settled(
        self, trace: Any, site: Site, goes: int, carry: tuple[Any, ...], test: Any, step: Any
    ) -> tuple[Steps, list[Place], Carry, int]:
        """A step of a loop, the places that it assigns, what it hands on, and whether there is another one.

        It is captured again until it is known which places it assigns, which names may hold None, and which ints stay
        ints.
        """
        floats: set[int] = set()
        unsure: set[int] = set()
        nones: set[int] = set()
        places: list[Place] = []
        while True:
            steps = Steps(trace, site, goes, as_optional(carry, nones), floats, places, unsure)
            with steps.open() as journal:
                following = steps.run(step)
                begins = alike(carry, following)
                things = zip(begins, following, site.names)
                begins = tuple([alike_texts(x, y)[0] if w in site.texts else x for x, y, w in things])
                if any(one is not x for one, x in zip(begins, carry)):
                    carry = begins
                    continue
                if new := besides(journal, places):
                    places += new
                    continue
                if new_nones := sometimes_none(site, carry, following) - nones:
                    nones |= new_nones
                    continue
                following = as_optional(alike(following, carry), nones)
                after = Carry(steps.child, steps.before.names, [*following, *[place.read() for place in places]])
                refuse_long(steps.child)
                steps.before.check(after)
                if mixed := steps.before.mixes(after):
                    floats |= mixed
                    continue
                if new_unsure := steps.before.unsure_after(after):
                    unsure |= new_unsure
                    continue
                outcome = test(*following)
                if besides(journal, places):
                    raise Refused("its test assigns an attribute or an element")
                truth, child = truth_of(outcome), steps.child
                going = child.predicate(child.truth_constant(bool(outcome))) if truth is None else truth[1]
                return steps, places, after, child.place(steps.supposed(going))

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
            with under(trace, None, truth.index, ands) as journal:
                other = later()
            refuse_assigned(journal, "what is combined")
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
    def is_none(thing: Any) -> Any:
        """``thing is None``."""
        return is_the(thing, None) if type(thing) is Choice else is_none(thing)

    @staticmethod
    def is_the(thing: Any, other: Any) -> Any:
        """``thing is other``, where the thing may be one text or another."""
        return is_the(Flow.identified(thing), Flow.identified(other))

    @staticmethod
    def is_among(thing: Any, texts: Any) -> Any:
        """``thing in texts``."""
        return is_among(thing, texts)

    @staticmethod
    def appended(thing: Any, value: Any, asked: str) -> Any:
        """``thing.append(value)``, for a list of which only this is ever asked."""
        return gathered.appended(thing, value, asked)

    @staticmethod
    def gathered(thing: Any, asked: str, function: Any = None) -> Any:
        """What is asked of such a list, by a function or by an index."""
        if type(thing) is gathered.Gathered:
            return gathered.answer(thing, asked, function)
        if asked == "filled":
            return thing
        return gathered.OF_LISTS[asked](thing) if function is None else Flow.called(function)(thing)

    @staticmethod
    def identified(thing: Any) -> Any:
        """In a side, a number must not be told from an equal one: its tracers are others than Python's numbers."""
        if sides_open() and (is_number(thing) or is_truth(thing)):
            raise Refused("it compares a number by identity")
        return thing

    @staticmethod
    @fast
    def immutable(value: Any) -> None:
        """In a side, ``x += y`` may not change the thing itself."""
        if sides_open() and not (is_number(value) or is_truth(value) or type(value) in (tuple, str, complex)):
            raise Refused(f"it changes a {type(value).__name__} in place")

    @staticmethod
    @fast
    def made(thing: Any) -> Any:
        """A list, a dict or a generator that the code has made."""
        trace = present()
        return thing if trace is None else note_made(trace.root(), thing)

    @staticmethod
    @fast
    def set_attribute(value: Any, thing: Any, name: str) -> None:
        """``thing.name = value``; in a side it is noted."""
        trace = present()
        if trace is None or trace.root().journal is None:
            setattr(thing, name, value)
        else:
            assign(trace.root(), attribute(thing, name), value)

    @staticmethod
    def set_text(make: Callable[..., Any], shown: tuple[Any, ...], thing: Any, name: str) -> None:
        """``thing.name = make(None, *shown)``: a text that may be left unread."""
        trace = present()
        if trace is None or not all(map(_is_plain, shown)):
            return Flow.set_attribute(make(None, *shown), thing, name)
        root = trace.root()
        try:
            place = attribute(thing, name)
        except Refused:  # to assign it runs code
            return Flow.set_attribute(make(None, *shown), thing, name)
        return assign(root, place, root.texts.made(make, shown, _now, name))

    @staticmethod
    @fast
    def set_element(value: Any, thing: Any, key: Any) -> None:
        """``thing[key] = value``; in a side it is noted."""
        key = as_index(key)
        trace = present()
        if trace is None or trace.root().journal is None:
            thing[key] = value
        else:
            assign(trace.root(), element(thing, key), value)

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
    def item(thing: Any, *keys: Any) -> Any:
        """``thing[key]``, or ``thing[key][other]``."""
        for k, key in enumerate(keys):
            if any(type(x) is Whole for x in keys[k:]) and (found := taken(thing, keys[k:])) is not None:
                return found
            thing = _element(Flow.container(thing), as_index(key) if isinstance(thing, (dict, np.ndarray)) else key)
        return thing

    @staticmethod
    @fast
    def iterated(thing: Any) -> Any:
        """In a side, a loop must not use up anything."""
        if sides_open() and type(thing) not in ITERATED:
            raise Refused(f"it goes through a {type(thing).__name__}")
        refuse_begun(thing)
        return thing

    @staticmethod
    @fast
    def drawn(thing: Any) -> Any:
        """The same for what takes all elements of a thing in another way."""
        refuse_begun(thing)
        return thing

    @staticmethod
    def shown(thing: Any) -> Any:
        """What a text shows: an int that is a number of the program would look like a float."""
        trace = present()
        if trace is not None and trace.root().whole_numbers:
            for x in thing if type(thing) is tuple else (thing,):
                if isinstance(x, Traced):
                    refuse_mixed(x)
        return thing

    @staticmethod
    def error(make: Callable[[], Any]) -> Any:
        """An error whose message shows something: in a side no code reads it, as no handler there names it."""
        trace = present()
        if trace is None or not sides_open():
            return make()
        with trace.root().texts.left_unread():
            return make()

    @staticmethod
    def text(make: Callable[..., str], *shown: Any) -> Text:
        """An f-string that is printed, with what it shows."""
        return Text(make, shown)

    @staticmethod
    def printed(function: Any, *things: Any, **options: Any) -> Any:
        """``print(…)``: it shows the numbers of now, and holds for others too if only people read what is printed."""
        trace = present()
        if (
            function is not print
            or trace is None
            or trace.root().sides
            or not trace.root().texts.goes_to_people(options.get("file"))
            or not all(map(_is_plain, things))
        ):
            return Flow.called(function)(*map(_made, things), **options)
        if trace.root().repeating:
            return None
        trace.root().prints()
        with trace.root().texts.left_unread() as made:
            print(*map(_made_now, things), **options)
            if made.shown:
                tell_of_print(caller())
        return None

    @staticmethod
    @fast
    def called(function: Any) -> Any:
        """A function as it is to be called."""
        trace = present()
        if trace is None:
            return function
        if function is min or function is max:
            return partial(_best, function)
        if function is int:
            return to_int
        if function is list:
            return new_list
        if function is bisect_right or function is bisect_left:
            return partial(bisected, function)
        if type(function) is type and function.__flags__ & HEAP_TYPE and not trace.root().sides:
            return partial(instance, followed, function)
        if trace.root().sides:
            refuse_long(trace)
            if type(function) is BuiltinFunctionType and type(function.__self__) is list and function.__name__ in GROWS:
                return partial(GROWS[function.__name__], function.__self__)
            if (why := impure(function, assigns=True)) is not None:
                raise Refused(why)
        if function is isinstance or function is type or (trace.root().whole_numbers and asks(function)):
            return partial(asked, function)
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
    def begun() -> int:
        """Where a loop begins in the capture."""
        trace = present()
        return 0 if trace is None else size(trace)

    @staticmethod
    def is_over(going: Any, begun: int, things: Any, *given: Any) -> bool:
        """Whether Python takes no further step of a loop through things; if that differs, it does.

        Nothing else may notice that Python takes them, and they must not be too many: else it is a guard. `given` is
        what `zip` or the like goes through, if that has made the things.
        """
        found = truth_of(going)
        if found is None or size(found[0]) - begun > MOST_IN_ROWS or not is_repeatable(things, given):
            return not going
        return False

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


def was_guard(trace: Any, site: Site) -> bool:
    """Whether a row runs once more that was not captured with this branch or loop, as when a side is too long.

    The second run finds most of its instructions there, and so would not be too long.
    """
    root = trace.root()
    return root.repeating and root.flow.get(site) is not None


CONTAINED: tuple[Any, ...] = (*CONTAINERS, str, range, np.ndarray, type({}.keys()), type({}.values()), type({}.items()))
MAKE_ITERATORS = frozenset([zip, enumerate, pairwise, reversed, type(reversed([])), type(reversed(range(0)))])


def is_repeatable(things: Any, given: tuple[Any, ...]) -> bool:
    """Whether nothing happens when a loop goes through more of these things than it needs."""
    if not given:
        return type(things) in CONTAINED
    return type(things) in MAKE_ITERATORS and all(type(x) in CONTAINED or type(x) is int for x in given)


def _result(trace: Any, truth: Any, one: Any, other: Any) -> Any:
    """The result of two sides with which a function ends."""
    return merged(trace, truth, one, other, "the result")


def _as_python_does(body: Any, handlers: Handlers, given: tuple[Any, ...]) -> Any:
    """A `try`, with its handlers."""
    try:
        return body(*given)
    except (UnrollError, InTurnError):
        raise
    except BaseException as error:
        for kinds, handler in handlers:
            if isinstance(error, BaseException if kinds is None else kinds()):
                return handler(*given)
        raise


def _why(error: Exception) -> str:
    if isinstance(error, UnrollError):
        return error.reason.told
    return f"{type(error).__name__}: {error}"


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
    return best_of(function, numbers)


if extension is not None:
    extension.flow(Flow, partial, min, max, bisect_left, bisect_right, isinstance, codes, SINGLE_CALL, MOST_MADE)
