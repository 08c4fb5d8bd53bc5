"""The program form: blocks of instructions on typed values, loops among them, and the passes that change programs."""
