"""Lowering: a program as the text of LLVM's intermediate language."""
