"""Traces of one function that differ only in what they read, such as rows of a table, share one program.

- `tape`: a run of the function of which only the operations are noted.
- `variants`: in which places traces differ.
- `taped`: what is on a tape, written as a program that reads these places from a table.
"""
