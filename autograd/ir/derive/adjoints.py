"""Adjoints of arrays in a reverse sweep: messages to their elements are added in place."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from autograd.ir.block import Array
from autograd.ir.builder import Builder
from autograd.ir.derive.derived_loop import name_finished
from autograd.ir.memory import roots

DENSE = 4  # an array of which one element in so many has a message is packed; a sparser one is zeros with additions


@dataclass
class Total:
    """The adjoint of an array while its messages arrive.

    Attributes
    ----------
    elements : dict
        Offset → the sum of the messages to that element.
    whole : int or None
        The message to the whole array that came first. It may be used elsewhere, so nothing is added to it.
    sum : int or None
        An array of this sweep's own, into which messages are added.
    make : callable or None
        Makes that array when it is needed; zeros if there is none.
    covered : bool
        Whether each element has a message in `sum`.
    """

    elements: dict[int, int] = field(default_factory=dict)
    whole: int | None = None
    sum: int | None = None
    make: Callable[[], int] | None = None
    covered: bool = False


@dataclass(eq=False)
class Coverage:
    """Whether each element of some memory that is read has a message; assumed until a message may be missing."""

    assumed: bool = True
    broken: bool = False


@dataclass(eq=False)
class Memory:
    """The adjoint of an array that steps read and add to. It never shrinks, so one array serves all its states.

    Attributes
    ----------
    kind : Array
        Its type.
    current : int or None
        The array of adjoints, with the messages that came so far.
    make : callable or None
        Makes that array when it is needed; zeros if there is none.
    covered : Coverage
        Whether elements that are read later have messages.
    """

    kind: Array
    current: int | None = None
    make: Callable[[], int] | None = None
    covered: Coverage = field(default_factory=lambda: Coverage())


def without(memories: Mapping[int, Memory], doubtful: Container[int]) -> dict[int, Memory]:
    """The same memories before a sweep, in which some may have elements without a message."""
    new: dict[int, Memory] = {}
    for memory in memories.values():
        assumed = memory.covered.assumed and id(memory.covered) not in doubtful
        new.setdefault(id(memory), Memory(memory.kind, covered=Coverage(assumed)))
    return {array: new[id(memory)] for array, memory in memories.items()}


def memories_of(builder: Builder, active: Iterable[int], covered: Coverage | None) -> dict[int, Memory]:
    """The memory of a block, each array with one adjoint for all its states."""
    found: dict[int, Memory] = {}
    name_finished(builder, active)
    states = roots(builder.code, active)
    for array, root in states.items():
        kind = builder.type_of(root)
        assert isinstance(kind, Array)
        found[array] = found[root] if root in found else Memory(kind, covered=covered or Coverage())
    return found


def by_memory(memories: Mapping[int, Memory]) -> list[list[int]]:
    """The states of each array."""
    groups: dict[int, list[int]] = {}
    for array, memory in memories.items():
        groups.setdefault(id(memory), []).append(array)
    return list(groups.values())
