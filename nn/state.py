"""The parameters of a module as arrays: one for each attribute that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autograd import Value
from autograd.tree import children, is_array
from nn.layers import Neuron
from nn.module import Module

if TYPE_CHECKING:
    from numpy.typing import NDArray

Places = dict[str, tuple[tuple[int, ...], list[Value]]]  # name → shape, and the parameters in C order


def state_dict(module: Module) -> dict[str, NDArray[Any]]:
    """The numbers of all parameters, as new arrays of float64.

    An attribute that holds parameters, or nested lists of them, gives one array under its path. The neurons of a
    layer are the rows of a matrix: ``layers[0].neurons[3].w[1]`` is element [3, 1] of the array
    ``layers[0].neurons.w``. A parameter that is held in two places is in two arrays.

    Raises
    ------
    ImportError
        If NumPy is not installed.

    Examples
    --------
    >>> from nn import MLP, state_dict
    >>> state = state_dict(MLP(2, [3, 1], seed=1))
    >>> [(name, array.shape) for name, array in state.items()]
    [('layers[0].neurons.w', (3, 2)), ('layers[0].neurons.b', (3,)), \
('layers[1].neurons.w', (1, 3)), ('layers[1].neurons.b', (1,))]
    """
    numpy = needed("numpy", "arrays")
    return {
        name: numpy.array([parameter.data for parameter in parameters], dtype=numpy.float64).reshape(shape)
        for name, (shape, parameters) in places(module).items()
    }


def load_state_dict(module: Module, state: Mapping[str, Any]) -> None:
    """Give all parameters the numbers of a `state_dict`; with an error, none of them changes.

    Parameters
    ----------
    module : Module
        The module to change.
    state : mapping of str to array_like
        What `state_dict` returned for a module of the same structure; nested lists do as well.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If names are missing or unknown, a shape is wrong, a parameter is a computed node, or a parameter that is held
        in two places is given two different numbers.

    Examples
    --------
    >>> from nn import MLP, load_state_dict, state_dict
    >>> one, other = MLP(2, [3, 1], seed=1), MLP(2, [3, 1], seed=2)
    >>> load_state_dict(other, state_dict(one))
    >>> one([0.5, 2.0]).data == other([0.5, 2.0]).data
    True
    """
    expected = places(module)
    _check_names(expected, state)
    numbers: dict[Value, tuple[str, float]] = {}
    for name, (shape, parameters) in expected.items():
        for parameter, number in zip(parameters, _numbers(name, state[name], shape)):
            before = numbers.setdefault(parameter, (name, number))[1]
            if before != number and not (before != before and number != number):
                raise ValueError(
                    f"{name!r} and {numbers[parameter][0]!r} share a parameter here, but have {number!r} and "
                    f"{before!r} for it in the state: it is the state of a module that does not share it"
                )
            if parameter.op is not None:
                raise ValueError(f"{name!r} holds the computed node {parameter.describe()}: only a leaf can be set")
    for parameter, (_, number) in numbers.items():
        parameter.data = number


def places(module: Module) -> Places:
    """What `state_dict` makes arrays of: the shape and the parameters of each."""
    if not isinstance(module, Module):
        raise TypeError(f"expected an nn.Module, not {module!r:.80} of type {type(module).__name__}")
    found: Places = {}
    open_modules: set[int] = set()
    for name, tree, shape in _held(module, "", open_modules):
        if name in found:
            raise ValueError(f"two attributes have the path {name!r}: rename one of them")
        found[name] = shape, list(_leaves(tree))
    return found


def _held(found: Any, path: str, inside: set[int]) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """The largest rectangular containers of parameters, with their paths and shapes."""
    if _is_matrix_of_neurons(found):
        for attribute in ("w", "b"):
            tree = [getattr(neuron, attribute) for neuron in found]
            shape = _shape(tree)
            assert shape is not None  # all neurons have as many weights
            yield f"{path}.{attribute}".removeprefix("."), tree, shape
        return
    shape = _shape(found)
    if shape is not None:
        yield path.removeprefix("."), found, shape
        return
    parts = children(found)
    if parts is None or id(found) in inside:  # a module may refer to another one that holds it
        return
    inside.add(id(found))
    for name, child in parts.named:
        yield from _held(child, path + name, inside)
    inside.remove(id(found))


def _is_matrix_of_neurons(found: Any) -> bool:
    """Whether it is the list of a layer's neurons."""
    if type(found) is not list or not found or not all(type(neuron) is Neuron for neuron in found):
        return False
    return len({len(neuron.w) for neuron in found}) == 1


def _shape(tree: Any) -> tuple[int, ...] | None:
    """The shape of a parameter, () for one alone, or of equally long nested containers of them; else None."""
    if isinstance(tree, Value):
        return ()
    if is_array(tree):
        return tuple(tree.shape) if tree.size and all(isinstance(x, Value) for x in tree.flat) else None
    if type(tree) not in (list, tuple) or not tree:
        return None
    shapes = {_shape(child) for child in tree}
    shape = shapes.pop()
    return None if shapes or shape is None else (len(tree), *shape)


def _leaves(tree: Any) -> Iterator[Value]:
    if isinstance(tree, Value):
        yield tree
    else:
        for child in tree.flat if is_array(tree) else tree:
            yield from _leaves(child)


def _check_names(expected: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"a state is a dict of arrays, as state_dict returns it, not {given!r:.80}")
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    if missing or unknown:
        parts = [f"{what}: {_listed(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        raise ValueError(f"the state is of another module ({'; '.join(parts)})")


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _numbers(name: str, given: Any, shape: tuple[int, ...]) -> list[float]:
    """The numbers of one array of a state, in C order."""
    numpy = needed("numpy", "arrays")
    try:
        array = numpy.asarray(given)
        real = array.dtype.kind in "biuf"
    except ValueError:  # rows of different lengths
        real = False
    if not real:
        raise TypeError(f"{name!r} must be an array of real numbers, not {given!r:.80}")
    if array.shape != shape:
        raise ValueError(f"{name!r} has the shape {array.shape} in the state and {shape} in the module")
    numbers: list[float] = array.astype(numpy.float64).ravel().tolist()
    return numbers


def needed(library: str, what_for: str, extra: str = "nn") -> Any:
    """Import a library of an extra.

    Raises
    ------
    ImportError
        If it is not installed; the message says how to install it.
    """
    import importlib

    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library.partition(".")[0]:
            raise
        package = library.partition(".")[0]
        raise ImportError(f"{what_for} need {package}: pip install 'scalar-autograd[{extra}]'") from None
