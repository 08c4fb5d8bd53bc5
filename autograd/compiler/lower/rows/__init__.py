"""Maps: blocks of rows go through a stage, a vector for each column, on which the body runs.

- `loops`: the loop over the blocks.
- `layout`: which column of the stage holds what. `staging`: copies to and from it.
- `sums`: sums over the rows of products, such as the gradients of weights.
- `sides`: what only some rows need is skipped where no lane needs it.
"""
