"""The work of a capture grows linearly with the program, counted in instructions read, not in seconds."""

from collections.abc import Callable
from typing import Any

import pytest

import autograd.math as am
from autograd import grad, jit, jvp, value_and_grad, vmap
from autograd.ir.builder import Builder


class Counted(list[Any]):
    """A list that counts how often its elements are read."""

    looks = 0

    def __getitem__(self, index: Any) -> Any:
        Counted.looks += 1
        return super().__getitem__(index)

    def __iter__(self) -> Any:
        Counted.looks += len(self)
        return super().__iter__()


def inner_gradient(x: Any, steps: int) -> Any:
    """Each step follows its own gradient."""
    for _ in range(steps):
        x = x - 0.1 * grad(lambda v: am.sin(v) * v)(x)
    return x


def inner_tangent(x: Any, steps: int) -> Any:
    """Each step takes a derivative in forward mode."""
    for _ in range(steps):
        x = x - 0.1 * jvp(lambda v: am.sin(v) * v, (x,), (1.0,))[1]
    return x


def inner_constant(x: Any, steps: int) -> Any:
    """Each step calls int on a number that is not an argument, inside a gradient by it."""
    for k in range(steps):
        x = x * 0.5 + grad(lambda v: v * v * int(v))(float(k))
    return x


def inner_map(x: Any, steps: int) -> Any:
    """Each row branches at every step on something that all rows share."""

    def row(a: Any) -> Any:
        scale = x
        for _ in range(steps):
            scale = scale * 1.01 if scale > 0.0 else -scale
        return scale * a

    return vmap(row, reduce="sum")([x, 2.0, 3.0, 4.0])


def looks(function: Callable[..., Any], steps: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of instructions read while a function is captured and differentiated."""
    plain = Builder.__init__

    def counting(self: Builder, *arguments: Any, **options: Any) -> None:
        plain(self, *arguments, **options)
        self.code = Counted()

    with monkeypatch.context() as patched:
        patched.setattr(Builder, "__init__", counting)
        Counted.looks = 0
        jit(value_and_grad(lambda x: function(x, steps)))(0.3)
        return Counted.looks


@pytest.mark.parametrize("function", [inner_gradient, inner_tangent, inner_constant, inner_map])
def test_capture_is_linear(function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the steps are four times the work."""
    few, many = (looks(function, steps, monkeypatch) for steps in (80, 320))
    assert many < 4.4 * few
