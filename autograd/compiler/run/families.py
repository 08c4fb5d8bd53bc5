"""Which programs may serve other captures: those of the same code, for the same arguments and options."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from autograd.compiler import locks
from autograd.compiler.capture.shared.taped import noted
from autograd.compiler.capture.shared.variants import Alone, Family, Layout, Shared, Variant
from autograd.compiler.capture.signature import Reading
from autograd.compiler.run.collection import seldom_collected
from autograd.compiler.source.identity import reaches_code_that_asks
from autograd.transforms.origin import origin_of

if TYPE_CHECKING:
    from autograd.compiler.run.specialization import Specialization

LONG = 1000  # instructions of a capture with which the next ones are compared; shorter ones compile fast
LONGEST = 1_000_000  # the same: what is known of a longer one takes much memory
MOST_ALONE = 2  # runs of one structure whose own programs are kept
MOST_FAMILIES = 8  # structures of one function for one kind of call; then the one that was found first is dropped
MOST_CALLS = 4  # kinds of calls of one function


@dataclass(eq=False)
class Families:
    """What was captured of the code of a function in calls of one kind.

    Attributes
    ----------
    compared : bool or None
        Whether its runs are compared; None if nothing was captured yet.
    """

    found: tuple[Family, ...] = ()
    compared: bool | None = None
    lock: locks.Lock = field(default_factory=locks.Lock)

    def like(self, variant: Variant) -> Family | None:
        """Those runs that are like one."""
        return next((family for family in self.found if family.first.is_like(variant)), None)

    def noted(self, function: Any, arguments: Reading, given: Sequence[float]) -> Variant | None:
        """What a tape notes of the function; if it cannot note all, later runs are not compared."""
        with seldom_collected():
            found = noted(function, arguments, given, reaches_code_that_asks(function))
        self.compared = found is not None
        return found

    def keep(self, variant: Variant, layout: Layout | None, compiled: Specialization, proven: bool) -> None:
        """Let what was compiled of a run serve later ones: all that differ in a layout, or those that are equal."""
        with self.lock:
            family = self.like(variant)
            if family is None:
                family = Family(variant)
                self.found = (*self.found, family)[-MOST_FAMILIES:]
            if layout is not None:
                family.shared = Shared(variant, layout, compiled.common)
            else:
                family.alone = (*family.alone, Alone(variant, compiled, proven))[-MOST_ALONE:]


_known: WeakKeyDictionary[CodeType, OrderedDict[Hashable, Families]] = WeakKeyDictionary()
_lock = locks.Lock()


def families_of(function: Any, call: Hashable) -> Families | None:
    """What was captured of the code of a function in calls of one kind; None if it has no code of its own."""
    made: list[Hashable] = []
    while True:
        origin = origin_of(function)
        if origin is not None:
            made.append((origin.transform, repr(origin.parameters) if origin.transform != "with_static" else ""))
            function = origin.function
        elif isinstance(function, MethodType):
            function = function.__func__
        elif isinstance(function, partial):
            function = function.func
        else:
            break
    if type(function) is not FunctionType:
        return None
    key = call, tuple(made)
    with _lock:
        calls = _known.setdefault(function.__code__, OrderedDict())
        found = calls.setdefault(key, Families())
        calls.move_to_end(key)
        if len(calls) > MOST_CALLS:
            calls.popitem(last=False)
    return found


def forget() -> None:
    """Let nothing that was compiled so far serve later captures."""
    with _lock:
        _known.clear()
