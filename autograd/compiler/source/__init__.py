"""The first room: branches and loops in the source of a function become calls, about which a capture decides."""
