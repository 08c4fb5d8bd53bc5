"""What a module is besides its numbers, as plain data: classes, settings, sizes, and which parameters are shared.

A description is made of what JSON can hold:

=============================  ==============================================================================
``"value"``                    a parameter
``{"same": path}``             a parameter or module that was described before
``{"class": name, ...}``       a module, with its ``attributes``
``{"list": [...]}``            a list; also ``tuple``, ``dict`` (pairs) and ``array`` (with its ``shape``)
``{"repeat": item, "of": n}``  inside a list: n parts with the same description, which hold parameters
``{"setting": x}``             a number, text, truth or None
``{"numbers": [...]}``         an array of numbers that are not trained, with its ``dtype`` and ``shape``
``{"function": name}``         ``rules.tanh``, a row of the table, or ``math.max``, a function of `autograd.math`
``{"other": name}``            something else, known by its name only
=============================  ==============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, NoneType
from typing import Any

import autograd.math as am
from autograd import Rule, Value, rules
from autograd.tree import cached_properties, is_array
from nn.module import Module
from nn.state import needed

Description = Any
NOT_DESCRIBED = frozenset({"path", "_held"})  # attributes that follow from the rest


class NotBuildableError(ValueError):
    """A description names something that only the user's own code can make."""


# ---- describing -------------------------------------------------------------------------------------------------


def describe(module: Module) -> Description:
    """The description of a module."""
    return _described(module, "model", {})


def _described(found: Any, path: str, seen: dict[int, str]) -> Description:
    if isinstance(found, (Value, Module)):
        if id(found) in seen:
            return {"same": seen[id(found)]}
        seen[id(found)] = path
        return "value" if isinstance(found, Value) else _of_module(found, path, seen)
    if isinstance(found, (str, float, int, bool, NoneType)):
        return {"setting": found}
    if type(found) in (list, tuple):
        return {type(found).__name__: _merged([_described(x, f"{path}[{i}]", seen) for i, x in enumerate(found)])}
    if type(found) is dict:
        pairs = [(key, _described(x, f"{path}[{key!r}]", seen)) for key, x in found.items()]
        return {"dict": [[_described(key, path, seen), item] for key, item in pairs]}
    if is_array(found):
        return _of_array(found, path, seen)
    name = _name_of_function(found)
    return {"function": name} if name else {"other": _name(found)}


def _of_module(module: Module, path: str, seen: dict[int, str]) -> Description:
    without = NOT_DESCRIBED | cached_properties(type(module))
    attributes = {
        name: _described(x, f"{path}.{name}", seen) for name, x in vars(module).items() if name not in without
    }
    return {"class": class_name(type(module)), "attributes": attributes}


def _of_array(array: Any, path: str, seen: dict[int, str]) -> Description:
    shape = list(array.shape)
    if array.dtype == object:
        items = [_described(x, f"{path}[{i}]", seen) for i, x in enumerate(array.ravel().tolist())]
        return {"array": _merged(items), "shape": shape}
    if array.dtype.kind in "biuf":
        return {"numbers": array.ravel().tolist(), "dtype": array.dtype.str, "shape": shape}
    return {"other": f"array of {array.dtype}"}


def _merged(items: list[Description]) -> list[Description]:
    """Equal neighbours that hold parameters, written once."""
    merged: list[Description] = []
    for item in items:
        last = merged[-1] if merged else None
        if isinstance(last, dict) and "repeat" in last and last["repeat"] == item:
            last["of"] += 1
        elif merged and last == item and count(item):
            merged[-1] = {"repeat": item, "of": 2}
        else:
            merged.append(item)
    return merged


def class_name(kind: type) -> str:
    """The name of a module's class: ``nn.MLP`` for those of this package, wherever they are defined in it."""
    return f"nn.{kind.__name__}" if kind.__module__.partition(".")[0] == "nn" else kind.__qualname__


def _name(found: Any) -> str:
    kind = found if isinstance(found, (FunctionType, type)) else type(found)
    return f"{kind.__module__}.{kind.__qualname__}"


def _name_of_function(found: Any) -> str | None:
    """The name of a row of the table or of a function of `autograd.math`, by which `_function` finds it again."""
    if isinstance(found, Rule):
        return f"rules.{found.name}" if rules.TABLE.get(found.name) is found else None
    name = getattr(found, "__name__", None)
    known = callable(found) and name in am.__all__ and getattr(am, name) is found
    return f"math.{name}" if known else None


def count(description: Description) -> int:
    """How many different parameters are described.

    Raises
    ------
    ValueError
        If a part without parameters is repeated: `describe` writes no such thing, and nothing would bound its number.
    """
    if description == "value":
        return 1
    if isinstance(description, list):
        return sum(map(count, description))
    if not isinstance(description, dict):
        return 0
    if "repeat" in description:
        inside = count(description["repeat"])
        if not inside:
            raise ValueError("a part without parameters is repeated")
        return int(description["of"]) * inside
    return sum(map(count, description.values()))


# ---- comparing --------------------------------------------------------------------------------------------------


def difference(one: Description, other: Description, path: str = "model") -> tuple[str, str, str] | None:
    """The first place where two descriptions differ, and what each has there, in words; None if they are equal."""
    if json.dumps(one) == json.dumps(other):  # ==, but 1, 1.0 and True differ, and nan equals nan
        return None
    if isinstance(one, dict) and isinstance(other, dict) and _kind(one) == _kind(other):
        for found in (_inner_difference(kind, one[kind], other[kind], path) for kind in one):
            if found:
                return found
    return path, in_words(one), in_words(other)


def _kind(description: dict[str, Any]) -> tuple[Any, ...]:
    return (*description, description.get("class"))


def _inner_difference(kind: str, one: Any, other: Any, path: str) -> tuple[str, str, str] | None:
    if kind == "attributes":
        for name in [*one, *[name for name in other if name not in one]]:
            found = difference(one.get(name), other.get(name), f"{path}.{name}")
            if found:
                return found
    if kind in ("list", "tuple", "array") and _length(one) == _length(other):
        for i, (x, y) in enumerate(zip(_each(one), _each(other))):
            if found := difference(x, y, f"{path}[{i}]"):
                return found
    if kind == "dict" and [key for key, _ in one] == [key for key, _ in other]:
        for (key, x), (_, y) in zip(one, other):
            if found := difference(x, y, f"{path}[{key.get('setting', '…')!r}]"):
                return found
    return None


def in_words(description: Description) -> str:
    """A description for an error message."""
    if description is None:
        return "nothing"
    if description == "value":
        return "a parameter"
    for kind in ("list", "tuple", "dict", "array"):
        if kind in description:
            return f"{'an' if kind == 'array' else 'a'} {kind} of {_length(description[kind])}"
    if "setting" in description:
        return repr(description["setting"])
    if "same" in description:
        return f"what {description['same']} is"
    return str(next(iter(description.values())))[:80]


def _length(items: Sequence[Description]) -> int:
    return sum(item["of"] if isinstance(item, dict) and "repeat" in item else 1 for item in items)


def _each(items: Sequence[Description]) -> Iterator[Description]:
    """The descriptions of all parts, with repeats."""
    for item in items:
        if isinstance(item, dict) and "repeat" in item:
            for _ in range(item["of"]):
                yield item["repeat"]
        else:
            yield item


# ---- building ---------------------------------------------------------------------------------------------------


def build(description: Description, classes: dict[str, type[Module]]) -> Module:
    """A module of the described structure, whose parameters are 0. No code that the description names is run.

    Parameters
    ----------
    description : plain data
        What `describe` returned.
    classes : dict
        The classes that may be made, by their names.

    Raises
    ------
    NotBuildableError
        If another class, function or object is needed.
    """
    module = _Builder(classes).build(description, "model")
    if not isinstance(module, Module):
        raise ValueError("the description is not that of a module")
    module.label_parameters()
    return module


class _Builder:
    """Keeps what has been built by its path, for parameters and modules that are held in several places."""

    def __init__(self, classes: dict[str, type[Module]]) -> None:
        self.classes = classes
        self.made: dict[str, Any] = {}

    def build(self, description: Description, path: str) -> Any:
        """What is described, at this path."""
        if description == "value":
            self.made[path] = Value(0.0)
            return self.made[path]
        kind = next(iter(description), "nothing")
        maker: Callable[[Any, str], Any] = getattr(self, f"_make_{kind}")
        return maker(description, path)

    def _make_class(self, description: Description, path: str) -> Module:
        name = description["class"]
        if name not in self.classes:
            raise NotBuildableError(f"{path} is a {name}")
        module = self.made[path] = object.__new__(self.classes[name])
        for attribute, item in description["attributes"].items():
            vars(module)[attribute] = self.build(item, f"{path}.{attribute}")
        return module

    def _make_same(self, description: Description, path: str) -> Any:
        return self.made[description["same"]]

    def _make_setting(self, description: Description, path: str) -> Any:
        return description["setting"]

    def _make_list(self, description: Description, path: str) -> list[Any]:
        return [self.build(item, f"{path}[{i}]") for i, item in enumerate(_each(description["list"]))]

    def _make_tuple(self, description: Description, path: str) -> tuple[Any, ...]:
        return tuple(self._make_list({"list": description["tuple"]}, path))

    def _make_dict(self, description: Description, path: str) -> dict[Any, Any]:
        pairs = [(self.build(key, path), item) for key, item in description["dict"]]
        return {key: self.build(item, f"{path}[{key!r}]") for key, item in pairs}

    def _make_array(self, description: Description, path: str) -> Any:
        numpy = needed("numpy", "arrays")
        array = numpy.empty(_length(description["array"]), dtype=object)
        array[:] = self._make_list({"list": description["array"]}, path)
        return array.reshape(description["shape"])

    def _make_numbers(self, description: Description, path: str) -> Any:
        numpy = needed("numpy", "arrays")
        return numpy.array(description["numbers"], dtype=description["dtype"]).reshape(description["shape"])

    def _make_function(self, description: Description, path: str) -> Any:
        where, _, name = description["function"].partition(".")
        if where == "rules" and name in rules.TABLE:
            return rules.TABLE[name]
        if where == "math" and name in am.__all__:
            return getattr(am, name)
        raise NotBuildableError(f"{path} is the function {description['function']}")

    def _make_other(self, description: Description, path: str) -> Any:
        raise NotBuildableError(f"{path} is {description['other']}")
