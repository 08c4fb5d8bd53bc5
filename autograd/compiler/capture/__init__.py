"""Capture: a function runs once on tracers, and its operations are written down as a program."""
