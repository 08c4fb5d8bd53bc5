"""Batches: `vmap` at the top of a compiled function, over arrays with any number of rows.

In the order of a call:

- `function`: a batch, and one call of it: each row runs the machine code whose guards hold for it.
- `arguments`: arrays and lists of rows are read as matrices of numbers.
- `known`: which rows of the last call took which path; the next call starts with that.
- `trace`: the first call captures the function of one row as the body of a loop over all rows.
- `code`: the machine code for one path, and the buffers of the rows that it runs on.
- `derivatives`: a batch that closes over Values; each row also returns its derivatives by them.
"""
