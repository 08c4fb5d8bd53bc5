"""The machine: LLVM, the libraries that machine code calls, and the cache on disk."""
