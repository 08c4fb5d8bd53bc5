"""Functions in, functions out: grad, jacobian, hessian and their like.

Each transform runs the function once on Values and sweeps the graph that this leaves behind. At the top level,
on plain numbers, the sweep uses the recorded local derivatives and gives plain numbers. Inside another transform,
or on Values, it recomputes them as Values, so that the result can be differentiated again. Every run has input
nodes of its own, at which its sweep ends; that is why nested derivatives are never confused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from itertools import accumulate
from typing import Any, Literal
from weakref import WeakKeyDictionary

from autograd import rules
from autograd.modes import current_trace, inside_transform, mode
from autograd.rules import REAL, Interval, Rule
from autograd.sweep import LocalDerivatives, forward, raise_for_tangents, recorded, reverse, topological_order, watch
from autograd.tree import children, flatten, in_doubles, is_array, is_leaf, lower, make_array, only_floats, pairs
from autograd.value import Value

Function = Callable[..., Any]
Argnums = int | Sequence[int]

# How the compiler maps a function over rows while it captures: (function, rows, reduce) → results or NotImplemented.
map_rows: ContextVar[Callable[[Function, list[list[Any]], str | None], Any] | None] = ContextVar(
    "autograd_map_rows", default=None
)
# What a transform made of what: the compiler looks through vmap and the gradient of a reduced vmap.
made_by: WeakKeyDictionary[Function, tuple[Any, ...]] = WeakKeyDictionary()


class _Run:
    """One run of a function on Values, ready to be swept."""

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
        self.leaves = [leaf for leaves, _ in named for leaf in leaves]
        self.shapes = [(len(leaves), rebuild) for leaves, rebuild in named]
        self.symbolic = inside_transform.get() or any(isinstance(x, Value) for x in (*self.leaves, *tangents))
        trace = current_trace()
        leaf = Value if trace is None else trace.fresh
        token = inside_transform.set(True)
        try:
            with mode(recording=True):
                self.inputs = [rules.pos(x) if isinstance(x, Value) else leaf(x) for x in self.leaves]
                given = list(args)
                for i, argument in zip(self.numbers, self._shaped(self.inputs)):
                    given[i] = argument
                self.result = function(*given, **(options or {}))
        finally:
            inside_transform.reset(token)
        self.aux: Any = None
        if has_aux:
            if not (isinstance(self.result, tuple) and len(self.result) == 2):
                raise TypeError(f"with has_aux, {self.name} must return (value, aux), not {self.result!r:.80}")
            self.result, self.aux = self.result
        self._order: list[Value] | None = None
        self._local: LocalDerivatives = recorded

    def like_argument(self, leaves: Sequence[Any]) -> Any:
        """Numbers, one for each input, in the shape of the chosen argument (a tuple of shapes for several)."""
        leaves = [
            Value(x) if isinstance(old, Value) and not isinstance(x, Value) and not hasattr(old, "sweep_reverse") else x
            for old, x in zip(self.leaves, leaves)
        ]  # of the compiler's tracers none is needed
        shaped = self._shaped(leaves)
        return shaped[0] if self.single else shaped

    def _shaped(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Numbers, one for each input, in the shape that the chosen arguments had before the function ran."""
        ends = list(accumulate(count for count, _ in self.shapes))
        return tuple([rebuild(leaves[end - count : end]) for end, (count, rebuild) in zip(ends, self.shapes)])

    def lowered(self, result: Any) -> Any:
        """The result as the caller wants it: plain numbers at the top level, Values inside."""
        return result if self.symbolic else lower(result)

    def scalar(self) -> Value | float:
        """The result, which must be one number."""
        result = self.result
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

    def _prepare(self, outputs: Iterable[Value]) -> list[Value]:
        """The order from the inputs to the outputs, and the local derivatives along it."""
        if self._order is None:
            self._order = order = topological_order(*outputs, leaves=self.inputs)
            if self.symbolic:
                with mode(recording=True):
                    self._local = _on_values(order, self.inputs)
        return self._order

    def _tracer(self, outputs: Iterable[Any]) -> Any:
        """The compiler's class of tracers, which sweep a program instead of a graph, if outputs are traced."""
        return next((type(y) for y in outputs if hasattr(type(y), "sweep_reverse")), None)

    def gradients(self, outputs: Sequence[Any], seeds: dict[Value, Any]) -> list[Any]:
        """The adjoint of every input in one reverse sweep (`outputs` fixes the order for repeated sweeps)."""
        if tracer := self._tracer(outputs):
            adjoints_of_inputs: list[Any] = self.lowered(tracer.sweep_reverse(seeds, self.inputs))
            return adjoints_of_inputs
        order = self._prepare([x for x in outputs if isinstance(x, Value)])
        watched = not self.symbolic and not any(isinstance(seed, Value) for seed in seeds.values()) and watch()
        sweep = functools.partial(reverse, observe=watched) if watched else reverse  # C takes the one without
        with mode(recording=True):
            adjoints = sweep(order, seeds, self._local)
        return [adjoints.get(x, 0.0) for x in self.inputs]

    def tangents(self, outputs: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
        """The tangent of every output in one forward sweep; a direction of 0 is left out, for 0 · inf is no tangent."""
        seeds = {x: d for x, d in zip(self.inputs, directions) if type(d) is not float or d != 0.0}
        if tracer := self._tracer(outputs):
            tangents_of_outputs: list[Any] = self.lowered(tracer.sweep_forward(outputs, seeds))
            return tangents_of_outputs
        order = self._prepare([x for x in outputs if isinstance(x, Value)])
        with mode(recording=True):
            tangents = forward(order, seeds, self._local)
        if watch() is not None:
            raise_for_tangents(order, tangents)
        return [tangents.get(x, 0.0) if isinstance(x, Value) else 0.0 for x in outputs]


def _on_values(order: Sequence[Value], inputs: Sequence[Value]) -> LocalDerivatives:
    """Local derivatives as Values, computed once, for the nodes that depend on the inputs and towards them only."""
    active = set(inputs)
    known: dict[Value, Sequence[Any]] = dict.fromkeys(inputs, ())
    for node in order:
        if node not in active and any(type(o) is not float and o in active for o in node.operands):
            active.add(node)
    nothing: Sequence[Any] = ()

    def local(node: Value) -> Sequence[Any]:
        if node not in known:
            if node not in active or node.op is None:
                return nothing
            wanted = [type(o) is not float and o in active for o in node.operands]
            token = inside_transform.set(True)  # a derivative may take a gradient itself
            try:
                with nullcontext() if watch() is None else mode(anomaly=False):  # a branch that is not taken may be nan
                    known[node] = node.op.local_derivatives(node.operands, node, wanted)
            finally:
                inside_transform.reset(token)
        return known[node]

    return local


def _positions(argnums: Argnums, count: int, name: str) -> tuple[int, ...]:
    if not isinstance(argnums, int | Sequence):
        raise TypeError(
            f"argnums must be an int or a sequence of ints, not {argnums!r} of type {type(argnums).__name__}"
        )
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for i in numbers:
        if isinstance(i, bool) or not isinstance(i, int):
            raise TypeError(f"argnums must be ints, not {i!r}")
        if not -count <= i < count:
            raise ValueError(f"argnums names argument {i}, but {name} was called with {count} positional ones")
    chosen = tuple(i % count for i in numbers)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"argnums names an argument of {name} twice: {argnums!r}")
    return chosen


def value_and_grad(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the value of `function` and its gradient.

    Parameters
    ----------
    function : callable
        Returns one number.
    argnums : int or sequence of int
        Which positional arguments to differentiate by. Each is a tree of numbers: a number, list, tuple, dict,
        dataclass, ndarray or module.
    has_aux : bool
        Whether `function` returns ``(value, aux)``; aux is passed on: ``((value, aux), gradient)``.

    Returns
    -------
    callable
        Takes what `function` takes; returns ``(value, gradient)``, the gradient in the shape of the argument (a
        tuple of them for a sequence of `argnums`). Plain numbers give plain numbers, Values give Values.

    Raises
    ------
    TypeError
        When called: if an argument has a leaf that is not a real number, or the result is not one number.
    ValueError
        When called: if `argnums` names an argument that was not given, or one twice.

    Examples
    --------
    >>> from autograd import value_and_grad
    >>> value_and_grad(lambda x: x[0] * x[1] ** 2)([3.0, 2.0])
    (12.0, [4.0, 12.0])
    """

    @functools.wraps(function)
    def value_and_gradient(*args: Any, **options: Any) -> Any:
        run = _Run(function, args, argnums, options, has_aux)
        result = run.scalar()
        seeds: dict[Value, Any] = {result: 1.0} if isinstance(result, Value) else {}
        gradient = run.like_argument(run.gradients([result], seeds))
        value = run.lowered(result)
        return ((value, run.lowered(run.aux)) if has_aux else value), gradient

    made_by[value_and_gradient] = ("value_and_grad", function, argnums, has_aux)
    return value_and_gradient


def grad(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of `function`; parameters and errors as for `value_and_grad`.

    With `has_aux` it returns ``(gradient, aux)``.

    Examples
    --------
    >>> from autograd import grad
    >>> import autograd.math as am
    >>> grad(lambda x: x**3)(2.0), grad(grad(lambda x: x**3))(2.0)
    (12.0, 12.0)
    >>> grad(lambda p: p["a"] * am.exp(p["b"]))({"a": 3.0, "b": 0.0})
    {'a': 1.0, 'b': 3.0}
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def gradient(*args: Any, **options: Any) -> Any:
        value, result = both(*args, **options)
        return (result, value[1]) if has_aux else result

    made_by[gradient] = ("grad", function, argnums, has_aux)
    return gradient


def jacobian(function: Function, argnums: Argnums = 0, mode: Literal["auto", "rev", "fwd"] = "auto") -> Function:
    """A function that returns all first derivatives of `function`, whose result may be any tree of numbers.

    Parameters
    ----------
    function : callable
        Returns a tree of numbers.
    argnums : int or sequence of int
        Which positional arguments to differentiate by.
    mode : {"auto", "rev", "fwd"}
        One reverse sweep per output, one forward sweep per input, or whichever are fewer.

    Returns
    -------
    callable
        Its result has the shape of the function's result with, at each leaf, the shape of the argument. For an
        ndarray result of shape ``s`` and an ndarray argument of shape ``t`` it is one ndarray of shape ``s + t``.

    Raises
    ------
    TypeError, ValueError
        As for `value_and_grad`; ValueError for an unknown `mode`.

    Examples
    --------
    >>> import numpy as np
    >>> from autograd import jacobian
    >>> jacobian(lambda x: x[0] * x)(np.array([2.0, 3.0]))
    array([[4., 0.],
           [3., 2.]])
    """
    if mode not in ("auto", "rev", "fwd"):
        raise ValueError(f"mode must be 'auto', 'rev' or 'fwd', not {mode!r}")

    @functools.wraps(function)
    def all_derivatives(*args: Any, **options: Any) -> Any:
        run = _Run(function, args, argnums, options)
        outputs, _ = flatten(run.result, f"the result of {run.name}")
        if mode == "rev" or (mode == "auto" and len(outputs) <= len(run.inputs)):
            rows = [run.gradients(outputs, {y: 1.0} if isinstance(y, Value) else {}) for y in outputs]
        else:
            columns = [
                run.tangents(outputs, [float(i == j) for j in range(len(run.inputs))]) for i in range(len(run.inputs))
            ]
            rows = [list(row) for row in zip(*columns)]
        return _blocks(rows, run)

    return all_derivatives


def _blocks(rows: list[list[Any]], run: _Run) -> Any:
    """The matrix of derivatives cut along the leaves of result and argument, ndarrays kept whole."""
    results, rebuild_result = flatten(run.result, arrays=True)
    arguments, rebuild_argument = flatten(run.like_argument(run.leaves), arrays=True)
    blocks, top = [], 0
    for result in results:
        bottom = top + (result.size if is_array(result) else 1)
        row_of_blocks, left = [], 0
        for argument in arguments:
            right = left + (argument.size if is_array(argument) else 1)
            numbers = [x for row in rows[top:bottom] for x in row[left:right]]
            if is_array(result) or is_array(argument):
                shape = getattr(result, "shape", ()) + getattr(argument, "shape", ())
                row_of_blocks.append(make_array(numbers, shape))
            else:
                row_of_blocks.append(numbers[0])
            left = right
        blocks.append(rebuild_argument(row_of_blocks))
        top = bottom
    return rebuild_result(blocks)


def hessian(function: Function, argnums: Argnums = 0) -> Function:
    """A function that returns all second derivatives of `function`: the Jacobian of its gradient.

    Parameters and errors are those of `value_and_grad`. For an ndarray argument of shape ``(n,)`` the result is
    an ndarray of shape ``(n, n)``, as ``scipy.optimize.minimize`` takes it for ``hess=``.

    Examples
    --------
    >>> from autograd import hessian
    >>> hessian(lambda x: x[0] ** 2 * x[1])([3.0, 5.0])
    [[10.0, 6.0], [6.0, 0.0]]
    """
    return jacobian(grad(function, argnums), argnums)


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Value and directional derivative: the Jacobian times a vector, in one forward sweep.

    Parameters
    ----------
    function : callable
        Returns a tree of numbers.
    primals : sequence
        The arguments.
    tangents : sequence
        The direction: for each argument a tree of the same shape; dictionaries are matched by their keys.

    Returns
    -------
    (value, tangent)
        Both in the shape of the function's result.

    Raises
    ------
    TypeError
        If primals or tangents are no sequence, or a leaf is not a real number.
    ValueError
        If primals and tangents differ in shape.

    Examples
    --------
    >>> from autograd import jvp
    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, Sequence):
            raise TypeError(f"{what} must be a tuple with an entry for each argument, not {given!r:.80}")
    directions = _like(tuple(primals), tuple(tangents), ("primals", "tangents"))
    run = _Run(function, primals, tuple(range(len(primals))), tangents=directions)
    outputs, rebuild = flatten(run.result, f"the result of {run.name}")
    return run.lowered(run.result), rebuild(run.tangents(outputs, directions))


def _like(tree: Any, other: Any, names: tuple[str, str]) -> list[Any]:
    """The leaves of another tree of the same shape, in the order of the first."""
    leaves = [leaf for _, leaf in pairs(tree, other, names)]
    if all(map(is_leaf, leaves)):
        return leaves
    flatten(other, names[1])  # an error has the path of the leaf that is not a number
    return flatten(leaves)[0]


def vjp(function: Function, *primals: Any) -> tuple[Any, Function]:
    """Value and pullback: the pullback takes a vector in the shape of the result, times the Jacobian.

    Returns
    -------
    (value, pullback)
        ``pullback(seeds)`` returns a tuple with, for each argument, a tree of its shape. It may be called often.

    Raises
    ------
    ValueError
        From the pullback, if the seeds have not the shape of the result.

    Examples
    --------
    >>> from autograd import vjp
    >>> value, pullback = vjp(lambda x, y: [x * y, x], 2.0, 3.0)
    >>> value, pullback([1.0, 10.0])
    ([6.0, 2.0], (13.0, 2.0))
    """
    run = _Run(function, primals, tuple(range(len(primals))))
    outputs, rebuild = flatten(run.result, f"the result of {run.name}")
    shape = rebuild(outputs)  # the caller may change the result

    def pullback(seeds: Any) -> Any:
        weights = _like(shape, seeds, ("the result", "seeds"))
        starts: dict[Value, Any] = {}
        for y, weight in zip(outputs, weights):
            if isinstance(y, Value):
                starts[y] = starts[y] + weight if y in starts else weight
        return run.like_argument(run.gradients(outputs, starts))

    return run.lowered(run.result), pullback


def hvp(function: Function) -> Function:
    """A function ``(x, v, *args)`` that returns the Hessian of `function` in `x`, times `v`.

    A forward sweep over the gradient: the cost is a small multiple of the function's, whatever the size of `x`.
    The order of arguments is that of ``hessp=`` in ``scipy.optimize.minimize``.

    Examples
    --------
    >>> from autograd import hvp
    >>> hvp(lambda x: x[0] ** 2 * x[1])([3.0, 5.0], [1.0, 0.0])
    [10.0, 6.0]
    """
    gradient = grad(function)

    @functools.wraps(function)
    def product(x: Any, v: Any, *args: Any, **options: Any) -> Any:
        return jvp(lambda y: gradient(y, *args, **options), (x,), (v,))[1]

    return product


def vmap(
    function: Function,
    in_axes: int | Sequence[int | None] | None = 0,
    reduce: Literal["sum", "mean"] | None = None,
) -> Function:
    """Map a function over the rows of its arguments.

    Parameters
    ----------
    function : callable
        Works on one row; returns a tree of numbers.
    in_axes : int, None or a sequence with one for each argument
        Along which axis the rows of an argument lie; None for an argument that is the same for all rows. The rows
        of a list are its elements; in a tuple, dict or dataclass every part is mapped.
    reduce : {None, "sum", "mean"}
        Stack the results, or add them up, or take their mean.

    Returns
    -------
    callable
        Its results are stacked along a new first axis: in ndarrays if any mapped argument holds one, else in lists.

    Raises
    ------
    TypeError
        If an axis is not an int.
    ValueError
        For unknown `reduce`; when called, if the arguments have different numbers of rows or none is mapped, if the
        results to be stacked or added up differ in shape, or for the mean over no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from autograd import grad, vmap
    >>> vmap(grad(lambda x: x**2))(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    >>> loss = vmap(lambda w, x: (w * x - 1.0) ** 2, in_axes=(None, 0), reduce="mean")
    >>> loss(2.0, [0.0, 1.0])
    1.0
    """
    if reduce not in (None, "sum", "mean"):
        raise ValueError(f"reduce must be None, 'sum' or 'mean', not {reduce!r}")
    for axis in in_axes if isinstance(in_axes, Sequence) else (in_axes,):
        if isinstance(axis, bool) or not isinstance(axis, int | None):
            raise TypeError(
                f"in_axes must be an int, None or a sequence with one of these for each argument, not {in_axes!r}: "
                "of a container all parts are mapped, so what is not to be mapped is an argument of its own"
            )

    @functools.wraps(function)
    def mapped(*args: Any, **options: Any) -> Any:
        axes = tuple(in_axes) if isinstance(in_axes, Sequence) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ValueError(f"in_axes has {len(axes)} entries for {len(args)} arguments")
        named = [f"argument {k} of {getattr(function, '__name__', 'the function')}" for k in range(len(args))]
        columns = [
            None if axis is None else _rows(in_doubles(arg, name), axis) for name, arg, axis in zip(named, args, axes)
        ]
        counts = {len(column) for column in columns if column is not None}
        if len(counts) != 1:
            what = (
                f"have different numbers of rows: {sorted(counts)}" if counts else "are not mapped: in_axes has no axis"
            )
            raise ValueError(f"the arguments of {getattr(function, '__name__', 'the function')} {what}")
        (count,) = counts
        rows = [[a if c is None else c[i] for a, c in zip(args, columns)] for i in range(count)]
        as_arrays = any(_holds_array(a) for a, c in zip(args, columns) if c is not None)
        results: Any = NotImplemented
        if (mapper := map_rows.get()) is not None:
            results = mapper(functools.partial(function, **options), rows, reduce)
            if results is not NotImplemented and reduce is not None:
                return results
        if results is NotImplemented:
            results = [function(*row, **options) for row in rows]
        if reduce is not None:
            return _reduced(results, reduce)
        return _stacked(results, as_arrays)

    made_by[mapped] = ("vmap", function, in_axes, reduce)
    return mapped


def _rows(tree: Any, axis: int) -> list[Any]:
    """The rows of an argument along an axis."""
    if is_array(tree):
        if not -tree.ndim <= axis < tree.ndim:
            raise ValueError(f"in_axes names axis {axis} of an ndarray of shape {tree.shape}")
        rows = [tree.take(i, axis) for i in range(tree.shape[axis])]
        return [row if is_array(row) or isinstance(row, Value) else float(row) for row in rows]
    if isinstance(tree, list):
        if axis != 0:
            raise ValueError(f"the rows of a list are its elements: in_axes must be 0 or None, not {axis}")
        return list.copy(tree)
    if isinstance(tree, (tuple, dict)) or hasattr(tree, "__dataclass_fields__"):
        parts, rebuild = _parts(tree)
        columns = [_rows(part, axis) for part in parts]
        if len({len(column) for column in columns}) != 1:
            raise ValueError(f"the parts of {tree!r:.80} have different numbers of rows")
        return [rebuild(row) for row in zip(*columns)]
    raise TypeError(f"{tree!r:.80} of type {type(tree).__name__} has no rows: give it None in in_axes")


def _parts(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    found = children(tree)
    assert found is not None  # a container
    return [part for _, part in found.named], found.rebuild


def _holds_array(tree: Any) -> bool:
    if isinstance(tree, (tuple, dict)) or hasattr(tree, "__dataclass_fields__"):
        return any(map(_holds_array, _parts(tree)[0]))
    return is_array(tree)


def _reduced(results: list[Any], reduce: str) -> Any:
    """The sum or the mean of the results, leaf by leaf, as one node each."""
    if not results:
        if reduce == "mean":
            raise ValueError("the mean over no rows has no value: pass at least one row, or reduce='sum'")
        return 0.0
    rule = rules.sum if reduce == "sum" else rules.mean
    return flatten(results[0])[1]([rule(*column) for column in zip(*_of_one_shape(results))])


def _of_one_shape(results: list[Any]) -> list[list[Any]]:
    """The numbers of each result, in the order of the first."""
    if all(map(is_leaf, results)):
        return [[result] for result in results]
    return [_like(results[0], result, ("row 0", f"row {i}")) for i, result in enumerate(results)]


def _stacked(results: list[Any], as_arrays: bool) -> Any:
    """The results stacked leaf by leaf, in ndarrays or in lists."""
    if not results:
        return make_array([], (0,)) if as_arrays else []
    if not as_arrays:
        return results
    rows = _of_one_shape(results)
    leaves, rebuild = flatten(results[0], "a result", arrays=True)
    stacked, start = [], 0
    for leaf in leaves:
        stop = start + (leaf.size if is_array(leaf) else 1)
        stacked.append(
            make_array([x for row in rows for x in row[start:stop]], (len(rows), *getattr(leaf, "shape", ())))
        )
        start = stop
    return rebuild(stacked)


def custom_gradient(
    *derivatives: Function,
    symbol: str | None = None,
    domain: Sequence[Interval] | None = None,
    kink: Callable[..., float] | None = None,
) -> Callable[[Callable[..., float]], Rule]:
    """Make a primitive of a black-box function: a row of one's own, in everything like those of the table.

    Parameters
    ----------
    *derivatives : callable
        One local derivative per operand, called as ``derivative(*operands, output)``. Written in plain arithmetic and
        `autograd.math`, it serves floats and Values, so higher derivatives work too.
    symbol : str, optional
        What pictures print; the function's name by default.
    domain : sequence of (low, high), optional
        For each operand, where the function may be tested.
    kink : callable, optional
        Zero where the function is not differentiable.

    Returns
    -------
    callable
        A decorator for the function on floats; what it returns is a `Rule`, callable on floats and Values.

    Raises
    ------
    TypeError
        If no derivative is given, or one is not callable.

    Examples
    --------
    >>> from autograd import custom_gradient, grad
    >>> @custom_gradient(lambda x, y: 3 * x**2)
    ... def cube(x):
    ...     return x**3
    >>> cube(2.0), grad(cube)(2.0), grad(grad(cube))(2.0)
    (8.0, 12.0, 12.0)
    """
    if not derivatives or not all(map(callable, derivatives)):
        raise TypeError("custom_gradient takes one callable derivative for each operand")

    def decorate(function: Callable[..., float]) -> Rule:
        return Rule(
            name=function.__name__,
            symbol=symbol or function.__name__,
            value=_at_top_level(function),
            derivatives=tuple(map(_at_top_level, derivatives)),
            arity=len(derivatives),
            domain=tuple(domain) if domain is not None else (REAL,) * len(derivatives),
            kink=kink,
            module=function.__module__,
        )

    return decorate


def _at_top_level(function: Function) -> Function:
    """On floats, the function as if no transform were around it: a gradient that it takes is a float then."""

    @functools.wraps(function)
    def on_numbers(*operands: Any) -> Any:
        if not only_floats(operands):
            return function(*operands)
        token = inside_transform.set(False)
        try:
            return function(*operands)
        finally:
            inside_transform.reset(token)

    return on_numbers
