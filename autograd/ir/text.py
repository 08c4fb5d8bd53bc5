"""Programs as text for readers: one line for each instruction, loops as loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autograd.ir.block import CALL, GOING, Array, Guard, Instruction, Loop, Program, Type, Window


def lines(program: Program, names: Sequence[str] = (), indent: str = "") -> Iterator[str]:
    """The readable text, with the names of inputs and the numbers of constants."""
    given = [names[k] if k < len(names) else f"input[{k}]" for k in range(len(program.inputs))]
    yield from _block(program, given, "v", indent)
    shown = _shown(program, given, "v")
    yield f"{indent}return {', '.join([shown[o] for o in program.outputs])}"


def _shown(program: Program, given: Sequence[str], prefix: str) -> list[str]:
    """How each value is written where it is used."""
    shown: list[str] = []
    for number, (op, operands, data) in enumerate(program.code):
        if op == "input":
            text = given[data]
        elif op == "constant":
            text = repr(data)
        elif op == "item":
            text = f"{shown[operands[0]]}[{data}]"
        elif op == "add_at":
            text = shown[operands[0]]  # it is the same array still
        elif op == "read" and program.code[operands[0]].op == "input" and len(operands) == 1 and not data.shape:
            text = shown[operands[0]] + _indices(program.inputs[program.code[operands[0]].data], data.offset)
        elif op == "read":
            text = f"{shown[operands[0]]}[{_window(data, [shown[o] for o in operands[1:]])}]"
        else:
            text = f"{prefix}{number}"
        shown.append(text)
    return shown


def _block(program: Program, given: Sequence[str], prefix: str, indent: str) -> Iterator[str]:
    guards: dict[int, list[Guard]] = {}
    for guard in program.guards:
        guards.setdefault(guard.value, []).append(guard)
    shown = _shown(program, given, prefix)
    for number, instruction in enumerate(program.code):
        operands = [shown[o] for o in instruction.operands]
        if instruction.op == "loop":
            yield from _loop(instruction.data, shown[number], operands, indent)
        elif instruction.op == "add_at":
            array, added, *indices = operands
            yield f"{indent}{array}[{_window(instruction.data, indices)}] += {added}"
        elif instruction.op not in ("input", "constant", "item", "read"):
            yield f"{indent}{shown[number]} = {_expression(instruction, operands)}"
        for guard in guards.get(number, []):
            place, _, source = guard.line.partition(": ")
            yield f"{indent}guard {shown[number]} is {guard.expected}    # {source or place}"


def _expression(instruction: Instruction, operands: Sequence[str]) -> str:
    op, _, data = instruction
    if op in ("zeros", "pack"):
        return f"{op}[{', '.join(map(str, data))}]" + (f" {' '.join(operands)}" if operands else "")
    if op == "table":
        shown = ", ".join([repr(x) for x in data[1][:4]]) + (", …" if len(data[1]) > 4 else "")
        return f"table[{', '.join(map(str, data[0]))}] {shown}"
    told = "" if data is None else data if isinstance(data, str) else repr(data)
    return " ".join(filter(None, [op, *(_products(operands) if op == "dot" else operands), told]))


def _loop(loop: Loop, name: str, operands: Sequence[str], indent: str) -> Iterator[str]:
    """A loop: its head, the steps, and what each step hands on, adds up or keeps."""
    inner, counter = indent + "    ", f"{name}.i"
    last = operands[0] if loop.is_counted else "n" if loop.extent == CALL else str(loop.extent)
    handed = [f"{name}[{k}]" for k in range(loop.handed)]
    roles = loop.by_role(operands)
    for result, start in zip(handed, roles.handed):
        yield f"{indent}{result} = {start}"
    steps = f"0..{last}" + (" backwards" if loop.backwards else "")
    yield (
        f"{indent}while {handed[GOING]}:    # {counter} = 0, 1, …"
        if loop.test
        else f"{indent}for {counter} in {steps}:"
    )
    elements = [f"{array}[{counter}]" for array in roles.elements]
    given = [counter, *roles.shared, *handed, *elements]
    prefix = f"{name}."
    yield from _block(loop.body, given, prefix, inner)
    shown = _shown(loop.body, given, prefix)
    outputs = [shown[o] for o in loop.body.outputs]
    if loop.carries:
        yield f"{inner}{', '.join(handed[: loop.carries])} = {', '.join(outputs[: loop.carries])}"
    for k, kind in enumerate(loop.kinds, loop.handed):
        where = f"{name}[{k}] +=" if kind == "sum" else f"{name}[{k}][{counter}] ="
        yield f"{inner}{where} {outputs[k]}"


def _indices(kind: Type, offset: int) -> str:
    """Where an element of an array is: an index for each axis."""
    assert isinstance(kind, Array)
    indices: list[int] = []
    for stride in kind.strides():
        index, offset = divmod(offset, stride)
        indices.append(index)
    return "".join([f"[{index}]" for index in indices])


def _window(window: Window, indices: Sequence[str]) -> str:
    moved = [index if step == 1 else f"{step}*{index}" for step, index in zip(window.steps, indices)]
    start = " + ".join([*([str(window.offset)] if window.offset or not moved else []), *moved])
    sizes = [f"{extent} by {stride}" for extent, stride in zip(window.shape, window.strides)]
    return " : ".join([start, *sizes])


def _products(factors: Sequence[str]) -> list[str]:
    """What a `dot` adds up; a factor of 1 is left out."""
    half = len(factors) // 2
    return [" + ".join([x if y == "1.0" else f"{x}*{y}" for x, y in zip(factors[:half], factors[half:])])]
