"""Calls that can be repeated: nodes that stand for a whole call of a function, and `checkpoint`.

Such a node keeps no graph of the call. Higher derivatives, and the value for other operands, come from a second run,
which must see what the first one saw. So the node keeps copies of the arguments and of the variables that the function
closes over, and a second run that computes anything else raises an error.
"""

from __future__ import annotations

import functools
import hashlib
import marshal
import pickle
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from types import CellType, FunctionType, MethodType
from typing import Any

from autograd.eager import local_derivatives_on_values
from autograd.modes import active_mode, current_mode, inside_transform, mode
from autograd.rules import REAL, Rule
from autograd.sweep import LocalDerivatives, recorded, reverse, topological_order
from autograd.transforms.origin import Function, P, R, check_function, origin_of, set_origin
from autograd.tree import children, flatten, is_array
from autograd.value import Value, _node

Formula = Callable[[Sequence[Any]], Any]


class CallRule(Rule):
    """The rule of a node that stands for a call: one number of its result.

    `again` repeats the call. That gives the node's value for other operands (floats, Values or the compiler's tracers),
    by the branches that the first call took.
    """

    __slots__ = ("call", "index")
    kind = "call"
    call: Any  # the call, which all numbers of its result share; it has the `name` of the function
    index: int
    arity, domain, kink, corners, module = None, (REAL,), None, {}, __name__

    def __init__(self, call: Any, index: int) -> None:
        object.__setattr__(self, "call", call)
        object.__setattr__(self, "index", index)

    @property
    def name(self) -> str:
        """The name of the node in messages."""
        return f"{self.kind}({self.call.name})"

    @property
    def symbol(self) -> str:
        """The name of the function."""
        name: str = self.call.name
        return name

    @property
    def derivatives(self) -> tuple[Callable[..., Any]]:
        """All local derivatives at once, as for every n-ary rule."""
        return (self.local_derivatives,)

    def again(self) -> Formula:
        """The number as a function of the operands; it may be called many times."""
        raise NotImplementedError

    def value(self, numbers: Sequence[float]) -> float:
        """The number for other operands."""
        number: float = self.again()(numbers)
        return number

    def __call__(self, *operands: Any) -> Any:
        """The result for other operands, from the operations of the call; it is not a node like this one."""
        return self.again()(operands)


def replay(order: Iterable[Value], now: dict[Any, Any]) -> None:
    """Compute the nodes of a graph, in order, from the replacements for some of them in `now`; add all to `now`."""
    for node in order:
        if node not in now:
            now[node] = node if node.op is None else node.op(*[now.get(o, o) for o in node.operands])


# ---- the arguments of a call, as they were -----------------------------------------------------------------------


class Snapshot:
    """Copies of functions and trees: containers, arrays and closure variables as they are now.

    Modules and other objects are not copied. `value` gives the replacement for a Value in a tree; a Value that a
    function closes over is not replaced.
    """

    def __init__(self, value: Callable[[Value], Any] = lambda value: value) -> None:
        self.value = value
        self.known: dict[int, Any] = {}  # id → copy: sharing and self-reference stay
        self.empty: list[tuple[FunctionType, FunctionType]] = []  # functions whose copies have no variables yet

    def tree(self, thing: Any) -> Any:
        """The copy of an argument."""
        if isinstance(thing, Value):
            return self.value(thing)
        if type(thing) is float or thing is None:
            return thing
        if id(thing) in self.known:
            return self.known[id(thing)]
        if is_array(thing):
            twin = thing.copy()
            if thing.dtype == object:
                for k, part in enumerate(thing.flat):
                    twin.flat[k] = self.tree(part)
        elif (parts := children(thing)) is not None:
            twin = parts.rebuild([self.tree(part) for _, part in parts.named])
        else:
            return self.function(thing)
        self.known[id(thing)] = twin
        return twin

    def function(self, thing: Any) -> Any:
        """A copy of a function, and of the functions that it closes over, with their own variables."""
        twin = self._twin(thing)
        while self.empty:
            self._close(*self.empty.pop())
        return twin

    def _twin(self, thing: Any) -> Any:
        """The copy of a function; it is complete when the functions in `empty` have their variables."""
        if id(thing) in self.known:
            return self.known[id(thing)]
        if isinstance(thing, FunctionType) and (thing.__closure__ or thing.__defaults__ or thing.__kwdefaults__):
            cells = tuple([CellType() for _ in thing.__closure__ or ()])
            twin = FunctionType(thing.__code__, thing.__globals__, thing.__name__, None, cells)
            self.known[id(thing)] = twin
            self.empty.append((thing, twin))
            return twin
        if type(thing) is MethodType:
            return MethodType(self._twin(thing.__func__), thing.__self__)
        if type(thing) is functools.partial:
            args = [self._twin(part) for part in thing.args]
            keywords = {name: self._twin(part) for name, part in thing.keywords.items()}
            return functools.partial(self._twin(thing.func), *args, **keywords)
        return thing

    def _close(self, function: FunctionType, twin: FunctionType) -> None:
        """Give a copy its variables."""
        for old, new in zip(function.__closure__ or (), twin.__closure__ or ()):
            try:
                contents = old.cell_contents
            except ValueError:  # the variable has no value yet
                continue
            new.cell_contents = self._twin(contents)
        if function.__defaults__:
            twin.__defaults__ = tuple([self._twin(part) for part in function.__defaults__])
        if function.__kwdefaults__:
            twin.__kwdefaults__ = {name: self._twin(part) for name, part in function.__kwdefaults__.items()}
        twin.__dict__.update(function.__dict__)
        twin.__qualname__, twin.__module__ = function.__qualname__, function.__module__
        if (origin := origin_of(function)) is not None:
            set_origin(twin, origin.transform, self._twin(origin.function), *origin.parameters)


# ---- checkpoint --------------------------------------------------------------------------------------------------


def checkpoint(function: Callable[P, R]) -> Callable[P, R]:
    """Keep only the inputs and outputs of a function's graph, to save memory.

    A call runs the function, computes by a sweep the local derivatives by everything that flowed into it (arguments
    and Values that it closes over), and frees the nodes in between. Each number of the result is one node. Higher
    derivatives run the function again, on the arguments as they were.

    Parameters
    ----------
    function : callable
        Takes trees of numbers, returns a tree of numbers. A call makes one sweep per number of the result.

    Raises
    ------
    ValueError
        From a higher derivative, if the second run computes something other than the first, because something that
        the function reads has changed since (a Value's ``.data``, a global, an attribute, a random number).
        Differentiate before changing it, or make it an argument.

    Examples
    --------
    >>> from autograd import Value, checkpoint, topological_order
    >>> def iterate(x):
    ...     for _ in range(1000):
    ...         x = x - 0.1 * (x * x - 2.0)
    ...     return x
    >>> x = Value(1.0)
    >>> y = checkpoint(iterate)(x)
    >>> y.backward()
    >>> round(y.data, 12), len(topological_order(y))
    (1.414213562373, 2)
    """
    check_function("checkpoint", function)

    @functools.wraps(function)
    def shortened(*args: Any, **options: Any) -> Any:
        switches = current_mode()
        if switches is not None and (switches.recorder is not None or not switches.recording):
            return function(*args, **options)
        twins: dict[Value, Value] = {}
        snapshot = Snapshot(lambda value: twins.setdefault(value, value.detach()))
        name = getattr(function, "__name__", "function")
        kept = snapshot.function(function), snapshot.tree((args, options))
        call = _Call(name, inside_transform.get(), *kept, function, shortened)
        made: set[Value] = set()
        with mode(made=made):
            result = function(*args, **options)
        outputs, rebuild = flatten(result, f"the result of {call.name}")
        nodes = [_short_cut(call, i, y, made, twins) if y in made else y for i, y in enumerate(outputs)]
        return rebuild(nodes)

    return shortened


@dataclass(eq=False)
class _Call:
    """A call of a checkpointed function, kept so that it can be repeated.

    Attributes
    ----------
    name : str
        The name of the function.
    inside : bool
        Whether the call was made inside a transform.
    function : callable
        A copy of the function; `arguments` are its arguments, with other leaves in place of the Values.
    original, owner : callable
        The function itself, and the one that `checkpoint` made from it: pickles find functions by name.
    """

    name: str
    inside: bool
    function: Function
    arguments: Any
    original: Function
    owner: Function

    def run(self, values: dict[Value, Any]) -> tuple[set[Value], list[Any]]:
        """Repeat the call with these Values in place of the leaves; return the nodes made, and the result's leaves."""
        made: set[Value] = set()
        try:
            leaves = copy_context().run(self._run, values, made)
        except Exception as error:
            error.add_note(f"raised when checkpoint({self.name}) ran again, for a higher derivative or other operands")
            raise
        around = current_mode()
        if around is not None and around.made is not None:
            around.made.update(made)
        return made, leaves

    def _run(self, values: dict[Value, Any], made: set[Value]) -> list[Any]:
        active_mode.set(None)  # no capture and no other present mode, as in the first run
        inside_transform.set(self.inside)
        snapshot = Snapshot(lambda value: values.get(value, value))  # the function may change its arguments
        function, (args, options) = snapshot.function(self.function), snapshot.tree(self.arguments)
        with mode(made=made):
            return flatten(function(*args, **options))[0]

    def __reduce__(self) -> tuple[Any, ...]:
        for function in (self.original, self.owner):
            try:
                pickle.dumps(function)
            except (pickle.PicklingError, AttributeError, TypeError):
                continue
            return _unpickled, (self.name, self.inside, self.arguments, function, function is self.owner)
        raise pickle.PicklingError(
            f"a node of checkpoint({self.name}) cannot be pickled: higher derivatives run the function again, "
            f"and pickles find functions by name. Define {self.name} at the top of a module, where it closes "
            "over nothing, or do not use checkpoint in what is to be pickled"
        )


def _unpickled(name: str, inside: bool, arguments: Any, function: Any, wrapped: bool) -> _Call:
    original = function.__wrapped__ if wrapped else function
    return _Call(name, inside, original, arguments, original, function)


@dataclass
class _Inside:
    """The graph between the operands and one number of a result.

    Attributes
    ----------
    output : Value
        The number.
    nodes : list of Value
        The nodes that the call made for it, in topological order; the output is the last.
    operands : list of Value
        The Values from outside that they use, in the order of use.
    local : list of float or None
        ∂output/∂operand, summed over all paths; None where no message arrives.
    fingerprint : bytes
        Equal for two runs with the same operations on the same numbers.
    """

    output: Value
    nodes: list[Value]
    operands: list[Value]
    local: list[float | None]
    fingerprint: bytes

    @classmethod
    def of(cls, output: Value, made: set[Value]) -> _Inside:
        """The graph of an output, among the nodes made by the call."""
        outside = {o for node in made for o in node.operands if type(o) is not float and o not in made}
        order = topological_order(output, leaves=outside)
        nodes = order[len(outside) :]
        reached = reverse(order, {output: 1.0}, recorded if _are_leaves(outside) else _cut(made))
        place: dict[Value, int] = {}
        operands: list[Value] = []
        done: list[Any] = []
        for k, node in enumerate(nodes):
            rule: Any = node.op
            done += (rule.name, node._data)
            for o in node.operands:
                if type(o) is not float and o not in place:
                    operands.append(o)
                    place[o] = -len(operands)
                done.append(o if type(o) is float else place[o])
            place[node] = k
        local = [reached.get(x) for x in operands]
        numbers = [x._data for x in operands]
        written = marshal.dumps((done, numbers, local), 2)  # version 2: bytes do not depend on sharing
        return cls(output, nodes, operands, local, hashlib.blake2b(written, digest_size=16).digest())


def _are_leaves(nodes: Iterable[Value]) -> bool:
    return not any(node.operands for node in nodes)


def _cut(made: set[Value]) -> LocalDerivatives[Value]:
    """The local derivatives of these nodes; others send no messages."""
    return lambda node: node.local_grads if node in made else ()


def _short_cut(call: _Call, index: int, output: Value, made: set[Value], twins: dict[Value, Value]) -> Value:
    """One node in place of all nodes that were made for an output."""
    inside = _Inside.of(output, made)
    arguments = tuple([twins.get(x) for x in inside.operands])
    rule = _Checkpoint(call, index, arguments, output.data, inside.fingerprint)
    node = _node(output.data, rule, tuple(inside.operands), tuple(inside.local))
    node.label = output.label
    return node


class _Checkpoint(CallRule):
    """The rule of a checkpoint's node."""

    kind = "checkpoint"
    __slots__ = ("arguments", "before", "fingerprint")
    arguments: tuple[Value | None, ...]  # for each operand the leaf that stands for it in the kept arguments, if any
    before: float
    fingerprint: bytes

    def __init__(
        self, call: _Call, index: int, arguments: tuple[Value | None, ...], before: float, fingerprint: bytes
    ) -> None:
        super().__init__(call, index)
        object.__setattr__(self, "arguments", arguments)
        object.__setattr__(self, "before", before)
        object.__setattr__(self, "fingerprint", fingerprint)

    def _second_run(self, operands: Sequence[Value] = ()) -> _Inside:
        """The graph of a second run: on the operands that were arguments, or on the kept numbers if none are given."""
        values = {twin: now for twin, now in zip(self.arguments, operands) if twin is not None}
        made, leaves = self.call.run(values)
        output = leaves[self.index] if self.index < len(leaves) else None
        if isinstance(output, Value) and output in made:
            inside = _Inside.of(output, made)
            if inside.fingerprint == self.fingerprint:
                return inside
        shown = output._data if isinstance(output, Value) else output
        same = " too, but by other operations or from other numbers" if shown == self.before else ""
        raise ValueError(
            f"{self.name} computed {self.before!r}; when it ran again, for a higher derivative or for other operands, "
            f"it computed {shown!r}{same}. Something that the function reads has changed since: a Value's .data, a "
            "global, an attribute, or a random number. Differentiate before changing it, or make it an argument"
        )

    def again(self) -> Formula:
        """The number as a function of the operands: the operations of the second run, on other operands."""
        inside = self._second_run()

        def compute(operands: Sequence[Any]) -> Any:
            now: dict[Any, Any] = dict(zip(inside.operands, operands))
            replay(inside.nodes, now)
            return now[inside.output]

        return compute

    def local_derivatives(
        self, operands: Sequence[Any], output: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The local derivatives as Values, by a sweep over the second run."""
        inside = self._second_run(operands)
        end = inside.output
        if any(a is not b for a, b in zip(inside.operands, operands)):  # a copy of the node has other operands
            now: dict[Any, Any] = dict(zip(inside.operands, operands))
            replay(inside.nodes, now)
            end = now[end]
        inputs = [x for k, x in enumerate(operands) if wanted is None or wanted[k]]
        order = topological_order(end, leaves=operands)
        found = reverse(order, {end: 1.0}, local_derivatives_on_values(order, inputs))
        return tuple([found.get(x) if wanted is None or wanted[k] else None for k, x in enumerate(operands)])

    def __reduce__(self) -> tuple[Any, ...]:
        return _Checkpoint, (self.call, self.index, self.arguments, self.before, self.fingerprint)
