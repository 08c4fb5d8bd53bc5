"""Static arguments: text, flags and whole numbers that choose what is computed. Each combination is compiled apart."""

from __future__ import annotations

import inspect
import os
from collections.abc import Hashable, Sequence
from enum import Enum
from typing import Any

import numpy as np

from autograd.compiler.c_build import extension
from autograd.compiler.capture.exact import exact
from autograd.compiler.run import pickling
from autograd.compiler.run.call import Compiled
from autograd.compiler.run.capturing import Function
from autograd.compiler.run.specialization import Options, Specialization
from autograd.transforms.static import with_static
from autograd.value import Value

KINDS = (str, bytes, bool, int, float, complex, type(None), Enum, np.generic)  # of static arguments
CONTAINERS = (tuple, frozenset)  # they may hold static arguments
COMPARED_IN_C = (str, bytes, bool, int, float, type(None))  # besides members of enums, and tuples of all these
MOST_ARGUMENTS = 32  # of a call whose static arguments are compared in C


class StaticCompiled(Compiled[..., Any]):
    """A compiled function for each combination of static arguments; `jit` returns it.

    Attributes
    ----------
    argnums, argnames : tuples
        The places and the names of the static arguments.
    fixed : dict
        Key of a combination of static arguments → the function that is compiled for it.
    """

    def __init__(
        self,
        function: Function,
        options: Options,
        argnums: Sequence[int],
        argnames: Sequence[str],
        returns_floats: bool = False,
    ) -> None:
        super().__init__(function, options, returns_floats)
        self.argnums, self.argnames = _placed(function, argnums, argnames)
        self.fixed: dict[Hashable, Compiled[..., Any]] = {}

    def compiling(self, function: Function) -> Compiled[..., Any]:
        """Another function, compiled in the same way."""
        return StaticCompiled(function, self.options, self.argnums, self.argnames, self.returns_floats)

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call the function that is compiled for these static arguments."""
        compiled, left, named = self._split(args, keywords)
        result = compiled(*left, **named)
        if extension is not None and (fixed := self._fixed(compiled, args, keywords)) is not None:
            self.prefer(fixed)
        return result

    def _fixed(self, compiled: Compiled[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any | None:
        """The C object that takes calls like this one; None if C cannot compare their static arguments."""
        positions = {i % len(args) for i in self.argnums if -len(args) <= i < len(args)}
        things = [(x,) if i in positions else () for i, x in enumerate(args)]
        things += [(x,) if name in self.argnames else () for name, x in keywords.items()]
        if len(things) > MOST_ARGUMENTS or not all(_compared_in_c(x) for thing in things for x in thing):
            return None
        left = tuple([name for name in keywords if name not in self.argnames])
        return extension.Fixed(compiled, tuple(things), len(args), tuple(keywords), left)

    def nodes(self, *args: Any, **keywords: Any) -> Any:
        """The result as Values that can be differentiated again, for any arguments."""
        compiled, args, keywords = self._split(args, keywords)
        return compiled.nodes(*args, **keywords)

    def c_source(self, *args: Any, name: str | None = None, closed: str = "constants", **keywords: Any) -> str:
        """One self-contained C99 function for these static arguments, which are constants in it."""
        if not args and not keywords:
            return super().c_source(name=name, closed=closed)
        compiled, args, keywords = self._split(args, keywords)
        from autograd.compiler.run import exports  # most processes need none of it

        return exports.example_of(compiled, args, keywords, name, closed).source.text()

    def export(
        self,
        directory: str | os.PathLike[str],
        *args: Any,
        name: str | None = None,
        closed: str = "constants",
        **keywords: Any,
    ) -> list[str]:
        """Write the function for these static arguments as files."""
        compiled, args, keywords = self._split(args, keywords)
        return compiled.export(directory, *args, name=name, closed=closed, **keywords)

    def _split(
        self, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[Compiled[..., Any], tuple[Any, ...], dict[str, Any]]:
        """The function that is compiled for these static arguments, and the other arguments."""
        count = len(args)
        positions = {i % count: args[i] for i in self.argnums if -count <= i < count}
        named = {name: keywords[name] for name in self.argnames if name in keywords}
        shown: list[tuple[Any, Any]] = [*positions.items(), *named.items()]
        for where, thing in shown:
            self._check(where, thing)
        key = exact(tuple(shown))
        if key not in self.fixed:
            with self.lock:
                if key not in self.fixed:
                    self.fixed[key] = Compiled(
                        with_static(self.function, positions, named), self.options, self.returns_floats
                    )
        left = tuple([x for i, x in enumerate(args) if i not in positions])
        return self.fixed[key], left, {k: x for k, x in keywords.items() if k not in named}

    def _check(self, where: int | str, thing: Any) -> None:
        """Raise for what cannot be compared with the argument of another call."""
        if isinstance(thing, KINDS) and not isinstance(thing, Value):
            return
        if isinstance(thing, CONTAINERS):
            for part in thing:
                self._check(where, part)
            return
        if isinstance(thing, Value):
            why = "is a number of the computation, for which nothing can be compiled apart: pass a plain number"
        elif getattr(type(thing), "__hash__", None) is None:
            why = "can change: pass text, a flag, a number, an enum member, or a tuple of such"
        else:
            why = "is not text, a flag, a number, an enum member or a tuple of such: let the function close over it"
        raise TypeError(
            f"the static argument {where!r} of {self.__name__}, {thing!r:.80} of type {type(thing).__name__}, {why}"
        )

    def paths(self) -> list[Specialization]:
        """All specializations for all static arguments."""
        return [one for compiled in list(self.fixed.values()) for one in compiled.paths()]

    def __reduce__(self) -> tuple[Any, ...]:
        packed = pickling.pack(self.function)
        where = self.argnums, self.argnames, self.returns_floats
        return _restore, (packed, self.options, *where, list(self.fixed.items()))


def _compared_in_c(thing: Any) -> bool:
    if type(thing) is tuple:
        return all(map(_compared_in_c, thing))
    return type(thing) in COMPARED_IN_C or isinstance(thing, Enum)


def _restore(
    packed: Any,
    options: Options,
    argnums: Sequence[int],
    argnames: Sequence[str],
    returns_floats: bool,
    fixed: list[tuple[Hashable, Compiled[..., Any]]],
) -> StaticCompiled:
    """The function from its pickle."""
    function = pickling.unpack(packed)
    restored = StaticCompiled(function, options, (), (), returns_floats)
    restored.argnums, restored.argnames, restored.fixed = tuple(argnums), tuple(argnames), dict(fixed)
    return restored


def _placed(
    function: Function, argnums: Sequence[int], argnames: Sequence[str]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The places and the names of the static arguments: each may be passed either way.

    Raises
    ------
    ValueError
        If the function has no such parameter.
    """
    name = getattr(function, "__name__", repr(function))
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # Python knows no signature of it
        return tuple(argnums), tuple(argnames)
    kinds = {p.kind for p in parameters}
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    places, names = [], list(argnames)
    for i in argnums:
        if -len(positional) <= i < len(positional):
            places.append(i % len(positional))
            names.append(positional[i])
        elif inspect.Parameter.VAR_POSITIONAL in kinds:
            places.append(i)
        else:
            raise ValueError(f"static_argnums has {i}, but {name} takes {len(positional)} positional arguments")
    for known in argnames:
        if known in positional:
            places.append(positional.index(known))
        elif inspect.Parameter.VAR_KEYWORD not in kinds and known not in [p.name for p in parameters]:
            raise ValueError(f"static_argnames has {known!r}, but {name} has no parameter of this name")
    return tuple(dict.fromkeys(places)), tuple(dict.fromkeys(names))
