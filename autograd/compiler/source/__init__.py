"""The first room: what the source and the code of a function say, before it runs.

- `rewrite`: branches and loops become calls, about which a capture decides.
- `bodies`, `jumps`, `names`, `stores`, `optional`, `gathered`, `texts`: which statements can become calls, and
  what they assign.
- `functions`: rewritten functions in place of the original ones.
- `mentions`, `identity`: which names a code object mentions, and whether it can tell a traced comparison from a bool.
"""
