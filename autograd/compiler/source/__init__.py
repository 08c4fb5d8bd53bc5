"""The first room of the compiler: branches and loops in the source of a function become calls that a capture decides."""
