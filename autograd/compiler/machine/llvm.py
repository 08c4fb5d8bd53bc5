"""LLVM: makes machine code, loads it, and links it with the libraries and Python functions that it calls."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from autograd import ieee
from autograd.compiler.locks import llvm_lock
from autograd.compiler.lower.expressions import BINARY, LIBM
from autograd.compiler.lower.module import LOOP_MEMORY, Machine, Module
from autograd.compiler.lower.whiles import OF_PYTHON, RAISED
from autograd.once import cached_property
from autograd.rules import TABLE, Rule

try:
    import llvmlite.binding as binding
    import numpy  # noqa: F401  # the arrays of the call path
except ImportError as error:
    raise ImportError(
        f"autograd.jit compiles with llvmlite and NumPy, and {error.name} is not installed: "
        "pip install 'scalar-autograd[jit]'"
    ) from None

MOST_OPTIMISED = 30  # functions; a module with more is compiled with less optimisation
OWN_ALGORITHMS = frozenset({"hypot", "gamma", "lgamma"})  # primitives that Python's math module computes without libm
FROM_PYTHON = ("round", "digamma", "polygamma", *sorted(OWN_ALGORITHMS))  # primitives for which code may call Python
_pending = threading.local()


@functools.cache
def host() -> tuple[Any, str, str, str]:
    """LLVM's target for this machine: the target, its triple, and the name and features of the CPU."""
    with llvm_lock:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        triple = binding.get_process_triple()
        features = binding.get_host_cpu_features().flatten()
        return binding.Target.from_triple(triple), triple, binding.get_host_cpu_name(), features


def lanes() -> int:
    """How many doubles a vector register holds."""
    features = set(host()[3].split(","))
    return 8 if "+avx512f" in features else 4 if "+avx" in features else 2


@functools.cache
def _libm() -> ctypes.CDLL:
    """The functions of libm. Mostly the interpreter has loaded them: to search for the library starts a process."""
    loaded = ctypes.CDLL(None)
    if all(hasattr(loaded, name) for name in LIBM.values()):
        return loaded
    from ctypes.util import find_library

    return ctypes.CDLL(find_library("m"))


def _address(function: Any) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address


def _add_symbol(symbol: str, function: Any) -> None:
    with llvm_lock:
        binding.add_symbol(symbol, _address(function))


@functools.cache
def vector_math(lanes: int) -> dict[str, str]:
    """Function of libm → the symbol of its vector form, in glibc's libmvec on x86-64; LLVM knows these symbols then."""
    prefix = {8: "_ZGVeN8", 4: "_ZGVdN4" if "+avx2" in host()[3].split(",") else "_ZGVcN4", 2: "_ZGVbN2"}[lanes]
    if not host()[1].startswith("x86_64"):
        return {}
    try:
        library = ctypes.CDLL("libmvec.so.1")
    except OSError:
        return {}
    found = {}
    for name in LIBM.values():
        symbol = f"{prefix}{'vv' if name in BINARY else 'v'}_{name}"
        if hasattr(library, symbol):
            _add_symbol(symbol, getattr(library, symbol))
            found[name] = symbol
    return found


@functools.cache
def _add_library_symbols() -> None:
    vector_math(lanes())
    for name in LIBM.values():
        _add_symbol(f"autograd_libm.{name}", getattr(_libm(), name))
    for name in ("realloc", "free"):
        _add_symbol(f"autograd_libc.{name}", getattr(ctypes.CDLL(None), name))
    for name in OF_PYTHON:
        _add_symbol(f"autograd_libc.{name}", getattr(ctypes.pythonapi, name))
    for name in FROM_PYTHON:
        _callbacks.append(_add_callback(f"autograd_python.{name}", TABLE[name], TABLE[name].arity or 0))


_callbacks: list[Any] = []


def _add_callback(symbol: str, rule: Rule, arity: int) -> Any:
    """Let machine code call a rule by a symbol; return the C function, which the caller must keep alive.

    Machine code takes the address when it is loaded. Afterwards the symbol may stand for another rule.
    """
    function = rule.evaluate

    def call(*numbers: float) -> float:
        try:
            return ieee.to_float(function(numbers))
        except BaseException as error:
            _pending.error = error  # C has no exceptions: the caller of the machine code raises it
            return float("nan")

    callback = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * arity)(call)
    _add_symbol(symbol, callback)
    return callback


def take_raised() -> BaseException:
    """Return and forget what the handler of a signal raised while machine code ran."""
    error: BaseException = vars(sys).pop(RAISED, KeyboardInterrupt())
    return error


def take_pending() -> BaseException | None:
    """Return and forget the exception of a rule in Python that machine code called in this thread, if there is one."""
    error: BaseException | None = getattr(_pending, "error", None)
    _pending.error = None
    return error


class Needs(NamedTuple):
    """What object code needs to run, besides rules written in Python.

    Attributes
    ----------
    work : int
        The bytes of workspace that a call needs.
    shared : sequence of (symbol, text)
        The functions that many programs call.
    calls_python : bool
        Whether it calls Python: then an exception may be pending after a call.
    """

    work: int
    shared: Sequence[tuple[str, str]]
    calls_python: bool

    @staticmethod
    def of(module: Module) -> Needs:
        """The needs of a module's object code."""
        from_python = any(f"autograd_python.{name}" in module.declarations for name in FROM_PYTHON)
        return Needs(module.layout.size, tuple(module.shared.items()), bool(module.custom) or from_python)


@dataclass
class MachineCode:
    """Machine code that is ready to run.

    Attributes
    ----------
    address : int
        The address of the function that `lower` calls ``run``.
    needs : Needs
        What it needs besides.
    code_bytes : int
        The size of the object code.
    keep : list
        Objects that must live as long as the code.
    name : str or None
        The name of its file in the cache on disk.
    """

    address: int
    needs: Needs
    code_bytes: int
    keep: list[Any]
    name: str | None = None

    @cached_property
    def function(self) -> Callable[..., int]:
        """The machine code as a function of four addresses; a call releases the GIL."""
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)
        return kind(self.address)


def machine(accurate: bool, fast_math: bool, loop_memory: int = LOOP_MEMORY) -> Machine:
    """A description of this machine, for lowering."""
    if accurate:
        return Machine(lanes(), {}, from_python=OWN_ALGORITHMS, in_order=True, loop_memory=loop_memory)
    flags = "reassoc nsz arcp contract afn " if fast_math else ""
    return Machine(lanes(), vector_math(lanes()), flags, loop_memory=loop_memory)


def target_machine(module: Module | None = None) -> Any:
    """LLVM's code generator for this CPU.

    At level 2 it also reorders instructions after register allocation, in time that grows with the square of the stores
    in a function. Loops gain a few percent from that; straight-line code, as in long modules, gains nothing.
    """
    return _generator(*host(), level=1 if module is not None and len(module.functions) > MOST_OPTIMISED else 2)


@functools.cache
def _generator(target: Any, _: str, cpu: str, features: str, level: int) -> Any:
    """A code generator; it is kept, because making one takes as long as compiling a small function."""
    return target.create_target_machine(cpu=cpu, features=features, opt=level, codemodel="jitdefault", jit=True)


def _parsed(text: str) -> Any:
    # The constants of a program live as long as LLVM's context, so each program gets its own.
    return binding.parse_assembly(text, binding.create_context())


class _Engine:
    """Keeps machine code in memory. Freeing it takes LLVM's lock."""

    def __init__(self, object_code: bytes, function: str = "run") -> None:
        generator = host()[0].create_target_machine(codemodel="jitdefault", jit=True)  # the engine owns it
        self.engine = binding.create_mcjit_compiler(binding.parse_assembly(""), generator)
        self.engine.add_object_file(binding.ObjectFileRef.from_data(object_code))
        self.address: int = self.engine.get_function_address(function)  # also makes it ready to run

    def __del__(self, lock: Any = llvm_lock) -> None:
        with lock:
            self.__dict__.clear()


def assembly(module: Module) -> str:
    """The machine code in assembly language."""
    with llvm_lock:
        text: str = target_machine(module).emit_assembly(_parsed(module.text()))
    return text


def generate(module: Module) -> bytes:
    """The object code of a module."""
    text = module.text()
    with llvm_lock:
        code: bytes = target_machine(module).emit_object(_parsed(text))
    return code


def generate_shared(text: str) -> bytes:
    """The object code of a function that many programs call."""
    with llvm_lock:
        code: bytes = target_machine().emit_object(_parsed(text))
    return code


_shared: dict[str, _Engine] = {}


def share(shared: Iterable[tuple[str, str]], object_code: Callable[[str], bytes] = generate_shared) -> None:
    """Load functions that many programs call, unless they are loaded already: pairs of symbol and text."""
    for symbol, text in shared:
        if symbol not in _shared:
            code = object_code(text)
            with llvm_lock:
                engine = _Engine(code, symbol[1:])
                if _shared.setdefault(symbol, engine) is engine:
                    binding.add_symbol(symbol[1:], engine.address)


def load(
    needs: Needs, object_code: bytes, custom: Mapping[str, Rule] = MappingProxyType({}), name: str | None = None
) -> MachineCode:
    """Load object code; return the machine code. `custom` are the rules in Python that it calls, by their symbols."""
    share(needs.shared)
    with llvm_lock:
        _add_library_symbols()
        keep = [_add_callback(symbol, rule, int(symbol.rsplit(".", 1)[1])) for symbol, rule in custom.items()]
        engine = _Engine(object_code)
    return MachineCode(engine.address, needs, len(object_code), [*keep, engine], name)


def versions() -> str:
    """The versions on which object code depends."""
    import llvmlite

    return f"llvmlite {llvmlite.__version__}, LLVM {binding.llvm_version_info}"
