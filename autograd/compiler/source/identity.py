"""Code that can distinguish a traced comparison from a bool: ``c is True``, or ``type(c)`` compared with ``bool``.

In every other use, a comparison made during a capture behaves like a bool. No object can answer these two, and none may
be what a method `__bool__` returns. So they are searched for in the code, and if it has any, comparisons become real
bools at once.
"""

from __future__ import annotations

import dis
import enum
import sys
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from itertools import islice, pairwise
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from autograd.compiler.source.mentions import mentions
from autograd.compiler.watch import closure_of, own_attributes
from autograd.modes import PACKAGES
from autograd.sources import instructions

MOST = 2000  # functions, classes and objects that are searched for one capture
# Code that is handed no comparisons of a user's, or does not tell them from bools.
NOT_ASKED = (*PACKAGES, enum.__file__)
IS_OP, COMPARE_OP = dis.opmap["IS_OP"], dis.opmap["COMPARE_OP"]
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made at run time, by a class statement


@lru_cache(maxsize=4096)
def asks_for_real_bools(code: CodeType) -> bool:
    """Whether the code of a function, or of one inside it, compares by identity with True or False, or by type.

    Or it is a method `__bool__`, from which Python takes nothing but a bool.
    """
    if code.co_name == "__bool__" or ("type" in code.co_names and "bool" in code.co_names):
        return True
    constants = [constant for constant in code.co_consts if isinstance(constant, bool)]
    if constants and IS_OP in code.co_code[::2] and _compares_identity(code):
        return True
    return any(asks_for_real_bools(constant) for constant in code.co_consts if isinstance(constant, CodeType))


def _compares_identity(code: CodeType) -> bool:
    """Whether True or False is an operand of an ``is``."""
    found = instructions(code)
    for at, instruction in enumerate(found):
        depth = 1 if instruction.opname.startswith("LOAD_CONST") and isinstance(instruction.argval, bool) else 0
        for following in found[at + 1 :]:
            if depth < 1:  # another instruction took it from the stack
                break
            if following.opcode == IS_OP and depth <= 2:
                return True
            argument = following.arg if following.opcode >= dis.HAVE_ARGUMENT else None
            depth += dis.stack_effect(following.opcode, argument, jump=False)
    return False


@lru_cache(maxsize=4096)
def indexes_by_comparison(code: CodeType) -> bool:
    """Whether a function's own code has ``a[x > y]`` or ``c = x > y; a[c]``: to an ndarray a bool is no int."""
    pairs = list(pairwise(instructions(code))) if COMPARE_OP in code.co_code[::2] else []
    stored = {
        name for one, then in pairs if one.opcode == COMPARE_OP and "STORE" in then.opname for name in _names(then)
    }
    return any(
        (then.opname.endswith("_SUBSCR") or then.argrepr == "[]")
        and (one.opcode == COMPARE_OP or ("LOAD" in one.opname and stored.issuperset(_names(one)[-1:] or (None,))))
        for one, then in pairs
    )


def _names(instruction: dis.Instruction) -> tuple[Any, ...]:
    """What an instruction loads or stores; some do two at once."""
    return instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)


def calling_code() -> CodeType:
    """The code of the nearest caller outside these packages."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGES):
        frame = frame.f_back
    return frame.f_code


def reaches_code_that_asks(function: Any) -> bool:
    """Whether a function, or something that its globals and closure refer to, has such code."""
    waiting = deque([function])
    seen: dict[int, Any] = {}  # id → thing, kept alive so that no other thing gets its id
    while waiting and len(seen) < MOST:
        thing = waiting.popleft()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if type(thing) is FunctionType and not _is_ours(thing.__code__) and asks_for_real_bools(thing.__code__):
            return True
        waiting.extend(_referred_to(thing))
    return False


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(NOT_ASKED)


def _is_in_our_module(thing: type) -> bool:
    """Whether a class is one of ours, which refers to nothing of a user's: a Value in a global leads to its class."""
    return str(getattr(sys.modules.get(thing.__module__), "__file__", None)).startswith(NOT_ASKED)


def _referred_to(thing: Any) -> Iterable[Any]:
    """Everything that a thing refers to, functions, classes and containers among it. None of its code runs."""
    bases = type(thing).__mro__
    referred = next((referred for base, referred in REFERRED.items() if base in bases), _of_instance)
    return referred(thing)


def _of_function(thing: FunctionType) -> Iterable[Any]:
    around = closure_of(thing)
    return around if _is_ours(thing.__code__) else [*around, *_named(thing)]


def _of_class(thing: type) -> Iterable[Any]:
    searched = thing.__flags__ & HEAP_TYPE and not _is_in_our_module(thing)
    return [*vars(thing).values(), *thing.__bases__] if searched else ()


def _of_instance(thing: Any) -> Iterable[Any]:
    own = own_attributes(thing)
    return (type(thing), *([own["__wrapped__"]] if "__wrapped__" in own else ()))


# Class → what its instances refer to.
REFERRED: dict[type, Callable[[Any], Iterable[Any]]] = {
    FunctionType: _of_function,
    MethodType: lambda method: (method.__func__, method.__self__),
    partial: lambda call: (call.func, *call.args, *call.keywords.values()),
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
    property: lambda found: (found.fget, found.fset),
    list: lambda things: list(islice(list.__iter__(things), MOST)),
    tuple: lambda things: list(islice(tuple.__iter__(things), MOST)),
    dict: lambda things: list(islice(dict.values(things), MOST)),
    type: _of_class,
}


def _named(function: FunctionType) -> list[Any]:
    """What the names in the code of a function, and of functions inside it, refer to outside it."""
    around, mentioned = function.__globals__, mentions(function.__code__)
    found = [around[name] for name in mentioned.names if name in around]
    modules = [vars(thing) for thing in found if isinstance(thing, ModuleType)]
    return found + [module[name] for module in modules for name in mentioned.attributes if name in module]
