"""Capture: a function runs once on tracers, which record its operations as a program."""
