"""The files around a function in C: header, source, CMake's file, a loader for Python, and a test."""

from __future__ import annotations

import keyword
from collections.abc import Sequence

from autograd.compiler.export.expressions import literal
from autograd.compiler.export.parts import WIDTH
from autograd.compiler.export.source import Parameter, Source
from autograd.ir.block import CALL

RELATIVE, OF_LARGEST = "1e-10", "1e-12"  # how far a number may be off: of itself, and of the largest one beside it


def files(
    source: Source, rows: int, inputs: Sequence[Sequence[float]], outputs: Sequence[Sequence[float]]
) -> dict[str, str]:
    """The texts of all files by their names."""
    return {
        f"{source.name}.h": header(source),
        f"{source.name}.c": "\n".join([f'#include "{source.name}.h"', "", *source.includes, "", source.definition]),
        "CMakeLists.txt": _CMAKE.replace("@", source.name),
        f"{source.name}.py": loader(source),
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


def _in_python(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


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
        f'_function = ctypes.CDLL(str(pathlib.Path(__file__).resolve().parent / "build" / _file)).{source.name}',
        "",
        "",
        "def _array(numbers, size):",
        "    if len(numbers) != size:",
        '        raise ValueError(f"expected {size} numbers, row after row, not {len(numbers)}")',
        "    return (ctypes.c_double * max(size, 1))(*numbers)",
        "",
        "",
        f"def {_in_python(source.name)}({', '.join(given)}):",
        '    """Arrays are sequences of numbers, row after row; the result is a list of such, or of numbers."""',
    ]
    first = next((p for p in inputs if p.shape is not None and CALL in p.shape), None)
    if source.rows:
        size = f"len({_in_python(first.name)}) // {first.size()}" if first is not None else "0"
        lines.append(f"    _rows = {size}")
    lines.append(f"    _outputs = [{', '.join([f'_array([0.0] * ({_length(p)}), {_length(p)})' for p in outputs])}]")
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
    lines.append(f"    _status = _function({', '.join(passed)})")
    lines.append("    if _status:")
    lines.append(f'        raise ValueError(f"{source.name} returned the status {{_status}}: see {source.name}.h")')
    shown = [
        f"_outputs[{k}][0]" if p.shape is None else f"list(_outputs[{k}])[: {_length(p)}]"
        for k, p in enumerate(outputs)
    ]
    lines.append(f"    return [{', '.join(shown)}]")
    return "\n".join([*lines, ""])


def _length(parameter: Parameter) -> str:
    """How many numbers a parameter has, in Python."""
    by_row = parameter.shape is not None and CALL in parameter.shape
    return f"{parameter.size()} * _rows" if by_row else str(parameter.size())


# ---- the test ----------------------------------------------------------------------------------------------------


def test(source: Source, rows: int, inputs: Sequence[Sequence[float]], outputs: Sequence[Sequence[float]]) -> str:
    """A program that calls the function and compares: it fails if a number differs by more than rounding."""
    own = [p for p in source.parameters if not p.is_output]
    results = [p for p in source.parameters if p.is_output]
    lines = [
        f"/* Calls {source.name} on stored arguments and compares with the numbers that the Python function gave. */",
        f'#include "{source.name}.h"',
        "",
        "#include <math.h>",
        "#include <stdio.h>",
        "#include <stdlib.h>",
        "",
    ]
    for p, numbers in zip(own, inputs, strict=True):
        if p.shape is not None:
            lines += _stored(f"given_{p.name}", numbers)
    for p, numbers in zip(results, outputs, strict=True):
        lines += [*_stored(f"expected_{p.name}", numbers), f"static double {p.name}[{max(len(numbers), 1)}];", ""]
    lines += [_COMPARE.replace("RELATIVE", RELATIVE).replace("OF_LARGEST", OF_LARGEST)] if results else []
    lines += ["int main(void)", "{", "    int status, wrong = 0;"]
    passed = [str(rows)] if source.rows else []
    passed += [f"given_{p.name}" if p.shape is not None else literal(x[0]) for p, x in zip(own, inputs)]
    passed += [p.name for p in results]
    passed += ["steps"] if source.steps else []
    _, by_row, by_step = source.work
    passed += ["work"] if any(source.work) else []
    if source.steps:
        lines.append("    size_t steps = 1000;")
    if any(source.work):
        args = [*([str(rows)] if by_row else []), *(["steps"] if by_step else [])]
        macro = f"{source.name.upper()}_WORK" + (f"({', '.join(args)})" if args else "")
        lines.append(f"    double *work = malloc(({macro} + 1) * sizeof *work);")
        lines += ["    if (work == NULL)", "        return 2;"]
    call = f"status = {source.name}({', '.join(passed)});"
    lines.append(f"    {call}")
    if source.steps and any(source.work):
        lines += [
            f"    while (status == {source.name.upper()}_OUT_OF_STEPS && steps < 100000000) {{",
            "        free(work);",
            "        steps *= 4;",
            f"        work = malloc(({macro} + 1) * sizeof *work);",
            "        if (work == NULL)",
            "            return 2;",
            f"        {call}",
            "    }",
        ]
    lines += ["    free(work);"] if any(source.work) else []
    lines += [
        "    if (status != 0) {",
        f'        printf("{source.name} returned %d\\n", status);',
        "        return 1;",
        "    }",
    ]
    for p, numbers in zip(results, outputs):
        lines.append(f'    wrong += differences("{p.name}", {p.name}, expected_{p.name}, {len(numbers)});')
    lines += [f'    printf("{source.name}: %d numbers differ\\n", wrong);', "    return wrong != 0;", "}", ""]
    return "\n".join(lines)


_COMPARE = """static int differences(const char *name, const double *actual, const double *expected, int n)
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
"""


def _stored(name: str, numbers: Sequence[float]) -> list[str]:
    """An array of constants; C has no empty ones."""
    lines, row = [f"static const double {name}[{max(len(numbers), 1)}] = {{"], ""
    for number in [*numbers] or [0.0]:
        text = literal(number)
        if row and len(row) + len(text) + 2 > WIDTH - 8:
            lines.append(f"    {row.rstrip()}")
            row = ""
        row += f"{text}, "
    return [*lines, f"    {row.rstrip()}", "};", ""]
