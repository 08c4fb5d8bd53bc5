"""Running: finds the machine code for a call."""
