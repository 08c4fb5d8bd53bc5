"""Rolling: a flat list of statements goes in, nested loops come out.

Nested loop recognition after A. Ketterlin and P. Clauss, "Prediction and trace compression of data access through
nested loop recognition", CGO 2008. A statement has a shape and a vector of numbers. The trace is read once and kept as
a stack. After each push, if the last three groups of k statements have equal shapes and their vectors advance by equal
differences, they become a loop of three steps; a group that is the next step of the loop before it extends that loop.
A loop is a statement again, so nests grow by themselves.

What is left is read once more, in search of bodies that are as long as its length allows: the time for that is bounded.

Nothing is extrapolated: `unroll(roll(trace))` is the trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import add
from typing import NamedTuple

LONGEST = 64  # statements in the body of a loop that is found at once; loops in it count as one
PAIRS = 1 << 21  # of statements that are looked at when what is left is read again
Shape = int  # of a leaf: its number, shifted; of a loop: its body's number, shifted, and its count
SHIFT = 32
COUNT = (1 << SHIFT) - 1
Vector = tuple[int, ...]


class Body(NamedTuple):
    """The statements of one step of a loop, and how their numbers advance from step to step."""

    shapes: tuple[Shape, ...]
    step: Vector


class Rolled(NamedTuple):
    """Statements, some of which are loops: their shapes and vectors, and the bodies of the loops."""

    shapes: list[Shape]
    vectors: list[Vector]
    bodies: list[Body]


def leaf(number: int) -> Shape:
    """The shape of a statement that is no loop."""
    return -1 - number


def is_loop(shape: Shape) -> bool:
    """Whether a statement is a loop."""
    return shape >= 0


def roll(shapes: Sequence[int], vectors: Sequence[Vector], longest: int = LONGEST) -> Rolled:
    """Find the loops.

    Parameters
    ----------
    shapes : sequence of int
        A number for each statement; only statements of equal numbers are instances of one.
    vectors : sequence of tuple of int
        The numbers of each statement that may differ from step to step.
    longest : int
        The most statements in a body.

    Examples
    --------
    >>> roll([0, 1, 0, 1, 0, 1, 0, 1], [(1,), (7,), (2,), (7,), (3,), (7,), (4,), (7,)])
    Rolled(shapes=[4], vectors=[(1, 7)], bodies=[Body(shapes=(-1, -2), step=(1, 0))])
    """
    found = _Found(Rolled([], [], []), {}, [])
    for number, vector in zip(shapes, vectors):
        _push(found, leaf(number), vector, longest)
    rolled = found.rolled
    again = PAIRS // max(len(rolled.shapes), 1)
    if again > longest:
        left = [*zip(rolled.shapes, rolled.vectors)]
        rolled.shapes.clear()
        rolled.vectors.clear()
        for shape, vector in left:
            _push(found, shape, vector, again)
    return rolled


class _Found(NamedTuple):
    """What has been found so far: the numbers of the bodies, and their lengths."""

    rolled: Rolled
    known: dict[Body, int]
    lengths: list[int]


def _push(state: _Found, shape: Shape, vector: Vector, longest: int) -> None:
    """Put a statement on the stack, and make loops of the last ones as long as that is possible."""
    (found, numbers, bodies), known, lengths = state
    found.append(shape)
    numbers.append(vector)
    while True:
        top = len(found) - 1
        last = found[top]
        for k in range(1, min(longest, top) + 1):
            before = found[top - k]
            if before >= 0 and lengths[before >> SHIFT] == k and _continues(found, numbers, bodies, k):
                found[top - k] += 1
                del found[top - k + 1 :], numbers[top - k + 1 :]
                break
            if before == last and top + 1 >= 3 * k and found[top - 2 * k] == last:
                step = _steps(found, numbers, k)
                if step is None:
                    continue
                first = top + 1 - 3 * k
                body = Body(tuple(found[first : first + k]), step)
                number = known.setdefault(body, len(bodies))
                if number == len(bodies):
                    bodies.append(body)
                    lengths.append(k)
                base = joined(numbers[first : first + k])
                del found[first:], numbers[first:]
                found.append(number << SHIFT | 3)
                numbers.append(base)
                break
        else:
            return


def joined(vectors: Sequence[Vector]) -> Vector:
    """The numbers of several vectors, one after the other."""
    return vectors[0] if len(vectors) == 1 else tuple([x for vector in vectors for x in vector])


def _continues(found: Sequence[Shape], numbers: Sequence[Vector], bodies: Sequence[Body], k: int) -> bool:
    """Whether the last k statements are the next step of the loop before them."""
    at = len(found) - k
    loop, base = found[at - 1], numbers[at - 1]
    body, count = bodies[loop >> SHIFT], loop & COUNT
    if body.shapes != tuple(found[at:]):
        return False
    start = 0
    for vector in numbers[at:]:
        for x in vector:
            if x != base[start] + count * body.step[start]:
                return False
            start += 1
    return True


def _steps(found: Sequence[Shape], numbers: Sequence[Vector], k: int) -> Vector | None:
    """How the numbers of the last three groups of k statements advance, if the groups are alike."""
    end = len(found)
    if found[end - k :] != found[end - 2 * k : end - k] or found[end - k :] != found[end - 3 * k : end - 2 * k]:
        return None
    steps: list[int] = []
    for at in range(end - k, end):
        for x, y, z in zip(numbers[at - 2 * k], numbers[at - k], numbers[at]):
            if y - x != z - y:
                return None
            steps.append(z - y)
    return tuple(steps)


def unroll(rolled: Rolled, widths: Sequence[int]) -> list[tuple[int, Vector]]:
    """The trace that was rolled: number and vector of each statement. `widths` has the length of each leaf's vector."""
    found: list[tuple[int, Vector]] = []
    parts: dict[int, list[tuple[Shape, int, int]]] = {}  # body → each of its statements, and where its numbers are

    def write(shape: Shape, vector: Vector) -> None:
        if shape < 0:
            found.append((-1 - shape, vector))
            return
        number = shape >> SHIFT
        body = rolled.bodies[number]
        if number not in parts:
            ends = [*accumulate([width_of(rolled, child, widths) for child in body.shapes])]
            parts[number] = [*zip(body.shapes, [0, *ends], ends)]
        for _ in range(shape & COUNT):
            for child, start, end in parts[number]:
                if child < 0:
                    found.append((-1 - child, vector[start:end]))
                else:
                    write(child, vector[start:end])
            vector = tuple(map(add, vector, body.step))

    for shape, vector in zip(rolled.shapes, rolled.vectors):
        write(shape, vector)
    return found


def width_of(rolled: Rolled, shape: Shape, widths: Sequence[int]) -> int:
    """How many numbers the vector of a statement has."""
    return widths[-1 - shape] if shape < 0 else len(rolled.bodies[shape >> SHIFT].step)
