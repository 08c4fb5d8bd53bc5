"""Passes: functions from a program to one that computes the same for less.

- `simplify`: the order of the passes, and the small ones.
- `legalize`: primitives without machine code become their formulas.
- `chains`: additions in a row become one `dot` or `sum`, whose order of additions is chosen later.
- `fusion`, `map_passes`, `recompute`: maps that run as one, and results that are computed twice, not stored.
- `kept`: what is expensive is stored instead, for the loops that would compute it again.
- `same_steps`: loops that take the same steps become one.
- `steady`, `in_place`: carries that never change, and arrays that are made only to be added to others.
"""
