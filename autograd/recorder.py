"""The seam: the protocol between the engine and whatever records operations.

Two recorders exist. The graph (`autograd.eager`) makes one node for each operation. The compiler's trace writes an
instruction of a program. `value.py` and `transforms` know the protocols below, and nothing else of the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from autograd.rules import Rule


class Node(Protocol):
    """A node of a graph, as sweeps, copies and pickles see it; `Value` is the class that has all this."""

    label: str | None
    grad: float

    @property
    def data(self) -> float:
        """The number."""

    @property
    def op(self) -> Rule | None:
        """The rule that made it; None for a leaf."""

    @property
    def operands(self) -> tuple[Any, ...]:
        """The nodes and floats that it was computed from, in order."""

    @property
    def local_grads(self) -> tuple[float | None, ...]:
        """∂node/∂operand for each operand; None where no message goes."""

    @property
    def source(self) -> str | None:
        """The line that made it, if that was recorded."""

    def describe(self) -> str:
        """The operation with its operands, for messages."""

    @classmethod
    def restore(
        cls,
        data: float,
        op: Rule | None,
        operands: tuple[Any, ...],
        local_grads: tuple[float | None, ...],
        label: str | None = None,
        grad: float = 0.0,
        source: str | None = None,
    ) -> Any:
        """A node with these fields."""


class Sweeps(Protocol):
    """Sweeps between the inputs and the outputs of one run of a function."""

    def reverse(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The adjoint of every input, given the adjoints with which some outputs start."""

    def forward(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The tangent of every output, given the tangents of some inputs."""

    def cheaper(self) -> str:
        """The mode in which all derivatives cost less: "rev", one reverse sweep per output, or "fwd", one per input."""

    def rows(self, mode: str) -> list[dict[int, Any]]:
        """For every output its derivatives by the inputs on which it depends: index of the input → derivative.

        The mode is "rev", "fwd", or "auto" for the one that computes less.
        """


class Recorder(Protocol):
    """Records the operations of a context."""

    # ---- asked by nodes ------------------------------------------------------------------------------------

    def apply_rule(self, rule: Rule, operands: Sequence[Any]) -> Any:
        """The result of one operation on nodes and numbers."""

    def read(self, node: Any) -> Any:
        """A node whose number is read: itself, or its value in a program."""

    def now(self, node: Any) -> float:
        """The number of a node in this run; code that decides by it must make a guard by comparisons."""

    def integer(self, rounded: Any) -> Any:
        """A number that is rounded to an int, to be used like an int; None if it must be the int of this run."""

    def best_of(self, function: Any, numbers: Sequence[Any]) -> Any:
        """`max` or `min`, which is `function`, of numbers, as a choice: of ints it is an int."""

    def is_integer(self, node: Any) -> bool:
        """Whether the code has an int where this node is."""

    def refuse(self, what: str) -> None:
        """Raise if a side effect is not possible now: in a capture it would happen only once, not at each call."""

    def note_made(self, node: Any) -> None:
        """Another thread has made a node that this recorder did not see."""

    # ---- asked by transforms ---------------------------------------------------------------------------------

    def fresh_leaves(self, numbers: Sequence[Any]) -> list[Any]:
        """New nodes with these numbers (floats and nodes), by which something will be differentiated.

        They are equal to no other node. If a number is a node itself, derivatives pass through to it.
        """

    def followed(self, function: Any) -> Any:
        """The function to call in place of this one: itself, or one with the same results that is easier to record."""

    def sweeps(self, outputs: Sequence[Any], inputs: Sequence[Any], differentiable: bool) -> Sweeps:
        """Sweeps between fresh leaves and what was computed from them.

        Their results are plain numbers, unless they are to be `differentiable` again, or a seed is a node.
        """

    def derivative(self, number: Any, by: Any) -> Any:
        """A derivative as the caller gets it: a node if the argument `by` which it was taken is one."""

    def map(
        self, function: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None], reduce: str | None
    ) -> Any:
        """The results of a function for all rows of its arguments, as `vmap` returns them."""

    def loop(
        self, function: Callable[[Any, Any], Any], initial: Any, xs: Any, length: int | None, reverse: bool
    ) -> tuple[Any, Any]:
        """The last carry and the results of all steps, as `scan` returns them."""

    def repeat(self, n: Any, function: Callable[[Any, Any], Any], initial: Any) -> Any:
        """The last carry of a loop of n steps, as `fori` returns it; n may be a node."""

    def loop_while(
        self, condition: Callable[[Any], Any], function: Callable[[Any], Any], initial: Any, at_most: int | None
    ) -> Any:
        """The last carry of a loop that goes on while a condition holds, as `while_loop` returns it."""
