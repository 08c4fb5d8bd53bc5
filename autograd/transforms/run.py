"""One run of a function on fresh leaves: every derivative begins with it.

At the top level, on plain numbers, sweeps give plain numbers. Inside another transform, or on Values, their results can
be differentiated again. Every run has leaves of its own, and its sweeps end there, so nested derivatives are never
confused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

from autograd.eager import active_recorder
from autograd.modes import inside_transform, mode
from autograd.recorder import Sweeps
from autograd.transforms.origin import Function
from autograd.tree import ArrayLeaf, flatten, is_array, opened, to_floats
from autograd.value import Value

Argnums = int | Sequence[int]


class Run:
    """One run of a function on Values, ready for sweeps.

    Attributes
    ----------
    leaves : list
        The numbers by which derivatives are taken.
    inputs : list
        The fresh leaves in their place.
    symbolic : bool
        Whether results can be differentiated again.
    result, aux : tree
        What the function returned.
    """

    def __init__(
        self,
        function: Function,
        args: Sequence[Any],
        argnums: Argnums = 0,
        options: dict[str, Any] | None = None,
        has_aux: bool = False,
        tangents: Sequence[Any] = (),
    ) -> None:
        self.name = getattr(function, "__name__", repr(function))
        self.numbers = _positions(argnums, len(args), self.name)
        chosen = tuple([args[i] for i in self.numbers])
        self.single = isinstance(argnums, int)
        named = [(flatten(a, f"argument {i} of {self.name}")) for i, a in zip(self.numbers, chosen)]
        self.leaves = list(chain.from_iterable([leaves for leaves, _ in named]))
        self.shapes = [(len(leaves), rebuild) for leaves, rebuild in named]
        self.symbolic = inside_transform.get() or any(map(_is_symbolic, chain(self.leaves, tangents)))
        self.recorder = active_recorder()
        token = inside_transform.set(True)
        try:
            with mode(recording=True):
                self.inputs = self.recorder.fresh_leaves(self.leaves)
                given = list(args)
                for i, argument in zip(self.numbers, self._shaped(self.inputs)):
                    given[i] = argument
                given = list(map(opened, given))
                self.result = self.recorder.followed(function)(*given, **(options or {}))
        finally:
            inside_transform.reset(token)
        self.aux: Any = None
        if has_aux:
            if not (isinstance(self.result, tuple) and len(self.result) == 2):
                raise TypeError(f"with has_aux, {self.name} must return (value, aux), not {self.result!r:.80}")
            self.result, self.aux = self.result

    def like_argument(self, leaves: Sequence[Any]) -> Any:
        """Derivatives, one by each input, in the shape of the chosen argument (a tuple of shapes for several)."""
        if not all(issubclass(kind, Value) for kind in set(map(type, leaves))):  # a node is returned as it is
            leaves = [self.recorder.derivative(x, old) for old, x in zip(self.leaves, leaves)]
        shaped = self._shaped(leaves)
        return shaped[0] if self.single else shaped

    def _shaped(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Numbers, one for each input, in the shape of the chosen arguments, as it was before the function ran."""
        ends = list(accumulate(count for count, _ in self.shapes))
        return tuple([rebuild(leaves[end - count : end]) for end, (count, rebuild) in zip(ends, self.shapes)])

    def returned(self, result: Any) -> Any:
        """The result as the caller gets it: plain numbers at the top level, Values inside another transform."""
        return result if self.symbolic else to_floats(result)

    def scalar(self) -> Value | float:
        """The result, which must be one number."""
        result = self.result
        if result is None:
            raise TypeError(f"{self.name} returned None, and a gradient is that of a number: does it lack a `return`?")
        if is_array(result) and result.size == 1:
            result = result.item()
        leaves, _ = flatten(result, f"the result of {self.name}")
        if len(leaves) != 1 or (result is not leaves[0] and not isinstance(result, (float, int))):
            raise TypeError(
                f"{self.name} must return one number to have a gradient, not {type(result).__name__} with "
                f"{len(leaves)}: use jacobian, or sum the results"
            )
        number: Value | float = leaves[0]
        return number

    def sweeps(self, outputs: Sequence[Any]) -> Sweeps:
        """Sweeps between the inputs and these numbers of the result."""
        return self.recorder.sweeps(outputs, self.inputs, self.symbolic)


def _is_symbolic(leaf: Any) -> bool:
    return isinstance(leaf, (Value, ArrayLeaf))


def check_argnums(argnums: Argnums) -> None:
    """Raise if `argnums` cannot name arguments, as when the numbers themselves are given in its place.

    Raises
    ------
    TypeError
        With what to write.
    """
    advice = "numbers go to the function that the transform returns, as in grad(f)(2.0)"
    if not isinstance(argnums, int | Sequence):
        raise TypeError(
            f"argnums must be an int or a sequence of ints, not {argnums!r} of type {type(argnums).__name__}: {advice}"
        )
    for i in [argnums] if isinstance(argnums, int) else argnums:
        if isinstance(i, bool) or not isinstance(i, int):
            raise TypeError(f"argnums must be ints, not {i!r}: {advice}")


def _positions(argnums: Argnums, count: int, name: str) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for i in numbers:
        if not -count <= i < count:
            raise ValueError(f"argnums names argument {i}, but {name} was called with {count} positional ones")
    chosen = tuple(i % count for i in numbers)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"argnums names an argument of {name} twice: {argnums!r}")
    return chosen
