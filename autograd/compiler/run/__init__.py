"""Running: from a call to the machine code that serves it."""
