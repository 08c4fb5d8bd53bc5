"""Lowering: writes a program as LLVM IR.

From the whole to the parts:

- `program`, `bodies`: the program as functions, and each of its loops in the way that fits it.
- `long_loops`: loops of very many steps become loops that look for signals.
- `rows`: maps, whose rows go through vectors in blocks.
- `nested`, `nests`: loops with short bodies, and the loops in them, as one function with everything in registers.
- `whiles`: loops whose extent is decided while they run.
- `parallel`, `branches`: which loops have independent steps, and which selections become jumps.
- `code`, `values`, `expressions`: straight-line code, where its values are, and one operation.
- `gather`, `rounding`, `remainders`: operations that take more than an instruction.
- `module`: the text of the module, and a description of the machine.
"""
