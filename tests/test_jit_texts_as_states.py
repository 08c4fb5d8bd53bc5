"""Names that hold one text or member of an enum in some rows and steps and another in others: states of a machine."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import pytest
from agreement import agree

import autograd.math as am
from autograd import jit, vmap


class Phase(Enum):
    """The states of a machine."""

    REST = 1
    RISE = 2
    FALL = 3


def machine(x: Any) -> Any:
    """A machine with three states, in steps that Python takes."""
    state = "idle"
    total = 0.0
    for k in range(20):
        v = min(x, 9.0) + 0.1 * k
        if state == "idle":
            if v > 1.0:
                state = "rise"
        elif state == "rise":
            total = total + v
            if total > 5.0:
                state = "fall"
        else:
            total = total - 0.5 * v
            if total < 1.0:
                state = "idle"
    return total


def in_a_loop(x: Any) -> Any:
    """A loop whose length is data hands states on; one may be None, and they are asked for in several ways."""
    mode, before = "a", None
    y, n = min(x, 99.0), 0
    while y > 0.1:
        if mode == "a" and y < 2.0:
            mode = "b"
        elif mode in ("b", "c") and n % 2 == 0:
            mode, before = "c", mode
        if before is None:
            y = y * 0.8
        elif before != mode:
            y = y * 0.7
        else:
            y = y * 0.6
        n += 1
        before = mode
    return y * n * (2.0 if mode == "c" else 3.0) + (x if mode not in {"a", "b"} else 0.0)


def in_turn(x: Any) -> Any:
    """Each step has another state than the one before."""
    state = "p"
    y = abs(x) + 0.2
    while y < 2000.0:
        if state == "p":
            y = y * 1.5
            state = "q"
        else:
            y = y + 0.3 * y
            state = "p"
    return y * (1.0 if "p" == state else 2.0)  # either way round


def chosen(x: Any) -> Any:
    """A conditional expression gives the text."""
    kind = "high" if x > 2.0 else "low" if x > 1.0 else None
    if kind == "high":
        return x * 3.0
    if kind is None:
        return -x
    return x * 2.0 if kind == "low" else x


def with_an_enum(x: Any) -> Any:
    """Members of an enum, compared by identity too."""
    phase = Phase.REST
    total = 0.0
    for k in range(8):
        if phase is Phase.REST and x * k > 2.0:
            phase = Phase.RISE
        elif phase == Phase.RISE:
            total += min(x, 9.0)
            phase = Phase.FALL if total > 3.0 else Phase.RISE
        elif phase is not Phase.REST:
            total += 0.5 * x
    return total if phase in (Phase.RISE, Phase.FALL) else -x


def with_match(x: Any) -> Any:
    """The same with ``match``, with all patterns that are branches."""
    state, phase, total = "idle", Phase.REST, 0.0
    for k in range(12):
        match state:
            case "idle" if x > 1.0:
                state = "rise"
            case "rise" | "more":
                total = total + 0.1 * x * k
                state = "more" if total < 2.0 else None
            case None:
                total = total - 0.3
                state = "fall"
            case _:
                total = total * 0.9 + 0.1
        match phase:
            case Phase.REST:
                phase = Phase.RISE if total > 1.0 else phase
            case Phase.RISE | Phase.FALL:
                total = total + am.sin(x)
    match k * 2:
        case 22:
            return total * x
    return total


@pytest.mark.parametrize("function", [machine, in_a_loop, in_turn, chosen, with_an_enum, with_match])
def test_texts_are_data(function: Any) -> None:
    """One program serves all rows, with the values and derivatives of eager code."""
    agree(function)


def test_texts_that_others_see() -> None:
    """A text that is a key, has a length, is shown or is returned to other code is a text: a path for each."""

    def key(x: Any) -> Any:
        word = "p"
        if x > 1.0:
            word = "qq"
        return x * len(word) * {"p": 1.0, "qq": 3.0}[word]

    def part(x: Any) -> Any:
        word = "p"
        if x > 1.0:
            word = "qq"
        return x * 2.0 if "q" in word else x

    def given(x: Any) -> Any:
        def weight(word: str) -> float:
            return 2.0 if word.startswith("q") else 1.0

        word = "p"
        if x > 1.0:
            word = "qq"
        return x * weight(word)

    def ordered(x: Any) -> Any:
        word = "p"
        if x > 1.0:
            word = "qq"
        return x if word < "q" else 2.0 * x

    def captured(x: Any) -> Any:
        word = "p"
        if x > 1.0:
            word = "qq"
        match word:
            case "r":
                return x
            case other:
                return x * len(other)

    for function in (key, part, given, ordered, captured):
        agree(function, paths=2)


def test_a_text_is_compared_with_what_it_is_not() -> None:
    """It equals no number, no other text and no None, and is refused beside a thing with an opinion of its own."""

    class Same:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, str)

        __hash__ = object.__hash__

    def f(x: Any, same: Any) -> Any:
        word = "p"
        if x > 1.0:
            word = "q"
        y = x
        if word == 1 or word == None or word == "r" or word != word:  # noqa: E711  # always false
            y = 0.0 * x
        if word == same:
            y = y + 1.0
        return y if word != "p" else -y

    rows = np.array([0.5, 2.0])
    for same, paths in ((3.0, 1), ("q", 1), (Same(), 2)):
        compiled = jit(vmap(lambda x, same=same: f(x, same)), quiet=True)
        assert [f(x, same) for x in rows.tolist()] == compiled(rows).tolist()
        assert paths == len(compiled.paths())


def test_members_with_an_inequality_of_their_own() -> None:
    """Members of an enum that defines ``!=`` are compared by it."""

    class Odd(Enum):
        A = 1
        B = 2

        def __ne__(self, other: object) -> bool:
            return False

    def f(x: Any) -> Any:
        state = Odd.A
        if x > 1.0:
            state = Odd.B
        return x if state != Odd.A else -x

    rows = np.array([0.5, 2.0])
    assert [-0.5, -2.0] == jit(vmap(f), quiet=True)(rows).tolist()
