"""Both builds of the engine in one process: the C build, and a second copy of the package in pure Python."""

from __future__ import annotations

import importlib
import os
import struct
import sys
from types import SimpleNamespace
from unittest import mock

import pytest

import autograd

NAMES = (
    "AnomalyError", "Value", "backend", "backward", "custom_gradient", "detect_anomaly", "no_grad", "record_sweep",
    "topological_order",
)  # fmt: skip  # a list of words
MODULES = ("math", "modes", "native", "rules", "sweep", "transforms", "value")


def _modules(package):
    """Return some of the package's names and modules in one namespace."""
    names = {name: getattr(package, name) for name in NAMES}
    modules = {name: importlib.import_module(f"autograd.{name}") for name in MODULES}
    return SimpleNamespace(**names, **{f"{name}_module": module for name, module in modules.items()})


def _second_copy(pure):
    """Import the package again, in the other build, and restore sys.modules and the environment."""
    own = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "autograd"}
    try:
        with mock.patch.dict(os.environ, {"AUTOGRAD_PURE_PYTHON": "1" if pure else "0"}):
            return _modules(importlib.import_module("autograd"))
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "autograd"]:
            del sys.modules[name]
        sys.modules.update(own)


if autograd.backend() == "c":
    C, PYTHON = _modules(autograd), _second_copy(pure=True)
else:
    C, PYTHON = _second_copy(pure=False), _modules(autograd)

needs_c = pytest.mark.skipif(C.backend() != "c", reason=f"no C build: {C.native_module.why_python}")


def bits(number):
    """Return the bits of a float; all nans are equal, because the sign and payload of a nan mean nothing."""
    return "nan" if number != number else struct.pack("<d", number).hex()


def seen(thing):
    """Return the parts of a result that can be compared between the builds."""
    if hasattr(thing, "local_grads"):
        fields = (thing.data, thing.grad, thing.op, thing.operands, thing.local_grads, thing.label, thing.source)
        return ("Value", type(thing).__name__, *map(seen, fields))
    if type(thing) is float:
        return bits(thing)
    if isinstance(thing, (list, tuple)):
        return (type(thing).__name__, *map(seen, thing))
    if isinstance(thing, dict):
        return ("dict", sorted((repr(seen(key)), seen(item)) for key, item in thing.items()))
    if hasattr(thing, "dtype"):
        return (type(thing).__name__, str(thing.dtype), seen(thing.tolist()))
    return (type(thing).__name__, repr(thing))


def outcome(function, *arguments, **options):
    """Return the outcome of a call: its result, or the exception's type and message."""
    try:
        return seen(function(*arguments, **options))
    except Exception as error:
        return ("raised", type(error).__name__, str(error))
