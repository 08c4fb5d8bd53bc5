"""The program form: blocks of instructions on typed values, loops among them, and what turns one into another."""
