"""A specialization: the machine code for one signature and one set of guards, called with buffers."""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from autograd import storage
from autograd.compiler.capture.watched import Reason
from autograd.compiler.locks import Lock
from autograd.compiler.lower.module import ALIGNMENT, LOOP_MEMORY, Module
from autograd.compiler.lower.program import lower
from autograd.compiler.lower.whiles import INTERRUPTED, OUT_OF_MEMORY, STOPPED
from autograd.compiler.machine import cache, llvm
from autograd.compiler.notices import notice
from autograd.compiler.run.collection import uncollected
from autograd.ir.block import Array, Guard, Program, Type, loops, numbers_in, types_of
from autograd.ir.digest import digest
from autograd.ir.passes import simplify
from autograd.ir.passes.kept import MOST_KEPT
from autograd.ir.roll import rolling
from autograd.ir.text import lines
from autograd.once import cached_property
from autograd.tree import flatten
from autograd.value import Value

NOTICE_AFTER = 2.0  # seconds; a first call that takes longer prints the reasons
KEPT_PART = 64  # bytes of `loop_memory` for each number that is stored only to save time
SECONDS_AN_INSTRUCTION = 1e-4  # that LLVM takes, roughly
FEWEST_STORED = 100  # instructions of a program that is looked for on disk: passes over fewer take no longer than that


@dataclass(frozen=True)
class Options:
    """The arguments of `jit`."""

    accurate: bool = False
    fast_math: bool = False
    max_paths: int = 64
    threads: int = 1
    quiet: bool = False
    loop_memory: int = LOOP_MEMORY


class Notes(NamedTuple):
    """What is known of a compiled program without it: the cache on disk keeps this, but no programs.

    Attributes
    ----------
    counts : tuple of (stage, int)
        The number of instructions after each stage.
    guarded : bool
        Whether it has guards.
    looped : bool
        Whether it has loops.
    skews : tuple of int
        The skew of the buffers of inputs and outputs.
    """

    counts: Sequence[tuple[str, int]]
    guarded: bool
    looped: bool
    skews: tuple[int, int]


@dataclass
class Report:
    """What a capture reports besides its program; a first call that takes long prints some of it.

    Attributes
    ----------
    name : str
        The name of the function.
    computes : str
        What it computes, in words: it may be the gradient of the user's function.
    seconds : float
        The time for running it on tracers.
    flow : mapping
        For each branch or loop in the source: None if it is in the program, or the reason why it is a guard.
    unrolled : dict
        For each reason why maps and loops were unrolled: how many copies of the body that made (0: not known).
    exact : bool
        Whether a comparison in the function needs the same bits as in eager code.
    told : bool
        Whether it has been printed.
    """

    name: str = "a function"
    computes: str = "a function"
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
        """What would make the program shorter; `mapped` says whether it has a map."""
        if any(why.kind in ("comparison", "python") for why in self.unrolled):
            return ["with autograd.math.where in place of the branch the rows stay a loop"]
        return [] if mapped or self.unrolled else ["steps that are rows of an autograd.vmap are compiled once for all"]


# What a pickle of a specialization leaves out.
MADE_AGAIN = frozenset({
    "_key", "code", "conditions", "function", "lock", "notes", "order", "pool", "program", "rebuild", "rolled",
    "simple",
})  # fmt: skip  # words


class TooManyPathsError(RuntimeError):
    """A function took more than `max_paths` paths through its branches; each needs a specialization."""


def all_guards(program: Program) -> list[Guard]:
    """The guards of a program and of the loops in it."""
    return [*program.guards, *[guard for loop in loops(program) for guard in loop.body.guards]]


def conditions(program: Program) -> list[tuple[int, bool]]:
    """What the guards of a program demand: for each, the hash of the computation that is compared, and its outcome."""
    keys = _hashes(program)
    own = [(keys[guard.value], guard.expected) for guard in program.guards]
    inner = [condition for op, _, data in program.code if op == "loop" for condition in conditions(data.body)]
    return own + inner


def computation(program: Program) -> tuple[list[int], list[tuple[int, bool]]]:
    """The hashes of the outputs, and the conditions: equal for programs that compute the same, in any order."""
    keys = _hashes(program)
    return [keys[output] for output in program.outputs], conditions(program)


def _hashes(program: Program) -> list[int]:
    """For each value a hash of the computation that it is the result of."""
    keys: list[int] = []
    for op, operands, data in program.code:
        kept: Any = None if data is None else repr(data)  # 0.0 is not -0.0, nan is itself, and -1 has a hash of its own
        if op == "loop":
            of_body = _hashes(data.body)
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
    """The last specialization with the same guards as a newly captured program; None if there is none.

    The program was captured because the guards of all specializations failed. If one of them has the same guards
    nevertheless, machine code computed a number that differs in its last digit from that of the capture, which computes
    like eager code. Specializations that share the program `common` have the same guards if their tables are equal.
    """
    if common is not None:
        same = [one for one in specializations if one is common or (one.common is common and one.table == table)]
        if same:
            return same[-1]
    taken = conditions(program) if specializations else []
    return next((one for one in reversed(specializations) if one.conditions == taken), None)


def _lines_that_differ(specializations: Sequence[Specialization]) -> set[str]:
    """The lines of the guards that not all of these specializations share."""
    common = set(specializations[0].conditions).intersection(*[one.conditions for one in specializations])
    guards = [(guard, made) for one in specializations for guard, made in zip(all_guards(one.captured), one.conditions)]
    return {guard.line for guard, made in guards if made not in common} or {guard.line for guard, _ in guards}


def exact_options(options: Options) -> Options:
    """These options, but with the same bits as eager code."""
    return replace(options, accurate=True, fast_math=False)


def usual_options(options: Options, report: Report) -> Options:
    """The options for most inputs of a captured program: exact ones if its comparisons need the bits of eager code."""
    return exact_options(options) if report.exact else options


def options_for(
    same: Specialization | None, specializations: Sequence[Specialization], options: Options, name: str
) -> Options:
    """The options for one more captured program.

    They are exact if `same`, a specialization with the same guards, failed on these inputs.

    Raises
    ------
    TooManyPathsError
        If there are `max_paths` specializations already.
    """
    if same is not None:
        return exact_options(options)
    if sum(one.options == options for one in specializations) < options.max_paths:
        return options
    lines = sorted(_lines_that_differ(specializations))
    without_source = any(": " not in line for line in lines)
    advice = "define it in a file or a notebook, because only branches in a known source are compiled, "
    raise TooManyPathsError(
        f"{name} takes more than {options.max_paths} paths through the branches at {'; '.join(lines[:4])}: "
        f"{advice if without_source else ''}choose with autograd.math.where instead of branching, or allow more with "
        "jit(max_paths=...)"
    )


def skew(kinds: Sequence[Type]) -> int:
    """How many bytes after a multiple of ALIGNMENT a buffer should begin, so that most of its arrays are aligned.

    A vector that crosses a cache line is slow to store, and much slower to load again.
    """
    weights, at, width = Counter[int](), 0, ALIGNMENT // 8
    for kind in kinds:
        size = numbers_in([kind])
        if isinstance(kind, Array) and size >= width:
            weights[at % width] += size
        at += size
    return -8 * max(weights, key=weights.__getitem__, default=0) % ALIGNMENT


def _aligned(kind: Any, count: int, skew: int) -> Any:
    """A ctypes array that begins `skew` bytes after a multiple of ALIGNMENT; it keeps its memory alive."""
    memory = (ctypes.c_char * (ctypes.sizeof(kind) * count + 2 * ALIGNMENT))()
    return (kind * count).from_buffer(memory, (skew - ctypes.addressof(memory)) % ALIGNMENT)


class Frame:
    """The buffers of one call at a time.

    `block` has the four addresses that machine code is given: inputs, table of rows, outputs, workspace. `numbers` and
    `results` are inputs and outputs as ndarrays.
    """

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

    Reading `code`, `function` or `notes` compiles it. One whose results depend on Values from outside is often never
    compiled: calls need another one, with derivatives. If the machine code was on disk, `program` is made when somebody
    reads it.

    Attributes
    ----------
    captured : Program
        The program as captured; `program` is the simplified one, which is compiled.
    template : tree
        The result, with other numbers in it.
    options : Options
        How it is compiled.
    leaves : list of Value
        Values that the function closes over; their numbers are inputs after the arguments.
    parents : list of Value
        The leaves to which `backward` goes from the results; if there are any, results are Values.
    names : sequence of str
        The names of the arguments' numbers in the printed program; empty if there are too many.
    report : Report
        What the capture reports, for the notice that compiling takes long.
    finish : callable or None
        Makes the result from a tree like the template; without it the tree is the result.
    common : Specialization or None
        Whose machine code this one uses: the same program, except that it reads constants from a table, its last input.
    table : tuple of float
        The numbers in that table.
    counts : dict
        The number of instructions after each stage.
    sizes : tuple of int
        How many numbers the inputs and the outputs have.
    rebuild : callable
        Makes the result from its numbers.
    seconds : float
        The time for compiling.
    """

    captured: Program
    template: Any
    options: Options
    leaves: list[Value] = field(default_factory=list)
    parents: list[Value] = field(default_factory=list)
    names: Sequence[str] = ()
    report: Report = field(default_factory=Report)
    finish: Callable[[Any], Any] | None = None
    common: Specialization | None = None
    table: tuple[float, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    program: Program = field(init=False)
    code: llvm.MachineCode = field(init=False)
    notes: Notes = field(init=False)
    sizes: tuple[int, int] = field(init=False)
    rebuild: Callable[[Sequence[Any]], Any] = field(init=False)
    seconds: float = 0.0
    rolled: Program | None = None  # these two are kept until the program is prepared
    simple: Program | None = None
    pool: list[Frame] = field(default_factory=list)  # frames that no call uses now
    lock: Lock = field(default_factory=Lock)  # held by the thread that compiles it

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
        if name not in ("code", "function", "notes", "program"):
            raise AttributeError(f"a specialization has no attribute {name!r}", name=name, obj=self)
        self.compile()
        if name not in self.__dict__:
            with self.lock, uncollected():
                self.program = self._prepared() if self.common is None else self.common.program
        return self.__dict__[name]

    def compile(self) -> None:
        """Make the machine code, unless it exists."""
        with self.lock:
            if "function" not in self.__dict__:
                if self.common is None:
                    self._compile()
                else:
                    self._share(self.common)

    def _share(self, common: Specialization) -> None:
        """Use the machine code of another specialization."""
        start = time.perf_counter()
        common.compile()
        self.code, self.notes = common.code, common.notes
        self.function = self.code.function
        self.seconds += time.perf_counter() - start

    def simplified_size(self) -> int:
        """How many instructions the simplified program has; nothing is compiled for that."""
        with self.lock, uncollected():
            if "function" not in self.__dict__ and not self._find():
                self.simple = self._simplified()
        return self.counts["simplified"]

    def _simplified(self) -> Program:
        """The captured program, rolled into loops and simplified."""
        simple, self.simple = self.simple, None
        if simple is None:
            simple = simplify.simplify(self._rolled(), self.options.accurate)
            self.counts["simplified"] = simplify.count(simple)
        return simple

    def _rolled(self) -> Program:
        """The captured program, rolled into loops."""
        if self.rolled is None:
            self.rolled = rolling.rolled(self.captured)
        return self.rolled

    def _prepared(self) -> Program:
        """The program that is compiled."""
        simple, self.rolled = self._simplified(), None
        return simplify.prepare(simple, self.options.accurate, min(MOST_KEPT, self.options.loop_memory // KEPT_PART))

    def _compile(self) -> None:
        """Find the machine code on disk, or make it."""
        start = time.perf_counter()
        with uncollected():
            if not self._find():
                self._make(start)
        taken = time.perf_counter() - start
        self.seconds += taken
        self._tell("took", self.report.seconds + taken)

    @cached_property
    def _key(self) -> tuple[str, bool, bool, int] | None:
        """The key of the machine code on disk; None if none is kept. The passes over a short program take less time."""
        program, options = self._rolled(), self.options
        is_stored = storage.folder() is not None and simplify.count(program) >= FEWEST_STORED
        known = digest(program) if is_stored else None
        return None if known is None else (known, options.accurate, options.fast_math, options.loop_memory)

    def _find(self) -> bool:
        """Take the machine code from disk if it is there."""
        found = None if self._key is None else cache.find(self._key)
        if found is None:
            return False
        self.code, self.notes, self.function = found[0], Notes(*found[1]), found[0].function
        self.counts.update(self.notes.counts)
        self.rolled = self.simple = None
        return True

    def _make(self, start: float) -> None:
        """Make the machine code; this began at the time `start`."""
        program = self.program = self._prepared()
        unrolled = simplify.unroll(program)
        self.counts["compiled"] = simplify.count(unrolled)
        types = types_of(program)
        skews = skew(program.inputs), skew([types[o] for o in program.outputs])
        looped, guarded = any(True for _ in loops(program)), bool(all_guards(program))
        self.notes = Notes(tuple(self.counts.items()), guarded, looped, skews)
        module = self._lowered(unrolled)
        foreseen = self.report.seconds + time.perf_counter() - start + SECONDS_AN_INSTRUCTION * self.counts["compiled"]
        self.code = cache.load(module, lambda: self._tell("takes about", foreseen))
        self.function = self.code.function
        if self._key is not None:
            cache.keep(self._key, self.code, tuple(self.notes))

    def _rebuild(self) -> Callable[[Sequence[Any]], Any]:
        rebuild, finish = flatten(self.template)[1], self.finish
        return rebuild if finish is None else lambda numbers: finish(rebuild(numbers))

    def _tell(self, verb: str, seconds: float) -> None:
        """Print once why a first call takes long, unless the option `quiet` is set."""
        if seconds < NOTICE_AFTER or self.options.quiet or self.report.told:
            return
        self.report.told = True
        advice = self.report.advice(self.notes.looped)
        reasons = [f"{self.counts['compiled']:,} instructions", *self.report.reasons(), *advice]
        notice(f"compiling {self.report.computes} {verb} {seconds:.0f} s: {'; '.join(reasons)}")

    def text(self) -> str:
        """The program as text for readers."""
        given = [*(self.names or [f"input[{k}]" for k in range(len(self.captured.inputs) - len(self.leaves))])]
        given += ["table"] if self.table else []
        closed = [leaf.label or f"closed[{k}]" for k, leaf in enumerate(self.leaves)]
        reasons = [f"# {reason}" for reason in self.report.reasons()]
        return "\n".join([*reasons, *lines(self.program, [*given, *closed])])

    def module(self) -> Module:
        """The module in LLVM IR, made again at each call: its text is too long to be kept."""
        return self._lowered(simplify.unroll(self.program))

    def _lowered(self, unrolled: Program) -> Module:
        options = self.options
        module = lower(unrolled, llvm.machine(options.accurate, options.fast_math, options.loop_memory))
        if module.layout.size > options.loop_memory and any(True for _ in loops(unrolled)):
            raise self._out_of_memory(f"takes {module.layout.size:,} bytes")
        return module

    def _out_of_memory(self, taken: str) -> MemoryError:
        return MemoryError(
            f"{self.report.name} stores numbers of the steps of its loops, which its derivative needs in reverse mode. "
            f"That {taken}, and loop_memory allows {self.options.loop_memory:,}: take fewer steps, bound them with "
            "while_loop(at_most=...), or allow more with jit(loop_memory=...)"
        )

    @cached_property
    def conditions(self) -> list[tuple[int, bool]]:
        """What the guards of the captured program demand."""
        return conditions(self.captured)

    @cached_property
    def order(self) -> tuple[bool, str]:
        """A key that sorts the specializations of a batch in the same way in every process."""
        return self.options.accurate, "\n".join(lines(self.captured, []))

    def frame(self) -> Frame:
        """A frame for a call, from the pool if it has one."""
        try:
            frame = self.pool.pop()
        except IndexError:
            frame = Frame(*self.sizes, self.code.needs.work, self.notes.skews)
        if self.table:
            frame.inputs[self.sizes[0] - len(self.table) : self.sizes[0]] = list(self.table)
        return frame

    def run(self, frame: Frame) -> int:
        """Run the machine code on a frame; return 0, or the number of the guard that failed.

        An exception of Python code that it called is raised, unless a guard failed: then another specialization serves
        these numbers.
        """
        status, error = self.attempt(frame)
        if error is not None and (status == 0 or not isinstance(error, Exception)):
            raise error
        return status

    def attempt(self, frame: Frame) -> tuple[int, BaseException | None]:
        """Like `run`, but return an exception in place of raising it."""
        status = self.function(*frame.block)
        if status == INTERRUPTED:
            return 0, llvm.take_raised()
        if status == STOPPED:
            return 0, KeyboardInterrupt()  # it reaches no user: the thread that stopped this one raises its own
        if status == OUT_OF_MEMORY:
            return 0, self._out_of_memory("took more bytes")
        return status, llvm.take_pending() if self.code.needs.calls_python else None

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in MADE_AGAIN}
        return {**state, "common": None, "table": ()}  # the captured program has the table as constants

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, pool=[], lock=Lock(), counts={})
        self.report = replace(self.report, seconds=0.0)
        self.__post_init__()
        self.compile()
