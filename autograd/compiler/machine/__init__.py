"""The machine: LLVM's engine, the libraries that machine code calls, and the cache on disk."""
