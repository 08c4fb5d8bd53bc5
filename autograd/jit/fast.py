"""The short way from Python to machine code: a function generated for one structure of arguments.

It checks that the arguments have the structure, writes their numbers into the buffers of a frame, calls the
machine code and takes the results out: nothing else happens in a call that is neither the first nor on another path.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.jit.paths import Frame, Path
from autograd.tree import flatten

if TYPE_CHECKING:
    from autograd.jit.call import Version

MISS: Any = object()  # the generated function's answer to arguments of another structure
MOST_PARTS = 64  # a structure of more containers takes the general way


def miss(*args: Any) -> Any:
    """The generated function of a function that has none."""
    return MISS


class _Writer:
    """The text of the generated function, with the objects that it names."""

    def __init__(self) -> None:
        self.checks: list[str] = []
        self.stores: list[str] = []
        self.names: dict[str, Any] = {}
        self.views: list[tuple[int, int, tuple[int, ...]]] = []  # of ndarrays: start, stop, shape
        self.start = 0
        self.parts = 0

    def name(self, thing: Any) -> str:
        """A name for an object."""
        for name, known in self.names.items():
            if known is thing:
                return name
        name = f"c{len(self.names)}"
        self.names[name] = thing
        return name

    def argument(self, name: str, tree: Any) -> bool:
        """Check and store one argument; False if its kind takes the general way."""
        self.parts += 1
        kind = type(tree)
        if self.parts > MOST_PARTS:
            return False
        if kind is float:
            self.checks.append(f"type({name}) is not float")
            self.stores.append(f"i[{self.start}] = {name}")
            self.start += 1
            return True
        if kind is np.ndarray and tree.dtype == np.float64:
            self.checks.append(f"{_no_doubles(name)} or {name}.shape != {self.name(tree.shape)}")
            stop = self.start + tree.size
            self.stores.append(f"v{len(self.views)}[...] = {name}")
            self.views.append((self.start, stop, tree.shape))
            self.start = stop
            return True
        if kind in (list, tuple):
            return self._sequence(name, tree)
        return False

    def _sequence(self, name: str, tree: Sequence[Any]) -> bool:
        self.checks.append(f"type({name}) is not {type(tree).__name__} or len({name}) != {len(tree)}")
        if len(tree) > 4 and all(type(x) is float for x in tree):
            stop = self.start + len(tree)
            pack = self.name(struct.Struct(f"{len(tree)}d").pack_into)
            floats = self.name(frozenset([float]))
            self.checks.append(f"set(map(type, {name})) != {floats}")
            self.stores.append(f"{pack}(i, {8 * self.start}, *{name})")
            self.start = stop
            return True
        return all(self.argument(f"{name}[{k}]", child) for k, child in enumerate(tree))


def _no_doubles(name: str) -> str:
    """Text that is true of anything but an ndarray of doubles (most share one dtype object, those from pickles not)."""
    return f"type({name}) is not ndarray or {name}.dtype is not double and {name}.dtype != double"


class _Results:
    """The expression that takes a result out of the buffers."""

    def __init__(self, writer: _Writer) -> None:
        self.writer = writer
        self.start = 0
        self.views: list[tuple[int, int, tuple[int, ...]]] = []

    def expression(self, tree: Any) -> str | None:
        """Text for a result that looks like this one."""
        kind = type(tree)
        if kind is float:
            self.start += 1
            return f"o[{self.start - 1}]"
        if kind is np.ndarray:
            stop = self.start + tree.size
            self.views.append((self.start, stop, tree.shape))
            self.start = stop
            return f"w{len(self.views) - 1}.copy()"
        if kind in (list, tuple) and len(tree) > 4 and all(type(x) is float for x in tree):
            start, self.start = self.start, self.start + len(tree)
            numbers = f"o[{start}:{self.start}]"
            return numbers if kind is list else f"tuple({numbers})"
        if kind in (list, tuple, dict):
            return self._container(tree, self.expression)
        return None

    def stacked(self, tree: Any) -> str | None:
        """Text for the arrays x0, x1, … in the shape of one row's result."""
        if type(tree) in (float, np.ndarray):
            self.start += 1
            return f"x{self.start - 1}"
        return self._container(tree, self.stacked) if type(tree) in (list, tuple, dict) else None

    def _container(self, tree: Any, expression: Callable[[Any], str | None]) -> str | None:
        self.writer.parts += 1
        if self.writer.parts > MOST_PARTS:
            return None
        parts = [expression(child) for child in (tree.values() if type(tree) is dict else tree)]
        if any(part is None for part in parts):
            return None
        texts = [part for part in parts if part is not None]
        if type(tree) is dict:
            return "{" + ", ".join(f"{self.writer.name(k)}: {v}" for k, v in zip(tree, texts)) + "}"
        if type(tree) is list:
            return "[" + ", ".join(texts) + "]"
        return "(" + "".join(f"{text}, " for text in texts) + ")"


def caller(args: tuple[Any, ...], version: Version) -> Callable[..., Any] | None:
    """The generated function for arguments like these on the current path; None where only the general way will do."""
    path = version.paths[version.current]
    writer = _Writer()
    names = [f"a{k}" for k in range(len(args))]
    if not all(writer.argument(name, tree) for name, tree in zip(names, args)):
        return None
    results = _Results(writer)
    taken = results.expression(path.rebuild([0.0] * len(path.program.outputs)))
    if taken is None:
        return None
    return _generate(path, writer, results, names, taken)


def batch_caller(
    args: tuple[Any, ...], axes: Sequence[int | None], path: Path, row: Any | None
) -> Callable[..., Any] | None:
    """The same for a map over the rows of contiguous ndarrays; `row`: what a row's results look like, if any."""
    writer = _Writer()
    names = [f"a{k}" for k in range(len(args))]
    mapped = [name for name, axis in zip(names, axes) if axis is not None]
    strides: list[int] = []
    for name, tree, axis in zip(names, args, axes):
        if axis is None:
            if not writer.argument(name, tree):
                return None
            continue
        if axis != 0 or type(tree) is not np.ndarray or tree.dtype != np.float64 or not tree.size:
            return None
        writer.checks.append(
            f"{_no_doubles(name)} or {name}.shape[1:] != {tree.shape[1:]} "
            f"or not {name}.flags.c_contiguous or len({name}) != len({mapped[0]})"
        )
        strides.append(8 * (tree.size // len(tree)))
    writer.checks.append(f"not len({mapped[0]})")
    count = writer.start
    writer.stores += [f"n = t[0] = len({mapped[0]})", f"i[{count}] = n"]
    writer.stores += [f"t[{1 + 3 * k}] = {name}.__array_interface__['data'][0]" for k, name in enumerate(mapped)]
    writer.start += 1
    results = _Results(writer)
    if row is None:
        taken = results.expression(path.rebuild([0.0] * len(path.program.outputs)))
    else:
        leaves, _ = flatten(row, arrays=True)
        for k, leaf in enumerate(leaves):
            shape = getattr(leaf, "shape", ())
            writer.stores.append(f"x{k} = empty((n, {''.join(f'{side}, ' for side in shape)}))")
            writer.stores.append(f"t[{1 + 3 * len(strides)}] = x{k}.__array_interface__['data'][0]")
            strides.append(8 * getattr(leaf, "size", 1))
        taken = results.stacked(row)
    return None if taken is None else _generate(path, writer, results, names, taken, strides)


def _generate(
    path: Path, writer: _Writer, results: _Results, names: list[str], taken: str, strides: Sequence[int] = ()
) -> Callable[..., Any]:
    """The function: `strides` has the bytes from row to row of each array that a map goes over."""

    def new_frame() -> tuple[Any, ...]:
        frame = Frame(path.program.inputs, len(path.program.outputs), path.code.work)
        inputs = [frame.numbers[start:stop].reshape(shape) for start, stop, shape in writer.views]
        outputs = [frame.results[start:stop].reshape(shape) for start, stop, shape in results.views]
        table = (ctypes.c_int64 * (2 + 3 * len(strides)))()
        for k, stride in enumerate(strides):
            table[2 + 3 * k], table[3 + 3 * k] = stride, 8
        frame.block[1] = ctypes.addressof(table)
        return (frame, table, frame.inputs, frame.outputs, frame.address, *inputs, *outputs)

    parts = ["owner", "t", "i", "o", "p"]
    parts += [f"v{k}" for k in range(len(writer.views))] + [f"w{k}" for k in range(len(results.views))]
    lines = [
        f"def call({', '.join([*names, '*more'])}):",
        f"    if {' or '.join(['more', *writer.checks])}:",
        "        return MISS",
        "    try:",
        "        frame = pop()",
        "    except IndexError:",
        "        frame = new_frame()",
        f"    {', '.join(parts)} = frame",
        *[f"    {store}" for store in writer.stores],
        *[f"    i[{k}] = {writer.name(leaf)}.data" for k, leaf in enumerate(path.leaves, writer.start)],
        "    status = run(p)",
        f"    result = MISS if status else {taken}",
        "    append(frame)",
        "    return result",
    ]
    pool: list[Any] = []

    run = path.call if path.code.calls_python else path.function
    scope = {
        **writer.names, "MISS": MISS, "ndarray": np.ndarray, "double": np.dtype(float), "pop": pool.pop,
        "append": pool.append, "empty": np.empty, "new_frame": new_frame, "run": run,
    }  # fmt: skip  # a table
    exec("\n".join(lines), scope)
    generated: Callable[..., Any] = scope["call"]
    return _with_defaults(generated, len(names))


def _with_defaults(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Missing arguments are a mismatch like any other."""
    function.__defaults__ = (None,) * count
    return function
