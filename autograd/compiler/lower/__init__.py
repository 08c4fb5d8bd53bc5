"""Lowering: writes a program as LLVM IR."""
