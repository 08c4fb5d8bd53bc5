"""The C writer: a captured program as a self-contained C99 function, and the files that go with it."""
