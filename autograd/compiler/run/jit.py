"""`jit` and `compile_graph`, which users call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, overload

from autograd import calls
from autograd.compiler.lower.module import LOOP_MEMORY
from autograd.compiler.run.call import Compiled
from autograd.compiler.run.capturing import Function
from autograd.compiler.run.specialization import Options
from autograd.sweep import topological_order
from autograd.transforms.origin import P, R, check_function, origin_of
from autograd.transforms.sparse import scipy_sparse
from autograd.tree import flatten
from autograd.value import Value


@overload
def jit(
    function: Callable[P, R],
    *,
    accurate: bool = False,
    fast_math: bool = False,
    max_paths: int = 64,
    threads: int = 1,
    loop_memory: int = LOOP_MEMORY,
    quiet: bool = False,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Compiled[P, R]: ...


@overload
def jit(
    function: None = None,
    *,
    accurate: bool = False,
    fast_math: bool = False,
    max_paths: int = 64,
    threads: int = 1,
    loop_memory: int = LOOP_MEMORY,
    quiet: bool = False,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...


def jit(
    function: Function | None = None,
    *,
    accurate: bool = False,
    fast_math: bool = False,
    max_paths: int = 64,
    threads: int = 1,
    loop_memory: int = LOOP_MEMORY,
    quiet: bool = False,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Any:
    """Compile a function of numbers to machine code; results equal those without `jit`.

    Values that it closes over are read afresh at every call. If a plain number that it reads outside its arguments
    changes, the next call traces the function again.

    Parameters
    ----------
    function : callable
        Takes and returns trees of numbers. It runs once on Values for each structure of the arguments and each path
        through its branches; then its recorded arithmetic runs as machine code. Values that it closes over are read at
        every call; if results depend on them, these are nodes, and `backward` reaches the Values. Everything else is
        watched that the code of the function, and of the functions and methods that it uses, reads outside the
        arguments: globals, closure cells, defaults, attributes, context variables, the contents of containers and
        arrays, the functions themselves. If any of it changes, the next call traces the function again. Up to eight
        such states are kept, so going back costs nothing. Not watched are very large containers and those that the
        function itself changes, objects of C extensions, clocks and files, and the code of installed packages beyond
        the first hundred functions and classes that are reached; ``reads()`` lists what is read. A function of at least
        a thousand operations runs once more when it is traced first: later traces that differ only in what they read
        share one program.
    accurate : bool
        Compute every primitive as eager code does: values have the same bits, and gradients nearly always: their
        messages may be added up in another order. Otherwise the last digit of the following may differ:
        `autograd.math.sum` and `dot`, which promise no order; the small powers x², x³, x⁴ and 1/x, which are products
        and quotients; `hypot`, `gamma` and `lgamma`, for which libm is called; and, in the rows of a `vmap`, all
        functions of libm, whose vector forms are off by up to 4 units in the last place. Sums over the rows of a `vmap`
        are added up in the order of the lanes in any case.
    fast_math : bool
        Let LLVM contract products and sums to fused multiply-adds, reorder sums and use reciprocals. Results may
        differ in more than the last digits: where terms cancel, 0 becomes a small number of either sign, whose square
        root may be nan. Without it, additions, multiplications, divisions and square roots are those of eager code.
    max_paths : int
        How many paths through its branches to compile for one structure of the arguments. The code for one path is a
        specialization.
    threads : int
        The number of threads among which the rows of a `vmap` are split.
    loop_memory : int
        The most bytes that the loops of one call may take, by default 4 GiB. A derivative in reverse mode stores what
        each step of a loop hands to the next.
    quiet : bool
        Print no notice when a first call takes more than 2 seconds. The notice is one line on stderr that says why; the
        environment variable ``AUTOGRAD_QUIET=1`` turns it off for all functions.
    static_argnums, static_argnames : int or text, or a sequence of such
        The places or names of arguments that are not numbers of the computation, but choose what is computed: text,
        flags, whole numbers, members of an enum, None, and tuples of these. The function gets them unchanged, and is
        compiled for each combination of them. It is enough to give the place or the name: such an argument may be
        passed either way.

    Returns
    -------
    Compiled
        The function, with the methods ``program()``, ``branches()``, ``reads()``, ``llvm_ir()``, ``assembly()`` and
        ``stats()`` to look inside.

    Raises
    ------
    TypeError
        When called: for arguments that are not trees of numbers; if the function freezes a number that depends on an
        argument or on a Value from outside (``math.exp(w.data)``, ``w.grad``) or counts up a number outside
        (``nonlocal n; n += 1``), with the line; or if it draws random numbers. Also for a static argument that can
        change (a list), that is a number of the computation (a Value), or any other object.
    TypeError
        If a sparse Jacobian or Hessian is given static arguments.
    ValueError
        If the function has no parameter at a static place or of a static name.
    MemoryError
        When called: if loops need more than `loop_memory` bytes.
    TooManyPathsError
        When called: if the function takes more than `max_paths` paths through its branches.
    ImportError
        If llvmlite is not installed.

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import grad, jit
    >>> @jit
    ... def power(x, n):
    ...     return x**n if x > 0.0 else 0.0
    >>> power(2.0, 3.0), power(-2.0, 3.0)
    (8.0, 0.0)
    >>> jit(grad(power))(2.0, 3.0)
    12.0
    >>> rate = 2.0
    >>> scaled = jit(lambda x: rate * x)
    >>> before, rate = scaled(1.0), 3.0
    >>> before, scaled(1.0)
    (2.0, 3.0)
    >>> @jit(static_argnames=("kind", "times"))
    ... def repeated(x, kind="sine", times=1):
    ...     for _ in range(times):
    ...         x = am.sin(x) if kind == "sine" else 0.5 * x
    ...     return x
    >>> repeated(8.0, "half", 3), repeated(0.0, times=2)
    (1.0, 0.0)
    """
    if max_paths < 1 or threads < 1:
        raise ValueError(f"max_paths and threads must be at least 1, not {max_paths} and {threads}")
    if isinstance(loop_memory, bool) or not isinstance(loop_memory, int) or not 0 <= loop_memory < 1 << 63:
        raise ValueError(f"loop_memory must be a number of bytes from 0 to 2**63 - 1, not {loop_memory!r}")
    options = Options(accurate, fast_math, max_paths, threads, quiet, loop_memory)
    numbers = [static_argnums] if isinstance(static_argnums, int) else list(static_argnums)
    names = [static_argnames] if isinstance(static_argnames, str) else list(static_argnames)
    if function is None:
        given: Any = {**asdict(options), "static_argnums": numbers, "static_argnames": names}
        return lambda function: jit(function, **given)
    check_function("jit", function)
    origin = origin_of(function)
    sparse = origin is not None and origin.transform in ("jacobian", "hessian")  # those with sparse=True
    if sparse and (numbers or names):
        raise TypeError(
            f"a sparse Jacobian or Hessian has no static arguments, but jit was given {[*numbers, *names]}: fix them "
            "with functools.partial before jacobian or hessian"
        )
    if numbers or names:
        from autograd.compiler.run.static import StaticCompiled

        return StaticCompiled(function, options, numbers, names)
    if sparse:
        scipy_sparse()  # raises if SciPy is missing
        from autograd.compiler.run.sparse import SparseCompiled

        return SparseCompiled(function, options)
    return Compiled(function, options)


def compile_graph(outputs: Any, inputs: Sequence[Value], **options: Any) -> Compiled[..., Any]:
    """Compile a graph that was built node by node: a function from the numbers of `inputs` to those of `outputs`.

    Parameters
    ----------
    outputs : tree of Values
        What the function returns, as floats.
    inputs : sequence of Value
        Leaves or inner nodes, one for each argument of the function. Other leaves are read afresh at every call.

    Raises
    ------
    TypeError
        If an input is not a Value.

    Examples
    --------
    >>> from autograd import Value
    >>> from autograd import compile_graph
    >>> x, y = Value(2.0), Value(3.0)
    >>> f = compile_graph(x * y + x, [x, y])
    >>> f(2.0, 3.0), f(10.0, 1.0)
    (8.0, 20.0)
    """
    for x in inputs:
        if not isinstance(x, Value):
            raise TypeError(f"an input of a graph must be a Value, not {x!r:.80}")
    results, rebuild = flatten(outputs, "outputs")
    order = topological_order(*[y for y in results if isinstance(y, Value)], leaves=inputs)

    def graph(*numbers: Any) -> Any:
        if len(numbers) != len(inputs):
            raise TypeError(f"the graph has {len(inputs)} inputs, not {len(numbers)}")
        now: dict[Any, Any] = dict(zip(inputs, numbers))
        calls.replay(order, now)
        return rebuild([now.get(y, y) for y in results])

    compiled: Compiled[..., Any] = jit(graph, **options)
    return compiled
