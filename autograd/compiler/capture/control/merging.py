"""Names after a branch and from step to step: numbers, truths, tuples of these, and things that stay the same."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from autograd.compiler.capture.control.optional import Maybe, parts
from autograd.compiler.capture.control.plain import Plain, Unsure, chosen, is_plain
from autograd.compiler.capture.control.sides import Refused, is_predicate, truth_at
from autograd.compiler.capture.control.whole import LARGEST_CARRIED, Bounds, Whole, bounds_of, carried
from autograd.compiler.capture.tracer import Traced
from autograd.ieee import to_float
from autograd.value import Value

MOST_EXACT = 2**53  # up to here, all whole numbers are floats


class Sentinel:
    """What a name has that has no value."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Parts:
    """Numbers that a capture has in place of one thing: they are chosen, and handed on, one by one."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def like(self, thing: Any) -> Any:
        """Another thing that is to become one of these."""
        return thing


UNBOUND = Sentinel("unbound")  # a variable of the user's that is not bound
NOTHING = Sentinel("nothing")  # what a loop returns that has not returned


def is_number(thing: Any) -> bool:
    """Whether a thing is a number, of the program or not, and no truth."""
    if isinstance(thing, Value):
        return True
    kind = type(thing)
    return kind is float or kind is int or (isinstance(thing, (np.floating, np.integer)))


def is_whole(thing: Any) -> bool:
    """Whether eager code has an int here."""
    if isinstance(thing, Traced):
        return type(thing) is Whole or (not isinstance(thing, Plain) and thing.builder.is_count(thing.index))
    return type(thing) is int


def is_inexact(thing: Any) -> bool:
    """Whether a thing is an int that a float may not hold."""
    return isinstance(thing, (int, np.integer)) and not -MOST_EXACT <= thing <= MOST_EXACT


def is_mixed(thing: Any) -> bool:
    """Whether eager code may have an int or a float here."""
    if not isinstance(thing, Traced) or type(thing) is Whole:
        return False
    return thing.builder.is_mixed(thing.index)


def is_optional(thing: Any) -> bool:
    """Whether a thing is None or a number."""
    return thing is None or type(thing) is Maybe or is_number(thing)


def as_optional(carry: Sequence[Any], names: Container[int]) -> tuple[Any, ...]:
    """A carry, in which some names hold None or a number; beside None there is some number."""
    found = [Maybe(*parts(x)) if k in names else x for k, x in enumerate(carry)]
    return tuple([Maybe(False, 0.0) if type(x) is Maybe and x.value is None else x for x in found])


def sometimes_none(site: Any, carry: Sequence[Any], following: Sequence[Any]) -> set[int]:
    """Which names hold None before a step and a number after it, or the other way round."""
    pairs = enumerate(zip(site.names, carry, following))
    return {
        k
        for k, (word, one, then) in pairs
        if word in site.optional
        and is_optional(one)
        and is_optional(then)
        and (type(then) is Maybe or (one is None) != (then is None))
    }


def _bounds(thing: Any) -> Bounds:
    return bounds_of(thing) or (-LARGEST_CARRIED, LARGEST_CARRIED)


def is_truth(thing: Any) -> bool:
    """Whether a thing is a bool, or stands for one."""
    return type(thing) is bool or is_predicate(thing) or isinstance(thing, np.bool_)


def is_same(one: Any, other: Any) -> bool:
    """Whether two plain things are the same."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return bool(one.hex() == other.hex())
    return type(one) in (int, str, bytes, bool) and bool(one == other)


def number_place(trace: Any, thing: Any) -> int:
    """Where a number is in the program."""
    if is_inexact(thing):
        raise Refused("a whole number is larger than 2**53")
    return int(trace.place(thing if isinstance(thing, Value) else to_float(thing)))


def truth_place(trace: Any, thing: Any) -> Any:
    """A truth of the program."""
    if not is_predicate(thing):
        return trace.predicate(trace.truth_constant(bool(thing)))
    if thing.builder is trace:
        return thing
    return truth_at(trace, trace.place(thing))


def merged(trace: Any, condition: Any, one: Any, other: Any, what: str, optional: bool = False) -> Any:
    """What a name has after a branch: one thing where the condition holds, another where it does not.

    With `optional`, one of them may be None.
    """
    if is_same(one, other):
        return one
    if optional and is_optional(one) and is_optional(other):
        (has, value), (other_has, other_value) = parts(one), parts(other)
        found = other_value if value is None else value
        if value is not None and other_value is not None:
            found = merged(trace, condition, value, other_value, what)
        return found if has is other_has is True else Maybe(merged(trace, condition, has, other_has, what), found)
    if one is NOTHING or other is NOTHING:
        return other if one is NOTHING else one
    if one is UNBOUND or other is UNBOUND:
        raise Refused(f"{what} may be unbound")
    if is_truth(one) and is_truth(other):
        if not (is_predicate(one) or is_predicate(other)):
            return condition if one else condition.negated()
        return _merged_truths(trace, condition, one, other)
    if is_number(one) and is_number(other):
        places = number_place(trace, one), number_place(trace, other)
        found = trace.emit("select", (condition.index, *places))
        if is_whole(one) and is_whole(other):
            (low, high), (other_low, other_high) = _bounds(one), _bounds(other)
            return Whole.at(trace, found, (min(low, other_low), max(high, other_high)))
        if is_whole(one) or is_whole(other) or is_mixed(one) or is_mixed(other):
            trace.mix(found)
        return chosen(trace.wrap(found), one, other)
    kind = type(one) if isinstance(one, Parts) else type(other)
    if issubclass(kind, Parts):
        one, other = other.like(one) if kind is type(other) else one, one.like(other) if kind is type(one) else other
        if type(one) is type(other):
            pairs = zip(one.parts, other.parts)
            return kind(*[merged(trace, condition, x, y, what) for x, y in pairs])
    if type(one) is tuple and type(other) is tuple and len(one) == len(other):
        return tuple([merged(trace, condition, x, y, what) for x, y in zip(one, other)])
    raise Refused(f"{what} is no number: {type(one).__name__} or {type(other).__name__}")


def _merged_truths(trace: Any, condition: Any, one: Any, other: Any) -> Any:
    if not is_predicate(one):
        rest = truth_place(trace, other)
        return condition.with_("or", rest) if one else condition.negated().with_("and", rest)
    yes = truth_place(trace, one)
    if not is_predicate(other):
        return condition.negated().with_("or", yes) if other else condition.with_("and", yes)
    return condition.with_("and", yes).with_("or", condition.negated().with_("and", truth_place(trace, other)))


def _is_missing(thing: Any) -> bool:
    return thing is UNBOUND or thing is NOTHING


def blank(thing: Any, then: Any) -> Any:
    """A thing; in place of one that is missing, a thing like the one of the next step, with zeros."""
    if not _is_missing(thing) or _is_missing(then):
        return thing
    if is_number(then):
        return 0 if is_whole(then) else 0.0
    if is_truth(then):
        return False
    if isinstance(then, Parts):
        return type(then)(*[blank(NOTHING, x) for x in then.parts])
    return tuple([blank(NOTHING, x) for x in then]) if type(then) is tuple else then


def alike(carry: Sequence[Any], following: Sequence[Any]) -> tuple[Any, ...]:
    """A carry in which the things are such as a step makes of them, or the other way round."""
    return tuple([then.like(x) if isinstance(then, Parts) else x for x, then in zip(carry, following)])


class Carry:
    """The names that one step of a loop hands to the next, as numbers of a program."""

    def __init__(
        self,
        trace: Any,
        names: Sequence[str],
        values: Sequence[Any],
        floats: Container[int] = (),
        unsure: Container[int] = (),
    ) -> None:
        self.trace, self.names = trace, names
        self.floats = floats  # places of numbers that are ints in some steps and floats in others
        self.unsure = unsure  # places of numbers that are Values in the first step and may be plain in others
        self.places: list[int] = []
        self.wholes: list[bool] = []  # for each place, whether eager code has an int there
        self.mixed: list[bool] = []  # for each place, whether eager code may have an int or a float there
        self.values: list[bool] = []  # for each place, whether eager code has a Value there
        self.forms = [self._form(value) for value in values]

    def _form(self, value: Any) -> Any:
        if is_truth(value):
            self.places.append(self.trace.place(truth_place(self.trace, value)))
            self.wholes.append(False)
            self.mixed.append(False)
            self.values.append(False)
            return "truth"
        if is_number(value):
            whole = is_whole(value) and len(self.wholes) not in self.floats
            if whole:
                carried(self.trace, value)
            self.wholes.append(whole)
            self.mixed.append(not whole and (len(self.mixed) in self.floats or is_whole(value) or is_mixed(value)))
            self.values.append(len(self.values) not in self.unsure and is_plain(value) is False)
            self.places.append(number_place(self.trace, value))
            return "number"
        if type(value) is tuple:
            return tuple([self._form(x) for x in value])
        if type(value) is Maybe:
            return Optional((self._form(value.has), self._form(value.value)))
        if isinstance(value, Parts):
            return Grouped((type(value), *[self._form(x) for x in value.parts]))
        return Kept(value)

    def rebuilt(self, trace: Any, places: Sequence[int]) -> tuple[Any, ...]:
        """The values, with other numbers of a program."""
        left, kinds = iter(places), iter(zip(self.wholes, self.mixed, self.values))

        def build(form: Any) -> Any:
            if form == "truth":
                next(kinds)
                return truth_at(trace, next(left))
            if form == "number":
                place, (whole, mixed, is_value) = next(left), next(kinds)
                if whole:
                    return Whole.at(trace, place)
                if mixed:
                    trace.mix(place)
                return trace.wrap(place) if is_value else Unsure.like(trace.wrap(place))
            if isinstance(form, Optional):
                return Maybe(*[build(x) for x in form])
            if isinstance(form, Grouped):
                return form[0](*[build(x) for x in form[1:]])
            return form.thing if isinstance(form, Kept) else tuple([build(x) for x in form])

        return tuple([build(form) for form in self.forms])

    def mixes(self, after: Carry) -> set[int]:
        """The places of numbers that are ints in one step and floats in the next, or the other way round."""
        kinds = zip(self.wholes, self.mixed, after.wholes, after.mixed)
        return {k for k, (one, mixed, then, later) in enumerate(kinds) if not mixed and (one != then or later)}

    def unsure_after(self, after: Carry) -> set[int]:
        """The places of numbers that are Values in one step and may be plain in the next."""
        return {k for k, (one, then) in enumerate(zip(self.values, after.values)) if one and not then}

    def check(self, after: Carry) -> None:
        """Raise unless the next carry has the same structure."""
        for word, one, other in zip(self.names, self.forms, after.forms):
            if one != other:
                raise Refused(f"{word} does not stay a number, or of the same structure")


class Optional(tuple[Any, ...]):
    """The form of None or a number: that of a truth and that of the number."""

    __slots__ = ()


class Grouped(tuple[Any, ...]):
    """The form of numbers in place of one thing: the class of that, and their forms."""

    __slots__ = ()


class Kept:
    """A thing that is no number, and that must stay as it is."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept) and is_same(self.thing, other.thing)

    __hash__ = None  # type: ignore[assignment]
