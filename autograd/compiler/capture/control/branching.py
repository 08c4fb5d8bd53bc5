"""Branches, conditions and `try`: both sides are captured, each under its condition, and a selection follows."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from autograd.compiler.capture.control.choice import alike_texts
from autograd.compiler.capture.control.journal import assign, commit, joined, refuse_assigned, under
from autograd.compiler.capture.control.merging import NOTHING, is_truth, merged, truth_place
from autograd.compiler.capture.control.pure import refuse_operators, used_by
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
    size,
    suppose,
    truth_of,
)
from autograd.compiler.capture.control.sites import SINGLE_CALL, Sites, reason_of, was_guard
from autograd.compiler.capture.watched import InTurnError, UnrollError
from autograd.compiler.source.rewrite import Site
from autograd.ir.block import calls_python
from autograd.native import fast

Handlers = tuple[tuple[Callable[[], Any] | None, Callable[..., Any]], ...]  # what each catches, and what it does
ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip  # a table


class Branching(Sites):
    """What the code of one function calls for its branches."""

    __slots__ = ()

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
        if outcome := self.decided(number, condition):
            return then(*given) if outcome > 0 else otherwise(*given)
        found = truth_of(condition)
        assert found is not None
        (trace, truth), site = found, self.sites[number]
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
            self.note(trace, site, reason_of(error))
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
            self.note(trace, site, reason_of(error))
            return _as_python_does(body, handlers, given)
        if attempt.raised:
            self.note(trace, site)
        return result

    # ---- conditions --------------------------------------------------------------------------------------------------

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
