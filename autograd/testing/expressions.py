"""Random computations as data: flat programs of the table's primitives, on any kind of number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from autograd.rules import Rule

Operand: TypeAlias = int | float  # the index of an earlier number, or a constant
Step: TypeAlias = tuple[Rule, tuple[Operand, ...]]


@dataclass(frozen=True)
class Expression:
    """A computation as a flat list of steps; a number may be used by any number of later steps.

    Attributes
    ----------
    leaves : tuple of float
        The numbers for which the expression was drawn; it can be evaluated at others.
    steps : tuple of (Rule, operands)
        One operation each. An operand is an int, the index of a number (leaves first, then the results of the
        steps), or a float, a constant. The last step is the result; without steps it is the last leaf.

    Examples
    --------
    >>> from autograd import Value, rules
    >>> from autograd.testing import Expression
    >>> square_and_double = Expression(leaves=(3.0,), steps=((rules.mul, (0, 0)), (rules.mul, (1, 2.0))))
    >>> print(square_and_double)
    v0 = 3.0
    v1 = mul(v0, v0)
    v2 = mul(v1, 2.0)
    >>> square_and_double(), square_and_double(5.0)
    (18.0, 50.0)
    >>> x = Value(3.0)
    >>> square_and_double(x).backward()
    >>> x.grad
    12.0
    """

    leaves: tuple[float, ...]
    steps: tuple[Step, ...]

    def __call__(self, *leaves: Any) -> Any:
        """The result at other leaves (floats, Values or a compiler's symbols), or at its own if none are given.

        Raises
        ------
        TypeError
            If there are more or fewer leaves than the expression has.
        """
        *_, result = self.numbers(*leaves)
        return result

    def numbers(self, *leaves: Any) -> Iterator[Any]:
        """The leaves and the result of every step, in order; arguments and errors are those of a call."""
        if leaves and len(leaves) != len(self.leaves):
            raise TypeError(f"the expression has {len(self.leaves)} leaves, not {len(leaves)}:\n{self}")
        made = list(leaves or self.leaves)
        yield from made
        for rule, operands in self.steps:
            made.append(rule(*[made[o] if isinstance(o, int) else o for o in operands]))
            yield made[-1]

    def __str__(self) -> str:
        lines = [f"v{place} = {leaf!r}" for place, leaf in enumerate(self.leaves)]
        for place, (rule, operands) in enumerate(self.steps, len(lines)):
            shown = [f"v{o}" if isinstance(o, int) else repr(o) for o in operands]
            lines.append(f"v{place} = {rule.name}({', '.join(shown)})")
        return "\n".join(lines)

    def pruned(self) -> Expression:
        """The same expression without the steps that the result does not need; all leaves stay."""
        count = len(self.leaves)
        needed = {count + len(self.steps) - 1}
        for place in range(count + len(self.steps) - 1, count - 1, -1):
            if place in needed:
                needed.update(o for o in self.steps[place - count][1] if isinstance(o, int))
        new_place = {old: new for new, old in enumerate([*range(count), *sorted(needed - set(range(count)))])}
        steps = [
            (rule, tuple([new_place[o] if isinstance(o, int) else o for o in operands]))
            for place, (rule, operands) in enumerate(self.steps, count)
            if place in needed
        ]
        return Expression(self.leaves, tuple(steps))
