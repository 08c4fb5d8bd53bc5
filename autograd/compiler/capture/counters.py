"""Plain numbers that the rows of a map, or the steps of a loop, change: what one run leaves would stand for all.

In Python a counter has another number in each row. So the rows run one by one, if the counter is of the call; of one
from outside, which is counted up when the function is traced, nothing else may be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.watch import cell_of, own_attributes
from autograd.sources import instructions

NUMBERS = (int, float, bool)
WIDEST = 64  # elements of a container that are looked at
LARGEST = 4096  # elements of an array
COPIES = ("COPY", "DUP_TOP", "DUP_TOP_TWO", "SWAP")  # before the read of ``x.n += 1``
ELEMENT = "an element of a "


class Counter(NamedTuple):
    """Where a plain number is: in a variable, an attribute or an element of an owner."""

    owner: Any
    kind: type | None  # of attributes and variables None
    key: Any

    @property
    def told(self) -> str:
        """What a user is told."""
        return f"{ELEMENT}{self.kind.__name__}" if self.kind is not None else f"`{self.key}`"


Counters = dict[tuple[int, Any], tuple[Counter, Any]]


class Reached:
    """What a row or a step may use, and attributes of it, when it begins; `loops` maps and loops have begun before."""

    def __init__(self, things: Sequence[Any], names: set[str], loops: int) -> None:
        self.things, self.names, self.loops = things, names, loops
        self.before = self.numbers()

    def numbers(self) -> Counters:
        """The plain numbers there, as they are now."""
        found = [pair for thing in self.things for pair in _of_thing(thing, self.names) if type(pair[1]) in NUMBERS]
        return {(id(counter.owner), counter.key): (counter, number) for counter, number in found}


def _of_thing(thing: Any, names: set[str]) -> Iterator[tuple[Counter, Any]]:
    kind = type(thing)
    if kind is FunctionType:
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or ()):
            yield from ((Counter(cell, None, name), x) for x in cell_of(cell))
    elif kind in (list, dict):
        if len(thing) <= WIDEST:
            yield from ((Counter(thing, kind, k), x) for k, x in (thing.items() if kind is dict else enumerate(thing)))
    elif kind is np.ndarray:
        if thing.dtype.kind in "fiub" and thing.size <= LARGEST:
            yield from ((Counter(thing, kind, k), x) for k, x in enumerate(thing.ravel().tolist()))
    else:
        own = own_attributes(thing)
        yield from ((Counter(thing, None, name), own[name]) for name in names if name in own)


def changed(before: Counters, now: Counters) -> list[Counter]:
    """The numbers that are others now."""
    both = [(now[at], number) for at, (_, number) in before.items() if at in now]
    return [counter for (counter, number), was in both if type(number) is not type(was) or repr(number) != repr(was)]


def is_read(counter: Counter, functions: Sequence[FunctionType]) -> bool:
    """Whether code of these functions may do more with a number than count it up."""
    return any(_reads(function.__code__, counter) for function in functions)


def _reads(code: CodeType, counter: Counter) -> bool:
    found = [one for one in instructions(code) if one.opname not in ("CACHE", "EXTENDED_ARG")]
    pairs = [(before, one) for before, one in pairwise(found) if before.opname not in COPIES]
    if counter.kind is None:
        reads = any(one.opname in ("LOAD_ATTR", "LOAD_METHOD") and one.argval == counter.key for _, one in pairs)
    else:
        keys = [before for before, one in pairs if one.opname == "BINARY_SUBSCR" or one.argrepr == "[]"]
        reads = any("CONST" not in key.opname or key.argval == counter.key for key in keys)
    return reads or any(_reads(inner, counter) for inner in code.co_consts if isinstance(inner, CodeType))
