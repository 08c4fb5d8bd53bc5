"""The machine: `llvm` makes machine code and loads it; `cache` keeps object code on disk."""
