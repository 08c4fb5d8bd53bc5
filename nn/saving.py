"""Trained modules in files: safetensors, which hold numbers and text and can run nothing when they are read."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import autograd
from nn.architecture import NotBuildableError, build, count, describe, difference
from nn.module import Module
from nn.state import load_state_dict, needed, state_dict

TRAINING = "scalar-autograd training"  # the format of a checkpoint
VERSION = 1  # of the layout of the file; a file with a later one is refused


def save(module: Module, path: str | os.PathLike[str]) -> None:
    """Write a module to a safetensors file: its parameters, and a description of its architecture.

    The file appears whole or not at all: if writing fails, or the process is killed, an older file stays as it is.

    Parameters
    ----------
    module : Module
        The module to save.
    path : path
        The file, usually with the ending ``.safetensors``. An existing one is replaced.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from nn import MLP, load, save
    >>> model = MLP(2, [3, 1], activation="tanh", seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, os.path.join(folder, "model.safetensors"))
    ...     again = load(os.path.join(folder, "model.safetensors"))
    >>> again
    MLP of [Layer of [TanhNeuron(2), TanhNeuron(2), TanhNeuron(2)], Layer of [LinearNeuron(3)]]
    >>> again([0.5, -1.0]).data == model([0.5, -1.0]).data
    True
    """
    metadata = {
        "format": "scalar-autograd module",
        "version": str(VERSION),
        "written_by": f"scalar-autograd {autograd.__version__}",
        "architecture": json.dumps(describe(module)),
    }
    write_arrays(path, state_dict(module), metadata)


def load(path: str | os.PathLike[str], module: Module | None = None) -> Module:
    """Read a module from a file that `save` has written.

    Parameters
    ----------
    path : path
        The file.
    module : Module, optional
        A module of the same architecture, which gets the numbers. It is needed if the saved one is of a class, or has
        a function or a setting, that this package does not know: a file never says what code to run.

    Returns
    -------
    Module
        The given module, or a new one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If safetensors is not installed.
    ValueError
        If the file is damaged, is not from `save` or from a later version, if its architecture is not that of the
        given module (the message says where they differ), or if a module is needed and not given. The given module
        then has its old numbers.
    """
    arrays, metadata = read_arrays(path)
    architecture = _architecture(path, metadata)
    if module is None:
        module = _built(path, architecture, sum(array.size for array in arrays.values()))
    else:
        _check_architecture(path, architecture, module)
    load_state_dict(module, arrays)
    return module


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write arrays and text to a safetensors file, which appears whole or not at all."""
    safetensors = needed("safetensors.numpy", "files of parameters")
    content = safetensors.save(dict(arrays), dict(metadata))
    target = Path(os.path.realpath(path))  # a link stays a link
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays and the text of a safetensors file."""
    safetensors = needed("safetensors", "files of parameters")
    with open(path, "rb"):  # the usual errors for a file that is missing or may not be read
        pass
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fspath(path)!r} is not a whole safetensors file: {error}") from None


def _architecture(path: Any, metadata: Mapping[str, str]) -> Any:
    """The description in a file, if this version can read it."""
    if metadata.get("format") == TRAINING:
        raise ValueError(
            f"{os.fspath(path)!r} is a checkpoint of fit, which has more than a model: pass it as fit(..., resume=path)"
        )
    if "architecture" not in metadata or not metadata.get("version", "").isdecimal():
        raise ValueError(
            f"{os.fspath(path)!r} has no architecture, so it was not written by nn.save: read its arrays with "
            "safetensors.numpy.load_file and pass them to nn.load_state_dict"
        )
    if int(metadata["version"]) > VERSION:
        writer = metadata.get("written_by", "a later version")
        raise ValueError(
            f"{os.fspath(path)!r} has version {metadata['version']} of the format, from {writer}; "
            f"scalar-autograd {autograd.__version__} reads up to version {VERSION}: update it"
        )
    try:
        return json.loads(metadata["architecture"])
    except (RecursionError, ValueError) as error:
        raise ValueError(f"the architecture in {os.fspath(path)!r} is damaged: {error}") from None


def _check_architecture(path: Any, expected: Any, module: Module) -> None:
    found = difference(expected, json.loads(json.dumps(describe(module))))
    if found:
        place, in_file, here = found
        raise ValueError(f"{os.fspath(path)!r} holds another architecture: {place} is {in_file} there and {here} here")


def _built(path: Any, architecture: Any, numbers: int) -> Module:
    """A new module for a description in a file with this number of numbers."""
    import nn

    classes: dict[str, type[Module]] = {
        f"nn.{name}": kind
        for name, kind in vars(nn).items()
        if name in nn.__all__ and isinstance(kind, type) and issubclass(kind, Module)
    }
    try:
        if count(architecture) > numbers:
            raise ValueError(f"it describes {count(architecture)} parameters, and there are {numbers}")
        return build(architecture, classes)
    except NotBuildableError as error:
        raise ValueError(
            f"{os.fspath(path)!r} holds a module that only your code can make ({error}): make one "
            "and pass it as load(path, module)"
        ) from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"the architecture in {os.fspath(path)!r} is damaged: {error}") from None
