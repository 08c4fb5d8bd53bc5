"""`adopt`: private copies of modules, or of a function, that compute on Values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, overload

from autograd.adoption.functions import adopt_function
from autograd.adoption.modules import Adopted


@overload
def adopt(
    what: str | ModuleType, *, also: Iterable[str] = (), without: Iterable[str] = (), keep: Iterable[str] = ()
) -> Any: ...
@overload
def adopt(
    what: Callable[..., Any], *, also: Iterable[str] = (), without: Iterable[str] = (), keep: Iterable[str] = ()
) -> Callable[..., Any]: ...
def adopt(what: Any, *, also: Iterable[str] = (), without: Iterable[str] = (), keep: Iterable[str] = ()) -> Any:
    """Pure Python code that others wrote, made differentiable as it stands.

    A module is loaded once more, privately, from its own source. Inside, `math` (also `cmath`, `operator`, `statistics`
    and `random`) takes floats exactly as the standard library does, errors included, and Values as `autograd.math`
    does. Other modules of the same package come along; the original and `sys.modules` stay untouched.

    Inside, `float(v)` is the Value itself, `isinstance(v, float)` is true, and `int(v)`, `round(v)` and `math.floor(v)`
    are whole numbers; compiled, they are computed in rows, and guarded where an int is needed. Where Python raises
    (``1 / 0.0``, ``math.log(0)``, ``math.sqrt(-1)``), Values raise too, because packages catch these errors. A function
    or a class is adopted with what it refers to in its own module or package; it keeps its globals and closure, so
    later changes of these are seen.

    Adopted functions are ordinary functions for `grad`, `vmap` and `jit`.

    Parameters
    ----------
    what : str, module, function or class
        The name of a module, or a module, or a function or class written in Python.
    also : iterable of str
        Other packages that it imports and that are to be adopted with it; all others are imported as ever.
    without : iterable of str
        Modules whose import fails inside, for packages that have another way: ``without=("numpy",)``.
    keep : iterable of str
        Modules that are used as they are, on plain numbers, such as a compiled extension.

    Returns
    -------
    module, function or class
        The private copy. Each call of `adopt` makes a new one.

    Raises
    ------
    AdoptionError
        An ImportError, for a compiled extension or anything else without Python source.
    ModuleNotFoundError
        If there is no such module.
    TypeError
        For anything that is neither a module nor a function; also inside, where compiled code is given a Value: the
        message has the line.

    Examples
    --------
    >>> from autograd import adopt, grad
    >>> colorsys = adopt("colorsys")
    >>> grad(lambda r: colorsys.rgb_to_hls(r, 0.5, 0.25)[1])(0.75)
    0.5

    >>> import math
    >>> def distance(x, y):
    ...     return math.sqrt(x**2 + y**2)
    >>> adopted = adopt(distance)  # from a file or a notebook
    >>> grad(adopted)(3.0, 4.0)
    0.6
    >>> adopted(3.0, 4.0)
    5.0
    """
    also, without, keep = (
        _names(names, word) for names, word in ((also, "also"), (without, "without"), (keep, "keep"))
    )
    if isinstance(what, ModuleType):
        what = what.__name__
    if isinstance(what, str):
        return Adopted([what.partition(".")[0], *also], without, keep).load(what)
    if without or keep:
        raise TypeError("without= and keep= are for modules; for a function pass also=, or adopt its module")
    return adopt_function(what, also)


def _names(given: Any, word: str) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f"{word}= takes names of modules, such as ({'numpy'!r},), not {name!r}")
    return names
