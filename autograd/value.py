"""The node of the graph: a number that remembers what it was computed from.

This is the readable definition of `Value`. The arithmetic comes from the table in `rules.py`, the sweeps from
`sweep.py`; what is left is a record of six fields. Where the C build is in use, the last lines of this module put
its class of the same name in place, with everything that it does not do itself taken from the class below.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import wraps
from math import inf, isfinite
from numbers import Number, Real
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar, cast

from autograd import arrays, graphs, rules, sweep
from autograd.help_text import HELP
from autograd.ieee import refuse_tensor, to_float
from autograd.modes import (
    AnomalyError,
    active_mode,
    caller,
    captures,
    current_mode,
    current_recorder,
    keeps_copies,
    note_decision,
    note_made,
    now,
    refuse_in_capture,
)
from autograd.native import completed, extension, fast
from autograd.refusals import is_asked_by_adopted_code, refuse_conversion
from autograd.rules import TABLE, Rule

Operand: TypeAlias = "Value | float"
Binary: TypeAlias = "Callable[[Value, Operand], Value]"
Method = TypeVar("Method", bound=Callable[..., Any])


def _mixes(other: object) -> bool:
    """Whether arithmetic with `other` is ours; numbers that are refused get their reason from `to_float`."""
    refuse_tensor(other)
    return isinstance(other, (Value, float, int, Number)) or type(other).__name__ in ("bool", "bool_")


def _operators(rule: Rule) -> tuple[Binary, Binary]:
    """The two methods of a binary operator: Value on the left, Value on the right.

    Two Values, or a Value and a float, take a fast path; everything else goes through `apply_rule`.
    """
    value, (by_left, by_right) = rule.value, rule.derivatives

    def forward(self: Value, other: Operand) -> Value:
        if type(other) is int:
            other = to_float(other)
        if type(self) is Value:
            a = self._data
            if type(other) is Value:
                b = other._data
                y = value(a, b)
                return _node(y, rule, (self, other), (by_left(a, b, y), by_right(a, b, y)))
            if type(other) is float:
                y = value(a, other)
                return _node(y, rule, (self, other), (by_left(a, other, y), None))
        return rule(self, other) if _mixes(other) else NotImplemented

    def reflected(self: Value, other: Operand) -> Value:
        if type(other) is int:
            other = to_float(other)
        if type(self) is Value and type(other) is float:
            y = value(other, self._data)
            return _node(y, rule, (other, self), (None, by_right(other, self._data, y)))
        return rule(other, self) if _mixes(other) else NotImplemented

    return forward, reflected


def _stand_in(node: Value) -> Any:
    """What is asked for the number of a node: itself or, in a capture, what stands for it in the program."""
    recorder = current_recorder()
    return node if recorder is None else recorder.read(node)


def _reads(answer: Callable[[Any], Any]) -> Callable[[Method], Method]:
    """Mark a method that reads the number; `answer` does the same with what stands for the node in a capture."""

    def mark(method: Method) -> Method:
        @wraps(method)
        def ask(self: Value) -> Any:
            if captures and (stand_in := _stand_in(self)) is not self:
                return answer(stand_in)
            return method(self)

        return cast(Method, ask)

    return mark


def _comparison(compare: Callable[[float, float], bool]) -> Callable[[Value, object], bool]:
    def method(self: Value, other: object) -> bool:
        if captures and (stand_in := _stand_in(self)) is not self:
            return compare(stand_in, other)  # type: ignore[arg-type]
        if not isinstance(other, (Value, Real)):
            return NotImplemented  # type: ignore[no-any-return]  # Python asks the other operand then
        number: Any = other._data if isinstance(other, Value) else other
        outcome = compare(self._data, number)
        if captures:
            note_decision((self, other), outcome)
        return outcome

    return method


def _method(rule: Rule) -> Callable[..., Value]:
    """A row as a method; the operands beyond self are its arguments."""

    def method(self: Value, *others: Operand) -> Value:
        result: Value = rule(self, *others)
        return result

    method.__name__ = rule.name
    method.__doc__ = HELP.get(rule.name, f"{rule.symbol} of this Value: the row `{rule.name}` of the table.")
    return fast(method, rule.name)


class Value:
    """A scalar in a computation graph.

    Parameters
    ----------
    data : int, float, bool, Fraction, NumPy scalar or array of no dimensions
        The number; kept as a float.
    label : str, optional
        A name for pictures and error messages.

    Attributes
    ----------
    data : float
        The number. Assigning it on a leaf is how people train; on a computed node it raises AttributeError.
    grad : float
        ∂output/∂self, summed over all `backward` calls since it was last set to 0.
    op : Rule or None
        The row of the table that made the node; None for a leaf.
    operands : tuple
        What it was computed from: Values and plain floats, in order.
    parents : tuple of Value
        The Values among the operands, in order, with repeats (``x * x`` has two).
    local_grads : tuple
        ∂self/∂operand for each operand; None where no message goes (constants, unselected branches). Like `op` and
        `operands` not to be assigned; the C build refuses it.
    label : str or None
        May be assigned, text or None.
    source : str or None
        The line that made the node, if it was made under `record_sources()` or `detect_anomaly()`.

    Raises
    ------
    TypeError
        If the data is not a real number, or the label neither text nor None; the message says what to pass.

    Examples
    --------
    >>> from autograd import Value
    >>> x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    >>> z = x * y + x**2
    >>> z.backward()
    >>> z.data, x.grad, y.grad
    (-2.0, 1.0, 2.0)
    """

    __slots__ = ("_data", "_grad", "op", "operands", "local_grads", "_label", "_source", "__weakref__")
    op: Rule | None
    operands: tuple[Any, ...]  # Values and floats
    local_grads: tuple[float | None, ...]
    _label: str | None
    _source: str | None

    def __init__(self, data: float, label: str | None = None) -> None:
        if isinstance(data, Value):
            raise TypeError(f"{data!r} is a Value already: use it as it is, or its .data, or .detach() for a new leaf")
        _fill(self, to_float(data), None, (), (), label, 0.0, None)

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Operand]) -> Value:
        """Make the node of one operation on Values and numbers of any kind."""
        if captures and (recorder := current_recorder()) is not None:
            captured: Value = recorder.apply_rule(rule, operands)
            return captured
        kept = tuple([o if isinstance(o, Value) else to_float(o) for o in operands])
        numbers = [o._data if isinstance(o, Value) else o for o in kept]
        data = to_float(rule.evaluate(numbers))
        local = rule.local_derivatives(numbers, data, [isinstance(o, Value) for o in kept])
        return _node(data, rule, kept, _checked(kept, local))

    @property
    @_reads(operator.attrgetter("data"))
    def data(self) -> float:
        """The number; assignable on a leaf."""
        return self._data

    @data.setter
    def data(self, number: float) -> None:
        if captures and (stand_in := _stand_in(self)) is not self:
            stand_in.data = number
        if self.op is not None:
            raise AttributeError(
                f"the data of a computed node cannot be assigned: {self.describe()} would no longer be its "
                "operation's result. Assign the data of a leaf and compute again, or take a new leaf with .detach()"
            )
        self._data = to_float(number)

    @property
    def grad(self) -> float:
        """∂output/∂self, summed over the `backward` calls."""
        if captures:
            refuse_in_capture("reading .grad")
        return self._grad

    @grad.setter
    def grad(self, number: float) -> None:
        if captures:
            refuse_in_capture("assigning .grad")
        self._grad = number if type(number) is float else to_float(number)

    @property
    def label(self) -> str | None:
        """A name for pictures and error messages; assignable."""
        return self._label

    @label.setter
    def label(self, text: str | None) -> None:
        self._label = _text(text, "label")

    @property
    def source(self) -> str | None:
        """The line that made the node, if that was recorded."""
        return self._source

    @source.setter
    def source(self, text: str | None) -> None:
        self._source = _text(text, "source")

    @property
    def parents(self) -> tuple[Value, ...]:
        """The Values among the operands."""
        return tuple([o for o in self.operands if isinstance(o, Value)])

    # ---- derivatives -------------------------------------------------------------------------------------

    def backward(self, seed: float = 1.0) -> None:
        """Add seed · ∂self/∂node to the `.grad` of every node that this one depends on."""
        sweep.backward([self], [seed])

    def zero_grad(self) -> None:
        """Set the `.grad` of this node, and of every node that it depends on, to 0."""
        if captures:
            refuse_in_capture("zero_grad()")
        for node in sweep.topological_order(self):
            node._grad = 0.0

    @classmethod
    def restore(
        cls,
        data: float,
        op: Rule | None,
        operands: tuple[Operand, ...],
        local_grads: tuple[float | None, ...],
        label: str | None = None,
        grad: float = 0.0,
        source: str | None = None,
    ) -> Value:
        """A node with the fields given: for copies, and for operations that know their own derivatives."""
        if op is not None and not isinstance(op, Rule):
            raise TypeError(f"op must be a row of the table or None, not {op!r:.80} of type {type(op).__name__}")
        kept = tuple([o if isinstance(o, Value) else to_float(o) for o in operands])
        node = Value.__new__(cls)
        _fill(node, to_float(data), op, kept, _checked(kept, local_grads), label, to_float(grad), source)
        return node

    @_reads(operator.methodcaller("detach"))
    def detach(self) -> Value:
        """A new leaf with the same data: gradients stop here."""
        return Value(self._data, self.label)

    # ---- numbers: comparisons, truth and text look at the data -----------------------------------------------

    __hash__ = object.__hash__

    @_reads(bool)
    def __bool__(self) -> bool:
        outcome = self._data != 0.0
        if captures:
            note_decision((self,), outcome)
        return outcome

    def __float__(self) -> NoReturn:
        refuse_conversion(self)

    def __int__(self) -> NoReturn:
        refuse_conversion(self, "an int")

    def __index__(self) -> NoReturn:
        refuse_conversion(self, "an index")

    __complex__ = __float__

    # ---- what floats have ----------------------------------------------------------------------------------

    @property
    def real(self) -> Value:
        """The Value itself, which is a real number."""
        return self

    @property
    def imag(self) -> float:
        """0, as for any real number."""
        return 0.0

    def is_integer(self) -> bool:
        """Whether the number is whole: a comparison, so a guard when compiled."""
        return bool(rules.trunc(self) == self) and bool(abs(self) < inf)

    @_reads(operator.methodcaller("as_integer_ratio"))
    def as_integer_ratio(self) -> tuple[int, int]:
        """`float.as_integer_ratio` of the number, in adopted code; elsewhere refused, as the ints carry no gradient."""
        if not is_asked_by_adopted_code():
            refuse_conversion(self, "a fraction")
        return self._data.as_integer_ratio()

    def hex(self) -> str:
        """`float.hex` of the number, for messages: when compiled, the text stays that of the first call."""
        return float(now(self)).hex()

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label={self.label!r}"
        return f"Value(data={self._data!r}, grad={self._grad!r}{label})"

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else repr(self)

    def describe(self) -> str:
        """The node's operation with its operands, for messages: ``log(x=0.0)``."""
        if self.op is None:
            return f"the leaf {self.label or ''}={self._data!r}"
        shown = [
            f"{o.label}={o._data!r}" if isinstance(o, Value) and o.label else f"{getattr(o, '_data', o)!r}"
            for o in self.operands[:8]
        ]
        more = [f"… {len(self.operands) - 8} more"] if len(self.operands) > 8 else []
        return f"{self.op.name}({', '.join(shown + more)})" + (f" {self.label!r}" if self.label else "")

    # ---- NumPy, copies -------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return arrays.apply_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return arrays.apply_function(function, args, options)

    def __copy__(self) -> Value:
        if keeps_copies():
            return graphs.connected_copy(self)
        if captures and (stand_in := _stand_in(self)) is not self:
            return cast(Value, stand_in.detach() if self.op is None else stand_in)
        return graphs.copy_node(self, self.operands)

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        if keeps_copies():
            return graphs.connected_copy(self, memo)
        if captures and (stand_in := _stand_in(self)) is not self:
            return cast(Value, stand_in.detach())
        return graphs.copy_graph(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return graphs.reduce_graph(self)

    # ---- arithmetic: each method is a row ----------------------------------------------------------------------

    __add__, __radd__ = _operators(rules.add)
    __sub__, __rsub__ = _operators(rules.sub)
    __mul__, __rmul__ = _operators(rules.mul)
    __truediv__, __rtruediv__ = _operators(rules.div)
    __floordiv__, __rfloordiv__ = _operators(rules.floordiv)
    __mod__, __rmod__ = _operators(rules.mod)
    __pow__, __rpow__ = _operators(rules.pow)
    __neg__, __pos__, __abs__ = _method(rules.neg), _method(rules.pos), _method(rules.abs)
    __floor__, __ceil__, __trunc__ = _method(rules.floor), _method(rules.ceil), _method(rules.trunc)
    __lt__, __le__ = _comparison(operator.lt), _comparison(operator.le)
    __gt__, __ge__ = _comparison(operator.gt), _comparison(operator.ge)
    __eq__ = _comparison(operator.eq)
    __ne__ = _comparison(operator.ne)

    def __round__(self, digits: int | None = None) -> Value:
        rounded: Value = rules.rint(self) if digits is None else rules.round(self, float(digits))
        return rounded

    def __divmod__(self, other: Operand) -> tuple[Value, Value]:
        return self // other, self % other

    def __rdivmod__(self, other: Operand) -> tuple[Value, Value]:
        return other // self, other % self

    def leaky_relu(self, slope: Operand = 0.01) -> Value:
        """self where it is positive, else slope * self."""
        return _method(rules.leaky_relu)(self, slope)

    def elu(self, alpha: Operand = 1.0) -> Value:
        """self where it is positive, else alpha * (exp(self) - 1)."""
        return _method(rules.elu)(self, alpha)

    if TYPE_CHECKING:  # for editors and type checkers; a test holds it against the table
        acos = acosh = asin = asinh = atan = atanh = cbrt = cos = cosh = digamma = erf = erfc = __neg__
        exp = exp2 = expm1 = gamma = gelu = lgamma = log = log10 = log1p = log2 = relu = __neg__
        rint = sigmoid = sign = silu = sin = sinh = softplus = sqrt = tan = tanh = __neg__
        abs = ceil = floor = neg = trunc = __neg__
        atan2 = hypot = copysign = fmod = remainder = logaddexp = pow = _operators(rules.add)[0]


_new = object.__new__


def _checked(operands: tuple[Operand, ...], local_grads: Sequence[Any]) -> tuple[float | None, ...]:
    """The local derivatives as floats, one for each operand; None for constants."""
    if len(local_grads) != len(operands):
        raise ValueError(f"{len(operands)} operands need as many local derivatives, not {len(local_grads)}")
    local = [d if d is None or type(d) is float else to_float(d) for d in local_grads]
    return tuple([d if isinstance(o, Value) else None for o, d in zip(operands, local)])


def _text(given: object, field: str) -> str | None:
    """A label or a source line, which is text or None: nothing else may hang on a node, other nodes least of all."""
    if given is None or type(given) is str:
        return given
    if isinstance(given, str):  # its attributes are left behind
        return str.__str__(given)
    raise TypeError(
        f"the {field} of a Value is text or None, not {given!r:.80} of type {type(given).__name__}: "
        "pass str(...), or keep objects in a dict by Value"
    )


def _fill(
    node: Value,
    data: float,
    op: Rule | None,
    operands: tuple[Operand, ...],
    local_grads: tuple[float | None, ...],
    label: str | None,
    grad: float,
    source: str | None,
) -> None:
    """The fields of a new node."""
    if getattr(node, "op", None) is not None:
        raise AttributeError(f"{node.describe()} is computed already: make a new Value")
    label, source = _text(label, "label"), _text(source, "source")
    node._data, node._grad = data, grad
    node.op, node.operands, node.local_grads = op, operands, local_grads
    node._label, node._source = label, source
    if captures:
        note_made(node)


def _node(data: float, rule: Rule, operands: tuple[Operand, ...], local_grads: tuple[float | None, ...]) -> Value:
    """The new node of an operation, as the mode in force wants it. Every operation passes through here."""
    node = _new(Value)
    node._data = data
    node._grad = 0.0
    node.op = rule
    node.operands = operands
    node.local_grads = local_grads
    node._label = node._source = None
    mode = current_mode()
    if mode is not None:
        if mode.recorder is not None:
            captured: Value = mode.recorder.apply_rule(rule, operands)
            return captured
        if mode.sources:
            node.source = caller()
        if mode.anomaly and not isfinite(data):
            _raise_anomaly(node)
        if not mode.recording:
            node.op, node.operands, node.local_grads = None, (), ()
        elif mode.made is not None:
            mode.made.add(node)
    if captures:
        note_made(node)
    return node


def _raise_anomaly(node: Value) -> NoReturn:
    raise AnomalyError(f"{node.describe()} made {node.data!r} at {node.source}")


for _rule in TABLE.values():
    if not hasattr(Value, _rule.name) and _rule.name not in ("where", "dot", "polygamma"):
        setattr(Value, _rule.name, _method(_rule))
for _name in ("arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh"):
    setattr(Value, _name, _method(TABLE[arrays.RENAMED[_name]]))  # NumPy calls them on the elements of arrays
for _name in ("conjugate", "degrees", "radians", "deg2rad", "rad2deg"):
    setattr(Value, _name, arrays.UFUNCS[_name])


def _in_c(python: type[Value]) -> Any:
    """The class of the C build, with all that it does not define itself taken from the class above."""
    kind: Any = extension.setup(
        python, TABLE, active_mode, captures, to_float, caller, _raise_anomaly, _text, note_made
    )
    kind.apply_rule = classmethod(fast(python.apply_rule.__func__))  # type: ignore[attr-defined]
    return completed(kind, python)


if not TYPE_CHECKING and extension is not None:
    Value, _node, _fill = _in_c(Value), extension.node, extension.fill
Real.register(Value)
