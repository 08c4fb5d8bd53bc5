"""Models without memory: only these can be compiled, because all rows are then computed from one model."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from autograd import Value
from autograd.modes import no_grad
from nn.data import Array, row_of
from nn.dropout import rates_of
from nn.module import Module, walk
from nn.templates import Template


def refuse_memory(template: Template, inputs: Array) -> None:
    """Raise if a call of the model leaves something in it that depends on the calls before, or replaces a parameter.

    An attribute that every call sets anew, such as its last output, is no memory.

    Raises
    ------
    TypeError
        With the name of the attribute.
    """
    model = template.copy()
    before, parameters = _settings(model), _parameters(model)
    after_one = _after(model, inputs[:1])
    for name, parameter in _parameters(model).items():
        if parameters.get(name) is not parameter:
            raise TypeError(
                f"a call of the model puts a number of its own into {name}, which holds a parameter (a Value): keep "
                "what a call computes in another attribute, which holds no Value when the training begins"
            )
    if after_one == before:
        return
    far = int(np.argmax(np.abs(inputs).reshape(len(inputs), -1).sum(axis=1)))  # a row of zeros may add nothing
    after_two = _after(template.copy(), [inputs[far], inputs[0]])
    changed = [name for name in sorted({*after_one, *after_two}) if after_one.get(name) != after_two.get(name)]
    if changed:
        raise TypeError(
            f"a call of the model changes {', '.join(changed)}: what it leaves there depends on the calls before. "
            "Compiled, all rows are computed from one model, and the change would be lost: pass jit=False; or hand the "
            "number on from step to step with `autograd.scan`, as nn.Recurrent does"
        )


def _after(model: Any, rows: Iterable[Any]) -> dict[str, Hashable]:
    """The settings of a model after it has been called with these rows."""
    with no_grad():
        for row in rows:
            rates_of(lambda row=row: model(row_of(np.asarray([row]), 0)))  # type: ignore[misc]
    return _settings(model)


def _parameters(model: Any) -> dict[str, Value]:
    return {path: found for path, found in walk(model) if isinstance(found, Value)}


def _settings(model: Any) -> dict[str, Hashable]:
    """Everything in a model but its parameters, by name, as it is now."""
    from autograd.compiler.capture.exact import exact

    found: dict[str, Hashable] = {}
    for path, part in walk(model):
        if isinstance(part, Module):
            for name, setting in part.tree_flatten()[2].items():
                found[f"{path}.{name}".removeprefix(".")] = exact(_numbers(setting))
    return found


def _numbers(setting: Any) -> Any:
    """A setting with numbers in place of Values, which are equal only to themselves."""
    if isinstance(setting, Value):
        return setting.data
    if type(setting) in (list, tuple):
        return type(setting)(map(_numbers, setting))
    if type(setting) is dict:
        return {key: _numbers(x) for key, x in setting.items()}
    if isinstance(setting, np.ndarray) and setting.dtype == object:
        return _numbers(setting.tolist())
    return setting
