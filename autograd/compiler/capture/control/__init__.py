"""Branches and loops of the source: where a condition is a number of the program, they become part of the program.

- `flow`: what rewritten functions call; of that, `branching` and `looping` are for statements and conditions, which
  `sites` numbers. All else serves them.
- `sides`, `steps`: a side of a branch or a step of a loop while it is captured, and what is supposed there.
- `merging`, `optional`, `choice`, `gathered`: what the names hold after a branch, and from step to step.
- `journal`, `made`: what a side or a step assigns to attributes and elements, and which things it may change.
- `plain`, `whole`, `rounded`, `kinds`: numbers of the program where Python has floats or ints and no Values, and
  questions that tell them apart.
- `tables`: elements of lists at computed places.
- `pure`: which functions a side may call. `printed`: texts with numbers of the program.
"""
