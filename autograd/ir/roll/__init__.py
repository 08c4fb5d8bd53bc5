"""Rolling: a flat trace goes in, and the loops that it was made by come out.

In the order of the work:

- `rolling`: the way from flat code to code with loops.
- `stages`, `statements`, `ranges`: flat code as statements, each with a shape and a vector of numbers.
- `recognition`: nested loop recognition on statements.
- `triangles`, `laid_out`, `fitted`: nests whose inner extents change from step to step.
- `nest`, `peeled`, `places`: where each statement of a nest stands, and where its operands come from.
- `written`, `levels`: the nests as loops of a program.
"""
