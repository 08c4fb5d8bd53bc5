"""The files around a function in C: header, source, CMake's file, a loader for Python, and a test."""

from __future__ import annotations

import builtins
import keyword
import sys
from collections.abc import Collection, Sequence

from autograd.compiler.export.expressions import literal
from autograd.compiler.export.names import Names
from autograd.compiler.export.source import Parameter, Source, table

RELATIVE, OF_LARGEST = "1e-10", "1e-12"  # how far a number may be off: times itself, and times the largest beside it


def files(
    source: Source, rows: int, inputs: Sequence[Sequence[float]], outputs: Sequence[Sequence[float]]
) -> dict[str, str]:
    """File name → text, for all files."""
    return {
        f"{source.name}.h": header(source),
        f"{source.name}.c": "\n".join([f'#include "{source.name}.h"', "", *source.includes, "", source.definition]),
        "CMakeLists.txt": _CMAKE.replace("@", source.name),
        f"{_in_python(source.name, sys.stdlib_module_names)}.py": loader(source),
        f"test_{source.name}.c": test(source, rows, inputs, outputs),
    }


def header(source: Source) -> str:
    """The header: the comment, the statuses, the size of the workspace and the prototype, for C and C++."""
    guard = f"{source.name.upper()}_H"
    return f"""#ifndef {guard}
#define {guard}

{source.summary}
#include <stddef.h>

#ifdef __cplusplus
extern "C" {{
#endif

{source.declarations}
#ifdef __cplusplus
}}
#endif

#endif
"""


_CMAKE = """cmake_minimum_required(VERSION 3.10)
project(@ C)

set(CMAKE_C_STANDARD 99)
set(CMAKE_C_EXTENSIONS OFF)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

add_library(@_library SHARED @.c)
set_target_properties(@_library PROPERTIES OUTPUT_NAME @ WINDOWS_EXPORT_ALL_SYMBOLS ON)
target_include_directories(@_library PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
if(NOT MSVC)
    # Without -ffp-contract=off a product and a sum may become one operation, which rounds once: results would differ.
    # No code looks at errno or at the flags of floating-point exceptions, so several steps may be computed at a time.
    target_compile_options(@_library PRIVATE -Wall -Wextra -Wpedantic)
    target_compile_options(@_library PRIVATE -ffp-contract=off -fno-math-errno -fno-trapping-math)
    target_link_libraries(@_library PUBLIC m)
endif()

enable_testing()
add_executable(@_test test_@.c)
target_link_libraries(@_test @_library)
add_test(NAME @ COMMAND @_test)
"""


# ---- Python ------------------------------------------------------------------------------------------------------


def _in_python(name: str, modules: Collection[str] = ("ctypes", "pathlib", "sys")) -> str:
    """A name in the loader: not a keyword, a builtin or one of these modules."""
    return f"{name}_" if keyword.iskeyword(name) or hasattr(builtins, name) or name in modules else name


def loader(source: Source) -> str:
    """A module that calls the function through ctypes."""
    inputs = [p for p in source.parameters if not p.is_output]
    outputs = [p for p in source.parameters if p.is_output]
    given = [_in_python(p.name) for p in inputs] + ([f"{source.steps}=1000"] if source.steps else [])
    lines = [
        f'"""{source.name} in C. Build the library first: cmake -B build && cmake --build build"""',
        "import ctypes, pathlib, sys",
        "",
        f'_names = {{"win32": "{source.name}.dll", "darwin": "lib{source.name}.dylib"}}',
        f'_file = _names.get(sys.platform, "lib{source.name}.so")',
        f'_function = ctypes.CDLL(str(pathlib.Path(__file__).resolve().parent / "build" / _file))["{source.name}"]',
        "",
        "",
        "def _array(numbers, size):",
        "    if len(numbers) != size:",
        '        raise ValueError(f"expected {size} numbers, row after row, not {len(numbers)}")',
        "    return (ctypes.c_double * max(size, 1))(*numbers)",
        "",
        "",
        f"def {_in_python(source.name, sys.stdlib_module_names)}({', '.join(given)}):",
        '    """Arrays are sequences of numbers, row after row; the result is a list of such, or of numbers."""',
    ]
    first = next((p for p in inputs if p.by_row), None)
    if source.rows:
        size = f"len({_in_python(first.name)}) // {first.size()}" if first is not None else "0"
        lines.append(f"    _rows = {size}")
    lines.append(f"    _outputs = [{', '.join([f'_array([0.0] * ({_length(p)}), {_length(p)})' for p in outputs])}]")
    lines.append(f"    _status = _function({', '.join(_passed(source, inputs))})")
    lines.append("    if _status:")
    lines.append(f'        raise ValueError(f"{source.name} returned the status {{_status}}: see {source.name}.h")')
    shown = [
        f"_outputs[{k}][0]" if p.shape is None else f"list(_outputs[{k}])[: {_length(p)}]"
        for k, p in enumerate(outputs)
    ]
    lines.append(f"    return [{', '.join(shown)}]")
    return "\n".join([*lines, ""])


def _passed(source: Source, inputs: Sequence[Parameter]) -> list[str]:
    """What the loader passes to the function in C, as Python code."""
    passed = ["ctypes.c_size_t(_rows)"] if source.rows else []
    passed += [
        f"ctypes.c_double({_in_python(p.name)})" if p.shape is None else f"_array({_in_python(p.name)}, {_length(p)})"
        for p in inputs
    ]
    passed.append("*_outputs")
    passed += [f"ctypes.c_size_t({source.steps})"] if source.steps else []
    if any(source.work):
        fixed, by_row, by_step = source.work
        terms = [str(fixed), *([f"{by_row} * _rows"] if by_row else [])]
        terms += [f"{by_step} * {source.steps}"] if by_step else []
        passed.append(f"(ctypes.c_double * max({' + '.join(terms)}, 1))()")
    return passed


def _length(parameter: Parameter) -> str:
    """How many numbers a parameter has, as Python code."""
    return f"{parameter.size()} * _rows" if parameter.by_row else str(parameter.size())


# ---- the test ----------------------------------------------------------------------------------------------------


def test(source: Source, rows: int, inputs: Sequence[Sequence[float]], outputs: Sequence[Sequence[float]]) -> str:
    """A program in C that calls the function and compares; it fails if a number differs by more than rounding."""
    own = [p for p in source.parameters if not p.is_output]
    results = [p for p in source.parameters if p.is_output]
    names = Names()
    names.taken.update([source.name, *[p.name for p in results]])
    lines = [
        f"/* Calls {source.name} on stored arguments and compares with the numbers that the Python function gave. */",
        f'#include "{source.name}.h"',
        "",
        "#include <math.h>",
        "#include <stdio.h>",
        "#include <stdlib.h>",
        "",
    ]
    given = [names.take(f"given_{p.name}") if p.shape is not None else literal(x[0]) for p, x in zip(own, inputs)]
    expected = [names.take(f"expected_{p.name}") for p in results]
    for p, name, numbers in zip(own, given, inputs, strict=True):
        if p.shape is not None:
            lines += _stored(name, numbers)
    for p, name, numbers in zip(results, expected, outputs, strict=True):
        lines += [*_stored(name, numbers), f"static double {p.name}[{max(len(numbers), 1)}];", ""]
    differences, wrong = names.take("differences"), names.take("wrong")
    if results:
        lines.append(_COMPARE.replace("@", differences))
    lines += ["int main(void)", "{", f"    int {wrong} = 0;"]
    lines += _called(source, rows, [*given, *[p.name for p in results]], names)
    for p, name, numbers in zip(results, expected, outputs):
        lines.append(f'    {wrong} += {differences}("{p.name}", {p.name}, {name}, {len(numbers)});')
    lines += [f'    printf("{source.name}: %d numbers differ\\n", {wrong});', f"    return {wrong} != 0;", "}", ""]
    return "\n".join(lines)


def _called(source: Source, rows: int, arrays: Sequence[str], names: Names) -> list[str]:
    """Statements that call the function, again with more room for steps if it needs that, and return on an error."""
    status, steps, work = [names.take(name) for name in ("status", "steps", "work")]
    rooms = [*([str(rows)] if source.work[1] else []), *([steps] if source.work[2] else [])]
    size = f"{source.name.upper()}_WORK" + (f"({', '.join(rooms)})" if rooms else "")
    passed = [*([str(rows)] if source.rows else []), *arrays, *([steps] if source.steps else [])]
    room = [f"{work} = malloc(({size} + 1) * sizeof *{work});", f"if ({work} == NULL)", "    return 2;"]
    if not any(source.work):
        room = []
    again = [*room, f"{status} = {source.name}({', '.join([*passed, *([work] if room else [])])});"]
    lines = [f"int {status};", *([f"size_t {steps} = 1000;"] if source.steps else [])]
    lines += [*([f"double *{work};"] if room else []), *again]
    if source.steps and room:
        lines.append(f"while ({status} == {source.name.upper()}_OUT_OF_STEPS && {steps} < 100000000) {{")
        lines += [f"    {line}" for line in (f"free({work});", f"{steps} *= 4;", *again)]
        lines.append("}")
    lines += [f"free({work});"] if room else []
    lines += [f"if ({status} != 0) {{", f'    printf("{source.name} returned %d\\n", {status});', "    return 1;", "}"]
    return [f"    {line}" for line in lines]


_COMPARE = """static int @(const char *name, const double *actual, const double *expected, int n)
{
    double largest = 0.0;
    int found = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(expected[i]) && fabs(expected[i]) > largest)
            largest = fabs(expected[i]);
    for (int i = 0; i < n; i++) {
        const int both = isnan(actual[i]) ? isnan(expected[i]) : actual[i] == expected[i];
        if (!both && !(fabs(actual[i] - expected[i]) <= RELATIVE * fabs(expected[i]) + OF_LARGEST * largest)) {
            printf("%s[%d] is %.17g, not %.17g\\n", name, i, actual[i], expected[i]);
            found++;
        }
    }
    return found;
}
""".replace("RELATIVE", RELATIVE).replace("OF_LARGEST", OF_LARGEST)


def _stored(name: str, numbers: Sequence[float]) -> list[str]:
    """An array of constants; an empty one gets a 0, because C has none."""
    return [*table(name, [literal(x) for x in numbers] or ["0.0"]), ""]
