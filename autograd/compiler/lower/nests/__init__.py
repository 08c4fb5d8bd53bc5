"""Nests: a loop with a short body, and the loops in it, as one function that keeps counters and carries in registers.

- `nest`: counted nests, in scalar code or in lanes. `decided`: nests whose extents are decided while they run.
- `steps`, `counted`: the instructions of a step, and a loop in it.
- `views`, `columns`: where numbers and arrays are.
- `tiles`, `jam`, `ordered`: elements that stay in registers, steps that are written together, sums in order in lanes.
"""
