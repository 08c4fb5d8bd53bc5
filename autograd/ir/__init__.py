"""The program form: what the compiler holds of a function, in plain Python, without LLVM and without NumPy.

The modules, in the order in which they are best read:

- `block`: instructions, loops, programs and their types. `text` prints them.
- `builder`: writes a program. `rewriters`: what an instruction becomes when it is written.
- `evaluate`: what a program computes, by definition. `verify`: the rules that every program keeps.
- `rewrite`: copies of a program with something changed. `digest`: a short text that tells programs apart.
- `memory`, `elements`, `first_step`: arrays that loops add to, arrays as operands, and whether a loop takes a step.

And three rooms, each a kind of function from programs to programs:

- `derive`: forward and reverse mode.
- `passes`: programs that compute the same for less.
- `roll`: finds the loops in flat code.
"""
