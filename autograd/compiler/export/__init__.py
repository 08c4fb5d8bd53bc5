"""Export: writes a captured program as a self-contained C99 function, and the files that go with it.

From the whole to its parts:

- `files`: header, source, CMake's file, a loader for Python, and a test.
- `source`: the function: its parameters, its header, its workspace and its text.
- `blocks`: the instructions of a program or of a loop's body, and the loops in it. It adds loops to `carries` (what a
  step hands to the next), `sums` (sums of many terms) and `statements` (all other instructions).
- `factors`: sums over the steps of a loop that are products.
- `runs`: statements that follow a pattern become one loop.
- `expressions`: views of arrays, and operations with as few parentheses as C needs. `lanes`: the same for several steps
  at a time.
- `parts`: what the statements collect: names, constants, helpers, the workspace. `names`: valid names in C. `helpers`:
  functions that <math.h> lacks.
"""
