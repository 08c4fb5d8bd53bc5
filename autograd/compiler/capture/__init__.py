"""Capture: a function runs once on tracers, which record its operations as a program.

- `signature`: the arguments of a call, read once. `exact`: keys for what in them is no number.
- `outside`, `walk`, `settings`: what the function reads outside its arguments; a change of it makes a new capture.
- `tracer`, `truth`: what stands for a number of the program, and for a comparison.
- `watched`, `trace`: the program as it is recorded, with the numbers of this run.
- `branches`, `maps`, `loops`: `vmap`, `scan`, `fori` and `while_loop` become loops of the program.
- `spent`, `counters`, `repeats`: what rows and steps use up and count; whether one of them can stand for the others.
- `sweeps`: derivatives inside the function become instructions.
- `control`: branches and loops that are written in the source. `texts`: texts with numbers in them.
- `results`, `replay`: what the function returns, and a program that runs again on Values.
- `shared`: traces that differ only in what they read share one program.
"""
