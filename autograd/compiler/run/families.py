"""Programs that captures share: those of the same code, for the same signature and options."""

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

FEWEST_COMPARED = 1000  # instructions; later captures are not compared with a shorter one, which compiles fast
MOST_COMPARED = 1_000_000  # instructions; nor with a longer one, whose notes take much memory
MOST_ALONE = 2  # programs for one run each that a family keeps
MOST_FAMILIES = 8  # of one function for one kind of call; then the oldest is dropped
MOST_CALLS = 4  # kinds of calls of one function; then the one that was not used for longest is dropped


@dataclass(eq=False)
class Families:
    """The families of programs of one function, for one kind of call.

    Attributes
    ----------
    found : tuple of Family
        The families, the oldest first.
    compared : bool or None
        Whether runs are compared with earlier ones; None before the first capture.
    """

    found: tuple[Family, ...] = ()
    compared: bool | None = None
    lock: locks.Lock = field(default_factory=locks.Lock)

    def like(self, variant: Variant) -> Family | None:
        """The family of the runs that differ from this one at most in what a table holds; None if there is none."""
        return next((family for family in self.found if family.first.is_like(variant)), None)

    def noted(self, function: Any, arguments: Reading, given: Sequence[float]) -> Variant | None:
        """What a tape notes of a run of the function; None if it cannot note all: then later runs are not compared."""
        with seldom_collected():
            found = noted(function, arguments, given, reaches_code_that_asks(function))
        self.compared = found is not None
        return found

    def keep(self, variant: Variant, layout: Layout | None, compiled: Specialization, proven: bool) -> None:
        """Let a compiled run serve later ones: those that differ only in the layout; without a layout, equal ones."""
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
    """The families of a function for one kind of call; None if the function is not written in Python.

    Functions of the same code and the same transforms share them.
    """
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
    """Forget all families, so that later captures share nothing with earlier ones."""
    with _lock:
        _known.clear()
