"""Differentiation of programs: sweeps append their instructions to the program, and the derivative of a loop is a loop.

- `messages`: which operands get messages, what depends on what, and local derivatives from the table.
- `presence`: messages that may be missing, so that 0 times infinity never reaches a gradient.
- `reverse`: reverse mode. `reverse_loop` goes through a loop, `adjoints` adds messages to elements of arrays in place.
- `forward`: forward mode.
- `derived_loop`: the body of a loop, copied into that of its derivative.
- `by_elements`: derivatives by the elements of an array that is one operand.
- `seeded`: one sweep for each of several seeds, as the steps of a loop: Jacobians and Hessians.
"""
