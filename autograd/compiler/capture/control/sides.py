"""Where a side of a branch, or a step of a loop, is captured: what is supposed there, and what counts there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.watched import Decisions, InTurnError, Reason, UnrollError, Watched
from autograd.ir.block import PREDICATES
from autograd.ir.builder import Predicate
from autograd.modes import current_recorder
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace


MOST_IN_BRANCH = 256  # instructions of both sides, in a single call outside loops: with more, a path runs one side only
MOST_IN_ROWS = 1024  # the same in rows, where a side is skipped that no lane is on
MOST_IN_LOOP = 1024  # instructions of a step
MOST_FURTHER = 8  # calls of a function by itself beyond those of the watched numbers
LARGE = 2.0**40  # numbers are supposed to be below it where the watched ones do not come


class Refused(UnrollError):  # noqa: N818  # it never reaches a user
    """A branch or a loop cannot be part of the program."""

    def __init__(self, why: str, site: Any = None) -> None:
        super().__init__(Reason("branches", why))
        self.why = why
        self.site = site  # which one, if it is not the innermost


def is_for_others(error: Exception, site: Any) -> bool:
    """Whether an error is not one that makes a guard of this branch or loop.

    Code that calls itself without end is captured again without branches, or each level would try twice.
    """
    if isinstance(error, RecursionError):
        return True
    return isinstance(error, Refused) and error.site is not None and error.site is not site


@dataclass
class Side(Decisions):
    """What is supposed where a side of a branch, or a step of a loop, is captured.

    `taken` has the condition of the side. `site` is the branch, `step` tells whether it is a step of a loop, and `real`
    whether the watched numbers come here.
    `most` is how many instructions there may be beyond the first `start`. `further` counts how often a function has
    called itself where the watched numbers do not come.
    """

    site: Any = None
    step: bool = False
    real: bool = True
    start: int = 0
    most: float = inf
    further: int = 0
    supposed: dict[int, bool] = field(default_factory=dict)

    def outcome(self, trace: Watched, predicate: int) -> bool:
        """How a comparison comes out; the program is valid only where it does, or where this side is not taken."""
        around: Any = self
        while around is not None:
            for known in (_implied(trace, around.taken), getattr(around, "supposed", {})):
                if predicate in known:
                    return bool(known[predicate])
            around = around.around
        outcome = _likely(trace, predicate, self.real)
        self.supposed[predicate] = outcome
        holds = trace.predicate(predicate)
        suppose(trace, holds if outcome else holds.negated())
        return outcome


def _implied(trace: Any, taken: Mapping[int, bool]) -> dict[int, bool]:
    """How comparisons come out where others come out as they are `taken`: both parts of an ``and`` are true."""
    known: dict[int, bool] = {}
    waiting = list(taken.items())
    while waiting:
        at, outcome = waiting.pop()
        known[at] = outcome
        op, operands, _ = trace.code[at]
        if op == "not":
            waiting.append((operands[0], not outcome))
        elif op == ("and" if outcome else "or"):
            waiting += [(operand, outcome) for operand in operands]
    return known


def _likely(trace: Any, predicate: int, real: bool) -> bool:
    """How a comparison comes out: where the watched numbers do not come, as for numbers of which nothing is wrong."""
    if is_reached(trace, real):
        return bool(trace.value(predicate))
    op, operands, _ = trace.code[predicate]
    if op in ("==", "!="):
        return bool((op == "!=") != (operands[0] == operands[1]))  # a number differs from nan
    if op == "not":
        return not _likely(trace, operands[0], real)
    if op in ("and", "or"):
        return (all if op == "and" else any)([_likely(trace, operand, real) for operand in operands])
    if op == "<" and (trace.number(operands[1]) or 0.0) >= LARGE:
        return True
    return bool(trace.value(predicate))


def is_reached(trace: Any, real: bool) -> bool:
    """Whether the watched numbers come here; `real` says whether they come to the step that is captured now."""
    here = taken_path(trace)
    return real and (here is None or bool(trace.value(here.index)))


def expected(condition: Any) -> bool:
    """How a comparison comes out that should hold: where the watched numbers do not come, it is supposed to."""
    found = truth_of(condition)
    if found is None or not sides_open():
        return bool(condition)
    trace, truth = found
    if is_reached(trace, getattr(trace.deciding, "real", True)):
        return bool(truth)
    suppose(trace, truth)
    return True


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
        trace.demands.append((wrong, not_supposed))


class Attempt:
    """A `try` whose body is captured: where it raises something that a handler catches."""

    def __init__(self, trace: Any, caught: Sequence[Any]) -> None:
        self.trace, self.caught = trace, caught
        self.raised: dict[int, Predicate] = {}  # by handlers

    def catches(self, trace: Any, error: Exception) -> int | None:
        """Which handler catches an error, if this trace can tell where it is raised."""
        if trace is not self.trace or isinstance(error, (TooDeepError, RecursionError)):
            return None
        return next((k for k, kinds in enumerate(self.caught) if isinstance(error, kinds)), None)

    def note(self, handler: int, condition: Predicate) -> None:
        """Where the present side is taken and this holds, a handler runs, and nothing more of the body."""
        here = taken_path(self.trace)
        where = condition if here is None else here.with_("and", condition)
        before = self.raised.get(handler)
        self.raised[handler] = where if before is None else before.with_("or", where)

    def go_on(self, trace: Any, before: dict[int, Predicate]) -> None:
        """What is captured from now on, to the end of the present side, is taken where nothing was raised."""
        new = {one.index: False for k, one in self.raised.items() if before.get(k) is not one}
        around = trace.deciding
        if new and trace is self.trace:
            trace.deciding = Side((), around, new, None, False, getattr(around, "real", True))


def not_supposed() -> Exception:
    """What is raised if a step of a loop does not do what was supposed."""
    return Refused("a step does not do what the first one does")


def present() -> Trace | None:
    """The capture going on, if it has branches and loops."""
    trace = current_recorder()
    if not isinstance(trace, Watched):
        return None
    root = trace.root()
    return trace if root.maps and root.flows else None


def refuse_spoiled(trace: Any) -> None:
    """Raise if the code asked for the type of a whole number of the program and caught the error, or reads a text."""
    trace.made.clear()  # what else refers to a text has it for good
    if trace.refused is not None:
        raise trace.refused
    if trace.texts.may_be_read():
        raise Refused("a text with numbers in it is read")
    if trace.spoiled:
        raise Refused("the type of a whole number was asked for")


@dataclass(frozen=True)
class Less:
    """What a capture may do after one that failed.

    Ints, and branches and loops of the source, may be part of the program, and texts may be left unread. `in_turn` has
    the maps whose rows run in turn. With `real_bools`, comparisons are guards, and what is counted are ints of Python.
    """

    ints: bool = False
    flows: bool = False
    texts: bool = False
    in_turn: Mapping[int, Reason] = field(default_factory=dict)
    real_bools: bool = False

    def prepare(self, trace: Any) -> None:
        """Let a new capture do no more than this."""
        trace.ints, trace.flows, trace.texts.allowed = self.ints, self.flows, self.texts
        trace.in_turn = dict(self.in_turn)
        trace.real_bools = trace.real_bools or self.real_bools


def with_less(trace: Any, error: Exception) -> Less | None:
    """What a capture may do after one that failed; None if nothing is left that it might not do.

    Python code may not do what it does with numbers of the program; then it does as it is written. That also takes
    fewer calls, one inside the other. Or the rows of one more map run in turn.
    """
    if isinstance(error, InTurnError):
        return Less(trace.ints, trace.flows, trace.texts.allowed, {**trace.in_turn, error.number: error.reason})
    if trace.texts.names:
        return Less(trace.ints, trace.flows)
    if trace.rounded:
        return Less(False, True, trace.texts.allowed)
    fewer = trace.flow or (trace.flows and isinstance(error, (RecursionError, Refused)))
    return Less(real_bools=trace.spoiled) if fewer else None


def size(trace: Any) -> int:
    """How many instructions have been captured, those of steps that are complete included."""
    total = trace.root().spent
    while trace is not None:
        total += len(trace.code)
        trace = trace.parent
    return int(total)


def refuse_long(trace: Any) -> None:
    """Raise if a branch or a loop that is being captured is too long: then the outermost such one stays a guard."""
    found, total = None, size(trace)
    while trace is not None:
        decisions = trace.deciding
        while decisions is not None:
            if isinstance(decisions, Side) and total - decisions.start > decisions.most:
                found = decisions
            decisions = decisions.around
        trace = trace.parent
    if found is not None:
        raise Refused(f"it takes more than {found.most} instructions", found.site)


def sides_open() -> bool:
    """Whether a side is captured now that may not be taken, or a step that is taken several times."""
    trace = current_recorder()
    return isinstance(trace, Watched) and trace.root().sides > 0


class Mark:
    """The state of a capture, to which it returns if a side cannot be captured."""

    def __init__(self, trace: Any) -> None:
        self.states = []
        self.supposed: list[tuple[dict[int, bool], int]] = []  # by the sides that are open, and how much that is
        self.root = trace.root()
        self.refused = self.root.refused
        while trace is not None:
            self.states.append((trace, len(trace.guards), len(trace.demands), set(trace.guarded)))
            decisions = trace.deciding
            while decisions is not None:
                if isinstance(decisions, Side):
                    self.supposed.append((decisions.supposed, len(decisions.supposed)))
                decisions = decisions.around
            trace = trace.parent

    def undo(self) -> None:
        """Forget what was supposed since."""
        self.root.refused = self.refused
        for trace, guards, demands, guarded in self.states:
            del trace.guards[guards:], trace.demands[demands:]
            trace.guarded.intersection_update(guarded)
        for supposed, count in self.supposed:
            while len(supposed) > count:
                supposed.popitem()


def truth_of(condition: Any) -> tuple[Any, Any] | None:
    """The capture and the comparison that a condition is there; None for a plain one."""
    if not isinstance(condition, (Traced, Value)) and not is_predicate(condition):
        return None
    trace = present()
    if trace is None:
        return None
    if not is_predicate(condition):
        condition = condition != 0.0
        if not is_predicate(condition):
            return None
    if condition.builder is not trace:
        condition = truth_at(trace, trace.place(condition))
    return None if trace.is_decided(condition.index) else (trace, condition)


def truth_at(trace: Any, place: int) -> Any:
    """The truth that is 1 or 0 in another place, in a carry or in the program around."""
    found = trace.emit("!=", (place, trace.constant(0.0)))
    trace.truths.add(found)
    return trace.predicate(found)


def is_predicate(thing: Any) -> bool:
    """Whether a thing is a comparison of the program; it calls itself a bool."""
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


EXACT = frozenset(  # operations of which machine code has the same bits as eager code
    [
        *("abs", "add", "ceil", "constant", "copysign", "div", "floor", "floordiv", "fmod", "input", "max", "min"),
        *("mod", "mul", "neg", "pack", "pos", "read", "relu", "remainder", "rint", "round", "select", "sign", "sqrt"),
        *("stop", "sub", "table", "trunc", "where"),
        *PREDICATES,
    ]
)


def compares_rounded(trace: Any, condition: int) -> bool:
    """Whether numbers are compared by ``==`` that machine code may round in another way than eager code.

    Such a comparison is a guard: it settles what eager code says.
    """
    code, known = trace.code, trace.truths
    found = [at for at in _among(code, condition, PREDICATES) if code[at].op in ("==", "!=") and at not in known]
    seen, stack = set(found), [operand for equal in found for operand in code[equal].operands]
    while stack:
        at = stack.pop()
        op, operands, _ = code[at]
        if op == "item" and at in trace.wholes:
            continue  # an int that a loop has counted
        if op not in EXACT:
            return True
        following = (
            operands[1:] if op in ("select", "where") else operands
        )  # which side it is may be near a tie, as for any branch
        stack += [o for o in following if o not in seen]
        seen.update(following)
    return False


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


def in_step(trace: Any) -> bool:
    """Whether a step of a loop is captured, in which a guard would need the same outcome each time."""
    decisions = trace.deciding
    while decisions is not None:
        if getattr(decisions, "step", False):
            return True
        decisions = decisions.around
    return trace.parent is not None and not trace.rows_branch


def outermost(trace: Any, site: Any) -> Side | None:
    """The outermost side of this branch that is captured now, if there is one: then a function calls itself."""
    found = None
    while trace is not None:
        decisions = trace.deciding
        while decisions is not None:
            if isinstance(decisions, Side) and decisions.site is site:
                found = decisions
            decisions = decisions.around
        trace = trace.parent
    return found


class TooDeepError(Exception):
    """A function calls itself where the watched numbers do not come: the side that does so is supposed not to be taken.

    It is like any error of the code in a side, and never reaches a user.
    """


def refuse_deep(trace: Any, site: Any) -> None:
    """In a function that calls itself, raise unless this call of it may have both sides of a branch, too.

    It does where the watched numbers come, and some calls further; a row that goes deeper takes another path.
    """
    first = outermost(trace, site)
    if first is None:
        return
    if site in trace.root().too_deep:
        raise Refused("the function calls itself")
    if is_reached(trace, getattr(trace.deciding, "real", True)):
        return
    first.further += 1
    if first.further > MOST_FURTHER:
        raise TooDeepError
