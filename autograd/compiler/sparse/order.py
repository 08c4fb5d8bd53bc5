"""Lets a program return the entries of a sparse array in the order of CSR, so that no call has to sort them.

Numbers that a step of a loop computes for neighbouring entries are stored side by side, with the constants between
them. Then the results are put in order, if that takes few pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from autograd.ir.block import NUMBER, Instruction, Loop, Program, Window, size_of, types_of
from autograd.ir.passes import simplify

MOST_PIECES = 64  # of results, besides two for each output; if there are more, each call sorts the entries
MOST_USES = 4  # entries that may be the same number
SHORTEST = 4  # steps; results of shorter loops are not stored side by side
NOWHERE = -1  # in place of an entry: the step has none


def in_order(program: Program, source: Any) -> tuple[Program, Any]:
    """A program whose result is the entries in order, if that takes few pieces.

    Parameters
    ----------
    program : Program
        Computes the numbers.
    source : ndarray
        For each entry in the order of CSR, where its number is in the result.

    Returns
    -------
    program, source
        `source` is None if the result is the entries in order.
    """
    program, source = _without_unused(*_side_by_side(program, source))
    starts, which = _outputs(program, source)
    ends = np.flatnonzero((np.diff(source) != 1) | (np.diff(which) != 0)) + 1
    if len(ends) >= MOST_PIECES + 2 * len(program.outputs):
        return program, source
    code, outputs, types = list(program.code), [], types_of(program)
    for first, end in pairwise([0, *ends.tolist(), len(source)] if len(source) else []):
        output, length = program.outputs[which[first]], end - first
        if length < size_of(types[output]):
            window = Window((length,), 0, (1,)) if length > 1 else Window(())
            start = int(source[first] - starts[which[first]])
            code.append(Instruction("read", (output,), window._replace(offset=start)))
            output = len(code) - 1
        outputs.append(output)
    return simplify.remove_dead_code(replace(program, code=code, outputs=outputs)), None


def _outputs(program: Program, source: Any) -> tuple[Any, Any]:
    """Where each output begins in the result, and the output to which the number of each entry belongs."""
    types = types_of(program)
    starts = np.cumsum([0, *[size_of(types[o]) for o in program.outputs]])
    return starts, np.searchsorted(starts, source, side="right") - 1


def _without_unused(program: Program, source: Any) -> tuple[Program, Any]:
    """The program with only those outputs that are entries, in the order of the first entry of each."""
    starts, which = _outputs(program, source)
    used, first = np.unique(which, return_index=True)
    order = used[np.argsort(first)]
    new = np.zeros(len(starts), dtype=np.intp)
    new[order] = np.cumsum([0, *(starts[order + 1] - starts[order])])[:-1]
    outputs = [program.outputs[k] for k in order]
    return simplify.remove_dead_code(replace(program, outputs=outputs)), new[which] + source - starts[which]


# ---- side by side --------------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    """A number of each step of a loop.

    Attributes
    ----------
    entries : ndarray of int
        The index of the entry that it is, or `NOWHERE`.
    item : int
        The result of the loop that has the numbers.
    numbers : ndarray or None
        Else the numbers, which are the same in every call.
    """

    entries: Any
    item: int = NOWHERE
    numbers: Any = None


def _side_by_side(program: Program, source: Any) -> tuple[Program, Any]:
    """The program with neighbouring entries that a loop computes as rows of an array; and where each entry is now."""
    starts, which = _outputs(program, source)
    constant, numbers = _constants(program, source - starts[which], which)
    found: dict[int, list[list[_Column]]] = {}
    for loop, columns in _columns(program, source - starts[which], which).items():
        groups = list(_groups(columns, constant, numbers))
        if groups:
            found[loop] = groups
    if not found:
        return program, source
    program, arrays = _with_rows(program, found)
    source, end = source.copy(), int(starts[-1])
    for groups in found.values():
        for group in groups:
            for k, column in enumerate(group):
                steps = np.flatnonzero(column.entries != NOWHERE)
                source[column.entries[steps]] = end + steps * len(group) + k
            end += len(group) * len(group[0].entries)
    return replace(program, outputs=[*program.outputs, *arrays]), source


def _constants(program: Program, at: Any, which: Any) -> tuple[Any, Any]:
    """Which entries are the same in every call, and their numbers."""
    constant, numbers = np.zeros(len(at), dtype=bool), np.zeros(len(at))
    for k, o in enumerate(program.outputs):
        op, _, data = program.code[o]
        if op == "table":
            mine = which == k
            constant |= mine
            numbers[mine] = np.array(data[1])[at[mine]]
    return constant, numbers


def _columns(program: Program, at: Any, which: Any) -> dict[int, list[_Column]]:
    """Loop → its results that are entries, one number for each step."""
    found: dict[int, list[_Column]] = {}
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(program.outputs) + 1))
    for k, o in enumerate(program.outputs):
        op, operands, item = program.code[o]
        if op != "item":
            continue
        loop: Loop = program.code[operands[0]].data
        if item < loop.handed or loop.kinds[item - loop.handed] != "each" or not isinstance(loop.extent, int):
            continue
        entries = order[ends[k] : ends[k + 1]]
        if types_of(loop.body)[loop.body.outputs[item]] == NUMBER and loop.extent >= SHORTEST:
            found.setdefault(operands[0], []).extend(_uses(entries, at[entries], loop.extent, item))
    return found


def _uses(entries: Any, steps: Any, extent: int, item: int) -> Iterator[_Column]:
    """The columns of one result of a loop: one for the first entry that each step is, one for the second, …."""
    order = np.lexsort((entries, steps))
    entries, steps = entries[order], steps[order]
    number = np.arange(len(steps)) - np.searchsorted(steps, steps)
    for k in range(int(number.max(initial=NOWHERE)) + 1) if number.max(initial=0) < MOST_USES else ():
        column = np.full(extent, NOWHERE)
        column[steps[number == k]] = entries[number == k]
        yield _Column(column, item)


def _groups(columns: Sequence[_Column], constant: Any, numbers: Any) -> Iterator[list[_Column]]:
    """Groups of columns that are neighbours in most steps, and together fill all entries from one step to the next."""
    extent = len(columns[0].entries) if columns else 0
    middle = extent // 2
    left = sorted([c for c in columns if c.entries[middle] != NOWHERE], key=lambda c: int(c.entries[middle]))
    while left:
        group = [left.pop(0)]
        step = int(group[0].entries[middle + 1] - group[0].entries[middle])
        while len(group) < step:
            last = group[-1].entries
            after = np.where(last == NOWHERE, NOWHERE, last + 1)
            if left and left[0].entries[middle] == after[middle]:
                if not _most(after == left[0].entries, after):
                    break
                group.append(left.pop(0))
                continue
            after[after == len(constant)] = NOWHERE
            after[~constant[after]] = NOWHERE
            if not _most(after != NOWHERE, after):
                break
            group.append(_Column(after, numbers=numbers[after]))
        if len(group) == step > 1:
            yield group


def _most(truth: Any, entries: Any) -> bool:
    """Whether a truth holds in more than half of the steps, for entries that exist."""
    return bool(2 * np.count_nonzero(truth & (entries != NOWHERE)) > len(entries))


def _with_rows(program: Program, found: Mapping[int, list[list[_Column]]]) -> tuple[Program, list[int]]:
    """The program in which loops also return the rows of these groups, and the values of these new arrays."""
    code: list[Instruction] = []
    place: list[int] = []
    arrays: list[int] = []
    for at, (op, operands, data) in enumerate(program.code):
        operands = tuple([place[o] for o in operands])
        groups = found.get(at, [])
        if groups:
            tables, data = _with_packs(data, groups)
            operands = (*operands, *range(len(code), len(code) + len(tables)))
            code += tables
        place.append(len(code))
        code.append(Instruction(op, operands, data))
        for k in range(len(groups)):
            code.append(Instruction("item", (place[at],), data.handed + len(data.kinds) - len(groups) + k))
            arrays.append(len(code) - 1)
    guards = [guard._replace(value=place[guard.value]) for guard in program.guards]
    return Program(code, [place[o] for o in program.outputs], program.inputs, guards), arrays


def _with_packs(loop: Loop, groups: Sequence[Sequence[_Column]]) -> tuple[list[Instruction], Loop]:
    """A loop that also returns a row for each group, and the tables that it goes through for that."""
    body = loop.body
    code, inputs, outputs = list(body.code), list(body.inputs), list(body.outputs)
    tables: list[Instruction] = []
    for group in groups:
        row = []
        for column in group:
            if column.numbers is None:
                row.append(body.outputs[column.item])
                continue
            numbers = column.numbers[column.entries != NOWHERE]
            if (numbers.view(np.int64) == numbers[:1].view(np.int64)).all():  # 0.0 is not -0.0
                code.append(Instruction("constant", (), float(numbers[0])))
            else:
                tables.append(Instruction("table", (), ((len(column.numbers),), tuple(column.numbers.tolist()))))
                code.append(Instruction("input", (), len(inputs)))
                inputs.append(NUMBER)
            row.append(len(code) - 1)
        code.append(Instruction("pack", tuple(row), (len(row),)))
        outputs.append(len(code) - 1)
    kinds = (*loop.kinds, *["each" for _ in groups])
    return tables, replace(loop, body=Program(code, outputs, tuple(inputs), body.guards), kinds=kinds, primal=None)
