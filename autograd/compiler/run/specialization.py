"""A specialization: the machine code for one signature and one set of guards, called with buffers."""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autograd.compiler.capture.watched import Reason
from autograd.compiler.locks import Lock
from autograd.compiler.lower.module import ALIGNMENT, LOOP_MEMORY, Module
from autograd.compiler.lower.program import lower
from autograd.compiler.lower.whiles import INTERRUPTED, OUT_OF_MEMORY
from autograd.compiler.machine import cache, llvm
from autograd.compiler.notices import notice
from autograd.compiler.run.collection import uncollected
from autograd.ir import simplify
from autograd.ir.block import Array, Guard, Program, Type, loops, numbers_in, types_of
from autograd.ir.kept import MOST_KEPT
from autograd.ir.rolling import rolled
from autograd.ir.text import lines
from autograd.once import cached_property
from autograd.tree import flatten
from autograd.value import Value

LONG = 2.0  # seconds of a first call after which the user is told why
KEPT_PART = 64  # bytes of `loop_memory` for each number that is stored only to save time
SECONDS_AN_INSTRUCTION = 1e-4  # of LLVM's compile time, roughly


@dataclass(frozen=True)
class Options:
    """The arguments of `jit`."""

    accurate: bool = False
    fast_math: bool = False
    max_paths: int = 64
    threads: int = 1
    quiet: bool = False
    loop_memory: int = LOOP_MEMORY


@dataclass
class Story:
    """How a specialization came about, and what the user is told if a first call takes long.

    Attributes
    ----------
    name : str
        The name of the function.
    seconds : float
        The time for running it on tracers.
    flow : mapping
        Branch or loop of the source → None if it is one of the program, or why it is a guard.
    unrolled : dict
        Reason why maps and loops were unrolled into copies of their body → the number of copies (0: not known).
    exact : bool
        Whether the function compares in a way that needs the bits of eager code.
    """

    name: str = "a function"
    seconds: float = 0.0
    unrolled: dict[Reason, int] = field(default_factory=dict)
    flow: Mapping[Any, str | None] = field(default_factory=dict)
    exact: bool = False
    told: bool = False

    def reasons(self) -> list[str]:
        """A sentence for each reason why maps and loops were unrolled."""
        return [
            f"{f'{rows:,}' if rows else 'the'} {why.where} were unrolled because of {why.told}"
            for why, rows in self.unrolled.items()
        ]

    def advice(self, mapped: bool) -> list[str]:
        """What would make the program shorter; `mapped`: whether it has a map."""
        if any(why.kind in ("comparison", "python") for why in self.unrolled):
            return ["with autograd.math.where in place of the branch the rows stay a loop"]
        return [] if mapped or self.unrolled else ["steps that are rows of an autograd.vmap are compiled once for all"]


class TooManyPathsError(RuntimeError):
    """A function took more than `max_paths` paths through its branches; each needs a specialization."""


def all_guards(program: Program) -> list[Guard]:
    """The guards of a program, including those in its maps."""
    return [*program.guards, *[guard for loop in loops(program) for guard in loop.body.guards]]


def conditions(program: Program) -> list[tuple[int, bool]]:
    """What the guards of a program demand: a number that stands for what each comparison compares, and its outcome."""
    keys = _keys(program)
    own = [(keys[guard.value], guard.expected) for guard in program.guards]
    inner = [condition for op, _, data in program.code if op == "loop" for condition in conditions(data.body)]
    return own + inner


def computation(program: Program) -> tuple[list[int], list[tuple[int, bool]]]:
    """What stands for all that a program computes, in whatever order: equal programs have equal ones."""
    keys = _keys(program)
    return [keys[output] for output in program.outputs], conditions(program)


def _keys(program: Program) -> list[int]:
    """A number for each value, which stands for the computation that it is the result of."""
    keys: list[int] = []
    for op, operands, data in program.code:
        kept: Any = None if data is None else repr(data)  # 0.0 is not -0.0, nan is itself, and -1 has a hash of its own
        if op == "loop":
            of_body = _keys(data.body)
            sizes = data.shared, data.carries, data.accumulators, data.stored, data.test
            kept = repr((data.extent, data.kinds, data.backwards, sizes, [of_body[o] for o in data.body.outputs]))
        keys.append(hash((op, *[keys[o] for o in operands], kept)))
    return keys


def same_branches(
    program: Program,
    specializations: Sequence[Specialization],
    common: Specialization | None = None,
    table: tuple[float, ...] = (),
) -> Specialization | None:
    """The last specialization with the same guards as a program; the program was captured because none was valid.

    Then a comparison came out differently in machine code than at capture, which computes like eager code: the last
    digit of a function or a sum differs. A program that is compiled already has the same guards if it is `common` to
    both, with the same table.
    """
    if common is not None:
        same = [one for one in specializations if one is common or (one.common is common and one.table == table)]
        if same:
            return same[-1]
    taken = conditions(program) if specializations else []
    return next((one for one in reversed(specializations) if one.conditions == taken), None)


def _lines_that_differ(specializations: Sequence[Specialization]) -> set[str]:
    """The lines of the comparisons that are not the same in all of these."""
    common = set(specializations[0].conditions).intersection(*[one.conditions for one in specializations])
    guards = [(guard, made) for one in specializations for guard, made in zip(all_guards(one.captured), one.conditions)]
    return {guard.line for guard, made in guards if made not in common} or {guard.line for guard, _ in guards}


def exact(options: Options) -> Options:
    """These options, with the bits of eager code."""
    return replace(options, accurate=True, fast_math=False)


def usual(options: Options, story: Story) -> Options:
    """How to compile what was captured, unless few inputs need something else."""
    return exact(options) if story.exact else options


def options_for(
    same: Specialization | None, specializations: Sequence[Specialization], options: Options, name: str
) -> Options:
    """How to compile a captured program: with the bits of eager code if `same`, which has its guards, was not valid.

    Raises
    ------
    TooManyPathsError
        If there are `max_paths` specializations already.
    """
    if same is not None:
        return exact(options)
    if sum(one.options == options for one in specializations) < options.max_paths:
        return options
    lines = sorted(_lines_that_differ(specializations))
    raise TooManyPathsError(
        f"{name} takes more than {options.max_paths} paths through the branches at {'; '.join(lines[:4])}: choose with "
        "autograd.math.where instead of branching, or allow more with jit(max_paths=...)"
    )


def skew(kinds: Sequence[Type]) -> int:
    """Where a buffer should begin so that most numbers in its arrays are aligned: bytes after a multiple of ALIGNMENT.

    Vectors that lie across two lines of the cache are stored slowly, and loaded again much more slowly.
    """
    weights, at, width = Counter[int](), 0, ALIGNMENT // 8
    for kind in kinds:
        size = numbers_in([kind])
        if isinstance(kind, Array) and size >= width:
            weights[at % width] += size
        at += size
    return -8 * max(weights, key=weights.__getitem__, default=0) % ALIGNMENT


def _aligned(kind: Any, count: int, skew: int) -> Any:
    """A buffer of ctypes that begins so many bytes after a multiple of ALIGNMENT; it keeps its memory."""
    memory = (ctypes.c_char * (ctypes.sizeof(kind) * count + 2 * ALIGNMENT))()
    return (kind * count).from_buffer(memory, (skew - ctypes.addressof(memory)) % ALIGNMENT)


class Frame:
    """The buffers of a call; one call at a time uses them."""

    __slots__ = ("block", "inputs", "outputs", "work", "numbers", "results")

    def __init__(self, inputs: int, outputs: int, work: int, skews: tuple[int, int] = (0, 0)) -> None:
        self.inputs = _aligned(ctypes.c_double, max(inputs, 1), skews[0])
        self.outputs = _aligned(ctypes.c_double, max(outputs, 1), skews[1])
        self.work = _aligned(ctypes.c_char, work, 0)
        inside, out, work_at = map(ctypes.addressof, (self.inputs, self.outputs, self.work))
        self.block = (ctypes.c_int64 * 4)(inside, 0, out, work_at)
        self.numbers = np.frombuffer(memoryview(self.inputs), dtype=float)
        self.results = np.frombuffer(memoryview(self.outputs), dtype=float)


@dataclass(eq=False)
class Specialization:
    """A program that is valid under its guards, its machine code, and the form of its result.

    It is compiled when something asks for its machine code, at the latest: where results depend as Values on Values
    from outside, calls need another one, with derivatives.

    Attributes
    ----------
    captured : Program
        The program as captured; `program` is what is compiled.
    leaves : list of Value
        Values that the function closes over; their numbers are inputs after the arguments.
    parents : list of Value
        Those of the leaves on which results depend as Values; if there are any, results are Values.
    template : tree
        The result, with other numbers in it.
    names : sequence of str
        The names of the arguments' numbers in the printed program; empty if there are very many numbers.
    story : Story
        What the user is told if compiling takes long.
    finish : callable or None
        Makes the result of a tree like the template; by default it is that tree.
    common : Specialization or None
        What is compiled in place of this one: the same program, but that its last input is a table.
    table : tuple of float
        Its numbers, which are inputs after all others.
    """

    captured: Program
    template: Any
    options: Options
    leaves: list[Value] = field(default_factory=list)
    parents: list[Value] = field(default_factory=list)
    names: Sequence[str] = ()
    story: Story = field(default_factory=Story)
    finish: Callable[[Any], Any] | None = None
    common: Specialization | None = None
    table: tuple[float, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    program: Program = field(init=False)
    code: llvm.MachineCode = field(init=False)
    sizes: tuple[int, int] = field(init=False)  # numbers among the inputs and among the outputs
    rebuild: Callable[[Sequence[Any]], Any] = field(init=False)  # the result, given its numbers
    seconds: float = 0.0
    simple: Program | None = None  # kept from `simplified_size` until it is compiled
    pool: list[Frame] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)  # of the thread that compiles it

    def __post_init__(self) -> None:
        if self.common is not None:
            self.sizes, self.rebuild, self.counts = self.common.sizes, self.common.rebuild, self.common.counts
            self.pool = self.common.pool
            return
        types = types_of(self.captured)
        self.sizes = numbers_in(self.captured.inputs), numbers_in([types[o] for o in self.captured.outputs])
        self.rebuild = self._rebuild()
        self.counts["captured"] = simplify.count(self.captured)

    def __getattr__(self, name: str) -> Any:
        if name not in ("code", "function", "program"):
            raise AttributeError(f"a specialization has no attribute {name!r}", name=name, obj=self)
        self.compile()
        return self.__dict__[name]

    def compile(self) -> None:
        """Make the machine code, if that is not done."""
        with self.lock:
            if "function" not in self.__dict__:
                if self.common is None:
                    self._compile()
                else:
                    self._share(self.common)

    def _share(self, common: Specialization) -> None:
        """Take over the machine code of another one."""
        start = time.perf_counter()
        common.compile()
        self.program, self.code = common.program, common.code
        self.function = self.code.function
        self.seconds += time.perf_counter() - start

    def simplified_size(self) -> int:
        """How many instructions it has when its loops are found, before anything is compiled."""
        with self.lock, uncollected():
            self.simple = self._simplified()
        return self.counts["simplified"]

    def _simplified(self) -> Program:
        """The program with its loops, simplified."""
        simple, self.simple = self.simple, None
        if simple is None:
            simple = simplify.simplify(rolled(self.captured), self.options.accurate)
            self.counts["simplified"] = simplify.count(simple)
        return simple

    def _compile(self) -> None:
        start = time.perf_counter()
        with uncollected():
            most_kept = min(MOST_KEPT, self.options.loop_memory // KEPT_PART)
            self.program = simplify.prepare(self._simplified(), self.options.accurate, most_kept)
            unrolled = simplify.unroll(self.program)
            self.counts["compiled"] = simplify.count(unrolled)
            module = self._lowered(unrolled)
        passed = self.story.seconds + time.perf_counter() - start
        foreseen = passed + SECONDS_AN_INSTRUCTION * self.counts["compiled"]
        self.code = cache.load(module, lambda: self._tell("takes about", foreseen))
        self.function = self.code.function
        taken = time.perf_counter() - start
        self.seconds += taken
        self._tell("took", self.story.seconds + taken)

    def _rebuild(self) -> Callable[[Sequence[Any]], Any]:
        rebuild, finish = flatten(self.template)[1], self.finish
        return rebuild if finish is None else lambda numbers: finish(rebuild(numbers))

    def _tell(self, verb: str, seconds: float) -> None:
        """Tell the user what takes long, once, unless `quiet`."""
        if seconds < LONG or self.options.quiet or self.story.told:
            return
        self.story.told = True
        mapped = any(True for _ in loops(self.program))
        reasons = [f"{self.counts['compiled']:,} instructions", *self.story.reasons(), *self.story.advice(mapped)]
        notice(f"compiling {self.story.name} {verb} {seconds:.0f} s: {'; '.join(reasons)}")

    def text(self) -> str:
        """The program as text for readers."""
        given = [*(self.names or [f"input[{k}]" for k in range(len(self.captured.inputs) - len(self.leaves))])]
        given += ["table"] if self.table else []
        closed = [leaf.label or f"closed[{k}]" for k, leaf in enumerate(self.leaves)]
        reasons = [f"# {reason}" for reason in self.story.reasons()]
        return "\n".join([*reasons, *lines(self.program, [*given, *closed])])

    def module(self) -> Module:
        """The module for this machine, made again: its text is too long to be kept."""
        return self._lowered(simplify.unroll(self.program))

    def _lowered(self, unrolled: Program) -> Module:
        options = self.options
        module = lower(unrolled, llvm.machine(options.accurate, options.fast_math, options.loop_memory))
        if module.layout.size > options.loop_memory and any(True for _ in loops(unrolled)):
            raise self._out_of_memory(f"takes {module.layout.size:,} bytes")
        return module

    def _out_of_memory(self, taken: str) -> MemoryError:
        return MemoryError(
            f"{self.story.name} stores numbers of the steps of its loops, which its derivative needs in reverse mode. "
            f"That {taken}, and loop_memory allows {self.options.loop_memory:,}: take fewer steps, bound them with "
            "while_loop(at_most=...), or allow more with jit(loop_memory=...)"
        )

    @cached_property
    def conditions(self) -> list[tuple[int, bool]]:
        """What the guards of the captured program demand."""
        return conditions(self.captured)

    @cached_property
    def order(self) -> tuple[bool, str]:
        """Its place among the specializations of a batch, which is the same in every process."""
        return self.options.accurate, "\n".join(lines(self.captured, []))

    @cached_property
    def skews(self) -> tuple[int, int]:
        """Where the buffers of inputs and outputs begin."""
        if self.common is not None:
            return self.common.skews
        types = types_of(self.program)
        return skew(self.program.inputs), skew([types[o] for o in self.program.outputs])

    def frame(self) -> Frame:
        """Buffers for a call, from the pool if it has any."""
        try:
            frame = self.pool.pop()
        except IndexError:
            frame = Frame(*self.sizes, self.code.work, self.skews)
        if self.table:
            frame.inputs[self.sizes[0] - len(self.table) : self.sizes[0]] = list(self.table)
        return frame

    @cached_property
    def captured_guards(self) -> list[Guard]:
        """All guards, including those in maps."""
        return all_guards(self.program)

    def run(self, frame: Frame) -> int:
        """Call the machine code on a frame: 0, or the number of the guard that failed.

        If Python code that it called raised an exception, this is raised, unless a guard failed: then the numbers
        belong to another specialization.
        """
        status, error = self.attempt(frame)
        if error is not None and (status == 0 or not isinstance(error, Exception)):
            raise error
        return status

    def attempt(self, frame: Frame) -> tuple[int, BaseException | None]:
        """Like `run`, but an exception is returned."""
        status = self.function(*frame.block)
        if status == INTERRUPTED:
            return 0, KeyboardInterrupt()
        if status == OUT_OF_MEMORY:
            return 0, self._out_of_memory("took more bytes")
        return status, llvm.take_pending() if self.code.calls_python else None

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        made = "captured_guards", "code", "conditions", "function", "lock", "order", "pool", "program", "rebuild"
        for name in made:
            state.pop(name, None)
        return {**state, "common": None, "table": ()}  # what was captured has the table as a constant

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, pool=[], lock=Lock(), counts={})
        self.story = replace(self.story, seconds=0.0)
        self.__post_init__()
        self.compile()
