"""The machine: `llvm` makes machine code and loads it; `cache` keeps it on disk."""
