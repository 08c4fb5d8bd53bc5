"""Sparse derivatives of a program: its pattern, and programs that compute the entries of that pattern."""
