"""What rewritten functions call while they are captured: branches and loops that become part of the program.

On plain numbers all of this does what Python does. Where a condition is a number of the program, both sides of a branch
are captured, each under its condition, and a selection of their results follows. A loop is captured once. What a side
compares besides is supposed to come out as it does now; the program is valid only where it does, or where the side is
not taken. Whatever cannot be captured so is left to Python, in which a condition is a guard.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.compiler.capture.branches import path
from autograd.compiler.capture.maps import finished
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.watched import Decisions, Reason, UnrollError, Watched
from autograd.compiler.source.functions import inner_function, new_code, with_code
from autograd.compiler.source.jumps import FLOW
from autograd.compiler.source.rewrite import Rewritten, Site
from autograd.ieee import to_float
from autograd.ir.block import PREDICATES, STEPS, calls_python
from autograd.ir.builder import LoopBuilder, Predicate
from autograd.modes import PACKAGES, current_recorder
from autograd.rules import where
from autograd.transforms.origin import origin_of
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace

ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip  # a table
MOST_EXACT = 2**53  # up to here, all whole numbers are floats


class Refused(UnrollError):  # noqa: N818  # it never reaches a user
    """A branch or a loop cannot be part of the program."""

    def __init__(self, why: str) -> None:
        super().__init__(Reason("branches", why))
        self.why = why


class Sentinel:
    """What a name has that has no value."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


UNBOUND = Sentinel("unbound")  # a variable of the user's that is not bound
NOTHING = Sentinel("nothing")  # what a loop returns that has not returned


@dataclass
class Side(Decisions):
    """What is supposed where a side of a branch, or a step of a loop, is captured.

    `taken` has the condition of the side. `site` is the branch; `real` tells whether the watched numbers come here.
    """

    site: Any = None
    real: bool = True
    supposed: dict[int, bool] = field(default_factory=dict)

    def outcome(self, trace: Watched, predicate: int) -> bool:
        """How a comparison comes out; the program is valid only where it does, or where this side is not taken."""
        around: Any = self
        while around is not None:
            for known in (around.taken, getattr(around, "supposed", {})):
                if predicate in known:
                    return bool(known[predicate])
            around = around.around
        outcome = _likely(trace, predicate, self.real)
        self.supposed[predicate] = outcome
        holds = trace.predicate(predicate)
        suppose(trace, holds if outcome else holds.negated())
        return outcome


def _likely(trace: Any, predicate: int, real: bool) -> bool:
    """How a comparison comes out: where the watched numbers do not come, as for numbers of which nothing is wrong."""
    here = taken_path(trace)
    if real and (here is None or bool(trace.value(here.index))):
        return bool(trace.value(predicate))
    op, operands, _ = trace.code[predicate]
    if op in ("==", "!="):
        return bool(op == "!=")
    if op == "not":
        return not _likely(trace, operands[0], real)
    if op == "<" and trace.number(operands[1]) == inf:
        return True
    return bool(trace.value(predicate))


def taken_path(trace: Any) -> Any:
    """The truth that the present side is taken, as far as this trace knows; None if it is in any case."""
    found: Predicate | None = None
    decisions = trace.deciding
    while decisions is not None:
        for at, outcome in decisions.taken.items():
            one = trace.predicate(at)
            one = one if outcome else one.negated()
            found = one if found is None else found.with_("and", one)
        decisions = decisions.around
    return found


def suppose(trace: Any, holds: Any) -> None:
    """Let the program be valid only where this holds, or where the present side is not taken."""
    here = taken_path(trace)
    wrong = holds.negated() if here is None else here.with_("and", holds.negated())
    right = wrong.negated()
    if trace.code[right.index].op == "constant":
        if not trace.code[right.index].data:
            raise Refused("what it supposes never holds")
        return
    if trace.parent is None or trace.rows_branch:
        if not trace.value(right.index):
            raise Refused("what it supposes does not hold")
        if right.index not in trace.guarded:
            trace.note_guard(right.index, True)
    else:
        trace.demands.append((wrong, _not_supposed))


def _not_supposed() -> Exception:
    return Refused("a step does not do what the first one does")


def present() -> Trace | None:
    """The capture going on, if it has branches and loops."""
    trace = current_recorder()
    if not isinstance(trace, Watched):
        return None
    root = trace.root()
    return trace if root.maps and root.flows else None  # type: ignore[return-value]


def was_used(trace: Any) -> bool:
    """Whether any branch or loop of the source became part of the program: if its capture fails, Python decides."""
    return any(why is None for why in trace.flow.values())


def sides_open() -> bool:
    """Whether a side is captured now that may not be taken, or a step that is taken several times."""
    trace = current_recorder()
    return isinstance(trace, Watched) and trace.root().sides > 0


class Mark:
    """The state of a capture, to which it returns if a side cannot be captured."""

    def __init__(self, trace: Any) -> None:
        self.states = []
        while trace is not None:
            self.states.append((trace, len(trace.guards), len(trace.demands), set(trace.guarded)))
            trace = trace.parent

    def undo(self) -> None:
        """Forget what was supposed since."""
        for trace, guards, demands, guarded in self.states:
            del trace.guards[guards:], trace.demands[demands:]
            trace.guarded.intersection_update(guarded)


@contextmanager
def under(trace: Any, site: Any, condition: int | None = None, outcome: bool = True) -> Iterator[None]:
    """Capture a side of a branch in the `with` block."""
    around, root = trace.deciding, trace.root()
    taken = {} if condition is None else {condition: outcome}
    trace.deciding = Side((), around, taken, site, getattr(around, "real", True))
    root.sides += 1
    try:
        yield
    finally:
        trace.deciding = around
        root.sides -= 1


def truth_of(condition: Any) -> tuple[Any, Any] | None:
    """The capture and the comparison that a condition is there; None for a plain one."""
    if not isinstance(condition, (Traced, Value)) and not _is_predicate(condition):
        return None
    trace = present()
    if trace is None:
        return None
    if not _is_predicate(condition):
        condition = condition != 0.0
        if not _is_predicate(condition):
            return None
    if condition.builder is not trace:
        condition = _truth(trace, trace.place(condition))
    if trace.code[condition.index].op == "constant":
        return None
    return trace, condition


def _is_predicate(thing: Any) -> bool:
    return issubclass(type(thing), Predicate)


def branches(trace: Any, condition: int) -> bool:
    """Whether a condition makes a branch here, and not a guard: in rows, in steps, and in sides of other branches.

    In a single call, outside loops, only one side of a branch runs, so a guard is faster. So is one for a condition
    that is the same in all steps of a loop there.
    """
    while trace.parent is not None and not trace.rows_branch and not _has_condition(trace.deciding):
        shared = trace.hoist(condition)
        if shared is None:
            return True
        trace, condition = trace.parent, shared
    return trace.parent is not None or isinstance(trace.deciding, Side)


EXACT = frozenset(
    [*("abs", "add", "ceil", "div", "floor", "input", "constant", "floordiv", "mod", "mul", "neg", "pos", "read", "rint", "select"),
     *("sign", "sqrt", "stop", "sub", "trunc", "max", "min", "relu", "table", "pack", *PREDICATES)]
)  # fmt: skip  # a list of words


def compares_rounded(trace: Any, condition: int) -> bool:
    """Whether numbers are compared by ``==`` that machine code may round in another way than eager code.

    Such a comparison is a guard: it settles what eager code says.
    """
    code, known = trace.code, trace.truths
    found = [at for at in _among(code, condition, PREDICATES) if code[at].op in ("==", "!=") and at not in known]
    return any(code[at].op not in EXACT for equal in found for at in trace.needed(equal, ()))


def _among(code: Any, value: int, kinds: Any) -> list[int]:
    """The values that a value depends on by operations of some kinds only, and itself."""
    found = [value]
    for at in found:
        found += [o for o in code[at].operands if code[o].op in kinds and o not in found]
    return found


def _has_condition(decisions: Any) -> bool:
    while decisions is not None:
        if decisions.taken:
            return True
        decisions = decisions.around
    return False


def is_open(trace: Any, site: Any) -> bool:
    """Whether a side of this branch is captured now: then a function calls itself."""
    while trace is not None:
        decisions = trace.deciding
        while decisions is not None:
            if getattr(decisions, "site", None) is site and site is not None:
                return True
            decisions = decisions.around
        trace = trace.parent
    return False


# ---- values: what two sides, or two steps, have in common --------------------------------------------------------


def is_number(thing: Any) -> bool:
    """Whether a thing is a number, of the program or not, and no truth."""
    if isinstance(thing, Value):
        return True
    kind = type(thing)
    return kind is float or kind is int or (isinstance(thing, (np.floating, np.integer)))


def is_truth(thing: Any) -> bool:
    """Whether a thing is a bool, or stands for one."""
    return type(thing) is bool or _is_predicate(thing) or isinstance(thing, np.bool_)


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
    if type(thing) is int and abs(thing) > MOST_EXACT:
        raise Refused("a whole number is larger than 2**53")
    return int(trace.place(thing if isinstance(thing, Value) else to_float(thing)))


def truth_place(trace: Any, thing: Any) -> Any:
    """A truth of the program."""
    if not _is_predicate(thing):
        return trace.predicate(trace.truth_constant(bool(thing)))
    if thing.builder is trace:
        return thing
    return _truth(trace, trace.place(thing))


def _truth(trace: Any, place: int) -> Any:
    """The truth that is 1 or 0 in another place, in a carry or in the program around."""
    found = trace.emit("!=", (place, trace.constant(0.0)))
    trace.truths.add(found)
    return trace.predicate(found)


def merged(trace: Any, condition: Any, one: Any, other: Any, what: str) -> Any:
    """What a name has after a branch: one thing where the condition holds, another where it does not."""
    if is_same(one, other):
        return one
    if one is NOTHING or other is NOTHING:
        return other if one is NOTHING else one
    if one is UNBOUND or other is UNBOUND:
        raise Refused(f"{what} may be unbound")
    if is_truth(one) and is_truth(other):
        if not (_is_predicate(one) or _is_predicate(other)):
            return condition if one else condition.negated()
        return _merged_truths(trace, condition, one, other)
    if is_number(one) and is_number(other):
        if type(one) is int or type(other) is int:
            trace.root().whole_numbers = True
        places = number_place(trace, one), number_place(trace, other)
        return trace.wrap(trace.emit("select", (condition.index, *places)))
    if type(one) is tuple and type(other) is tuple and len(one) == len(other):
        return tuple([merged(trace, condition, x, y, what) for x, y in zip(one, other)])
    raise Refused(f"{what} is no number: {type(one).__name__} or {type(other).__name__}")


def _merged_truths(trace: Any, condition: Any, one: Any, other: Any) -> Any:
    if not _is_predicate(one):
        rest = truth_place(trace, other)
        return condition.with_("or", rest) if one else condition.negated().with_("and", rest)
    yes = truth_place(trace, one)
    if not _is_predicate(other):
        return condition.negated().with_("or", yes) if other else condition.with_("and", yes)
    return condition.with_("and", yes).with_("or", condition.negated().with_("and", truth_place(trace, other)))


# ---- what is called ----------------------------------------------------------------------------------------------


def followed(function: Any) -> Any:
    """A function as it is to be called in a capture: rewritten, if it is one in Python that can be."""
    if present() is None:
        return function
    if isinstance(function, FunctionType):
        found, flow = new_code(function, Flow)
        return function if found is None else with_code(function, found, flow)
    if isinstance(function, MethodType) and isinstance(function.__func__, FunctionType):
        inner = followed(function.__func__)
        return function if inner is function.__func__ else MethodType(inner, function.__self__)
    if type(function) is partial:
        inner = followed(function.func)
        return function if inner is function.func else partial(inner, *function.args, **function.keywords)
    return function


PURE = frozenset(
    [
        *(abs, all, any, bool, complex, divmod, enumerate, float, getattr, hasattr, hash, id, int, isinstance),
        *(issubclass, len, list, max, min, pow, range, repr, reversed, round, sorted, str, sum, tuple, type, zip),
        *(dict, frozenset, map, slice, format, ord, chr),
    ]
)
PURE_MODULES = frozenset({"_operator", "cmath", "math", "operator"})
OWN_PURE = ("autograd.math", "autograd.adoption", "autograd.value", "autograd.rules", "autograd.special")
TRANSFORMS = "autograd.transforms"
METHODS = frozenset(
    ["as_integer_ratio", "bit_length", "conjugate", "count", "get", "hex", "index", "is_integer", "items", "keys"]
    + ["values", "format", "join", "startswith", "endswith", "lower", "upper", "strip", "split", "replace", "copy"]
)


def impure(thing: Any) -> str | None:
    """Why a call of a thing may do more than compute a result; None if it does not."""
    kind = type(thing)
    if isinstance(thing, type):
        pure = thing in PURE or issubclass(thing, BaseException) or thing.__module__ in PURE_MODULES
        return None if pure else f"it makes a {thing.__name__}"
    if kind is np.ufunc:
        return None
    if kind is BuiltinFunctionType or not isinstance(thing, (FunctionType, MethodType, partial)):
        return _impure_builtin(thing)
    if isinstance(thing, MethodType) and isinstance(thing.__self__, Value):
        return None
    function = inner_function(thing)
    if function is None:
        return f"it calls {thing!r:.40}"
    if function.__code__.co_filename.startswith(PACKAGES):
        return _impure_own(function)
    if FLOW in function.__code__.co_freevars:
        return None  # it was made here, and looked at before
    found, _ = new_code(function, Flow)
    if found is None:
        return f"it calls {function.__qualname__}, whose source is not there or is not of the class"
    return None if found.impure is None else f"it calls {function.__qualname__}: {found.impure}"


def _impure_builtin(thing: Any) -> str | None:
    if type(thing) is BuiltinFunctionType:
        own = getattr(thing, "__self__", None)
        if isinstance(own, ModuleType) or own is None:
            pure = thing in PURE or thing.__module__ in PURE_MODULES
        else:
            pure = isinstance(own, Value) or thing.__name__ in METHODS
        return None if pure else f"it calls {thing.__name__}"
    if type(thing).__module__.startswith("autograd") and str(getattr(thing, "__module__", "")).startswith(OWN_PURE):
        return None
    inner = getattr(thing, "function", None)
    if type(thing).__module__.startswith("autograd.compiler") and callable(inner):
        return impure(inner)
    return f"it calls {getattr(thing, '__name__', type(thing).__name__)}"


def _impure_own(function: FunctionType) -> str | None:
    origin = origin_of(function)
    if origin is not None:
        return impure(origin.function)
    module = function.__module__ or ""
    pure = module.startswith((*OWN_PURE, TRANSFORMS)) or function.__code__.co_filename.startswith(PACKAGES[0]) and (
        module.startswith("autograd.compiler.capture.flow")
    )
    return None if pure else f"it calls {function.__qualname__}"


class Checked:
    """A function that takes functions, called where a side is captured: they must be pure too."""

    __slots__ = ("function",)

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **options: Any) -> Any:
        for x in (*args, *options.values()):
            if callable(x) and not isinstance(x, (type, Value)) and (why := impure(x)) is not None:
                raise Refused(why)
        return self.function(*args, **options)


class Flow:
    """What the code of one function calls."""

    nothing = NOTHING

    def __init__(self, code: Rewritten) -> None:
        self.sites = code.sites
        self.told = code.code

    # ---- statements ------------------------------------------------------------------------------------------

    def returned(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        """An `if` with which the function ends: its result."""
        return self._chosen(number, condition, lambda: then(*given), lambda: otherwise(*given))

    def choose(self, number: int, condition: Any, then: Any, otherwise: Any) -> Any:
        """``then if condition else otherwise``."""
        return self._chosen(number, condition, then, otherwise)

    def _chosen(self, number: int, condition: Any, then: Any, otherwise: Any) -> Any:
        return self._branch(number, condition, then, otherwise, lambda *given: merged(*given, "the result"))

    def branch(self, number: int, condition: Any, then: Any, otherwise: Any, given: tuple[Any, ...]) -> Any:
        """``if condition``: what the names have after it."""
        names = self.sites[number].names

        def together(trace: Any, truth: Any, one: Any, other: Any) -> Any:
            return tuple([merged(trace, truth, x, y, word) for x, y, word in zip(one, other, names)])

        return self._branch(number, condition, lambda: then(*given), lambda: otherwise(*given), together)

    def _branch(self, number: int, condition: Any, then: Any, otherwise: Any, together: Any) -> Any:
        """The results of both sides together if they can be captured, or else the result of one."""
        found = truth_of(condition)
        if found is None:
            return then() if condition else otherwise()
        trace, truth = found
        site = self.sites[number]
        if not branches(trace, truth.index):
            self.note(trace, site, "a single call runs one side only")
            return then() if condition else otherwise()
        if is_open(trace, site):
            raise Refused("the function calls itself")
        mark = Mark(trace)
        try:
            if compares_rounded(trace, truth.index):
                raise Refused("it compares rounded numbers by ==")
            one, other = self._sides(trace, truth, site, then, otherwise)
            if one is other is None:
                raise Refused("both sides raise")
            if one is None or other is None:
                (result,) = other if one is None else one
                suppose(trace, truth.negated() if one is None else truth)
            else:
                result = together(trace, truth, one[0], other[0])
        except Exception as error:  # whatever Python code raises: then Python decides
            mark.undo()
            self.note(trace, site, _why(error))
            return then() if condition else otherwise()
        self.note(trace, site)
        return result

    def _sides(self, trace: Any, truth: Any, site: Site, then: Any, otherwise: Any) -> list[Any]:
        """The results of both sides, each in a tuple; None for one that raises."""
        found: list[Any] = []
        for side, outcome in ((then, True), (otherwise, False)):
            mark, before = Mark(trace), len(trace.code)
            try:
                with under(trace, site, truth.index, outcome):
                    found.append((side(),))
            except Refused:
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
                self.note(trace, site, _why(error))
                break
            self.note(trace, site)
            return carry
        while test(*carry):
            carry = step(*carry)
        return carry

    def _compiled(self, trace: Any, site: Site, test: Any, step: Any, carry: tuple[Any, ...], begins: Any) -> Any:
        """The last carry of a loop of the program; `begins` says whether it takes a step, None that it does."""
        if is_open(trace, site):
            raise Refused("the function calls itself")
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
        steps = Steps(trace, site, goes, carry)
        child, before = steps.child, steps.before
        with steps.open():
            after = Carry(child, site.names, following := steps.run(step))
            before.check(after)
            outcome = test(*following)
            truth = truth_of(outcome)
            going = child.predicate(child.truth_constant(bool(outcome))) if truth is None else truth[1]
            goes_on = child.place(steps.supposed(going))
        if calls_python(child.code):
            raise Refused("it calls a rule written in Python")
        count = child.emit("add", (steps.made.counter, child.constant(1.0)))
        loop = finished(trace, steps.made, [goes_on, count, *after.places], [])
        last = [trace.emit("item", (loop,), 2 + k) for k in range(len(before.places))]
        if before.whole:
            trace.root().whole_numbers = True
        return before.rebuilt(trace, last)

    # ---- expressions -----------------------------------------------------------------------------------------

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
        found = truth_of(value) if _is_predicate(value) else None
        if found is None:
            return NOTHING
        trace, truth = found
        if not branches(trace, truth.index):
            return NOTHING
        mark, before = Mark(trace), len(trace.code)
        try:
            with under(trace, None, truth.index, ands):
                other = later()
            if not is_truth(other) or calls_python(trace.code[before:]):
                raise Refused("what is combined is no comparison")
            return truth.with_(site.kind, truth_place(trace, other))
        except Exception:
            mark.undo()
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

    def negated(self, value: Any) -> Any:
        """``not value``."""
        found = truth_of(value) if _is_predicate(value) else None
        if found is None or not branches(found[0], found[1].index):
            return not value
        return found[1].negated()

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
    def immutable(value: Any) -> None:
        """In a side, ``x += y`` may not change the thing itself."""
        if sides_open() and not (is_number(value) or is_truth(value) or type(value) in (tuple, str, complex)):
            raise Refused(f"it changes a {type(value).__name__} in place")

    @staticmethod
    def owner(thing: Any, name: str) -> Any:
        """In a side, to read an attribute must not run code."""
        if sides_open() and not isinstance(thing, (ModuleType, Value, float, int)):
            kind = type(thing)
            found = next((vars(c)[name] for c in kind.__mro__ if name in vars(c)), None)
            if found is None and name not in getattr(thing, "__dict__", ()) and not isinstance(thing, type):
                raise Refused(f"it reads the attribute {name} of a {kind.__name__}")
            if isinstance(found, property) or hasattr(type(found), "attrname"):
                raise Refused(f"it reads the property {name} of a {kind.__name__}")
        return thing

    @staticmethod
    def container(thing: Any) -> Any:
        """In a side, to read an element must not run code."""
        if sides_open() and type(thing) not in (list, tuple, dict, str, bytes, range, np.ndarray):
            raise Refused(f"it reads an element of a {type(thing).__name__}")
        return thing

    @staticmethod
    def iterated(thing: Any) -> Any:
        """In a side, a loop must not use up anything."""
        if sides_open() and type(thing) not in ITERATED:
            raise Refused(f"it goes through a {type(thing).__name__}")
        return thing

    @staticmethod
    def called(function: Any) -> Any:
        """A function as it is to be called."""
        trace = present()
        if trace is None:
            return function
        if function in (min, max):
            return partial(_best, function)
        if trace.root().sides and (why := impure(function)) is not None:
            raise Refused(why)
        if trace.root().whole_numbers and function in (isinstance, type):
            return partial(_asked, function)
        new = followed(function)
        if trace.root().sides and new is function and not isinstance(function, type):
            return Checked(function)
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


ITERATED = (
    list, tuple, dict, str, range, zip, enumerate, reversed, map, type({}.keys()), type({}.values()), type({}.items()),
    np.ndarray,
)  # fmt: skip  # a list


def _why(error: Exception) -> str:
    if isinstance(error, UnrollError):
        return error.reason.told
    return f"{type(error).__name__}: {error}"


def _is_missing(thing: Any) -> bool:
    return thing is UNBOUND or thing is NOTHING


def _is_real(trace: Any, goes: int) -> bool:
    """Whether the watched numbers take a step."""
    return getattr(trace.deciding, "real", True) and bool(trace.value(goes))


def _best(function: Any, *things: Any, **options: Any) -> Any:
    """`max` or `min`; of numbers of the program, it is a choice and no guard."""
    numbers = things[0] if len(things) == 1 and type(things[0]) in (list, tuple) else things
    if options or len(numbers) < 2 or not all(map(is_number, numbers)) or not any(isinstance(x, Value) for x in numbers):
        return function(*things, **options)
    best = numbers[0]
    for x in numbers[1:]:
        best = where(x > best if function is max else x < best, x, best)
    return best


def _asked(function: Any, *things: Any) -> Any:
    """`isinstance` or `type` where a number of the program may stand for an int."""
    if things and isinstance(things[0], Traced):
        raise Refused("a whole number is part of the program, and its type is asked for")
    return function(*things)


def blank(thing: Any, then: Any) -> Any:
    """A thing; in place of one that is missing, a thing like the one of the next step, with zeros."""
    if not _is_missing(thing) or _is_missing(then):
        return thing
    if is_number(then):
        return 0.0
    if is_truth(then):
        return False
    return tuple([blank(NOTHING, x) for x in then]) if type(then) is tuple else then


class Steps:
    """The steps of a loop that is captured: a program in the program."""

    def __init__(self, trace: Trace, site: Site, goes: int, carry: Sequence[Any]) -> None:
        self.trace = trace
        self.made = LoopBuilder(trace, child := trace.inner(), STEPS, test=True)
        self.made.carry(goes)
        self.made.carry(trace.constant(0.0))
        self.child, self.before = child, Carry(trace, site.names, carry)
        self.numbers = [self.made.carry(place) for place in self.before.places]
        child.deciding = Side((), None, {}, site, _is_real(trace, goes))

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
        if all(error is _not_supposed for _, error in wrong):
            self.child.demands = [(any_wrong, _not_supposed)]
        return going.with_("and", any_wrong.negated())


class Carry:
    """The names that one step of a loop hands to the next, as numbers of a program."""

    def __init__(self, trace: Any, names: Sequence[str], values: Sequence[Any]) -> None:
        self.trace, self.names = trace, names
        self.places: list[int] = []
        self.whole = False
        self.forms = [self._form(value) for value in values]

    def _form(self, value: Any) -> Any:
        if is_truth(value):
            self.places.append(self.trace.place(truth_place(self.trace, value)))
            return "truth"
        if is_number(value):
            self.whole = self.whole or type(value) is int
            self.places.append(number_place(self.trace, value))
            return "number"
        if type(value) is tuple:
            return tuple([self._form(x) for x in value])
        return Kept(value)

    def rebuilt(self, trace: Any, places: Sequence[int]) -> tuple[Any, ...]:
        """The values, with other numbers of a program."""
        left = iter(places)

        def build(form: Any) -> Any:
            if form == "truth":
                return _truth(trace, next(left))
            if form == "number":
                return trace.wrap(next(left))
            return form.thing if isinstance(form, Kept) else tuple([build(x) for x in form])

        return tuple([build(form) for form in self.forms])

    def check(self, after: Carry) -> None:
        """Raise unless the next carry has the same structure."""
        for word, one, other in zip(self.names, self.forms, after.forms):
            if one != other:
                raise Refused(f"{word} does not stay a number, or of the same structure")


class Kept:
    """A thing that is no number, and that must stay as it is."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept) and is_same(self.thing, other.thing)

    __hash__ = None  # type: ignore[assignment]
