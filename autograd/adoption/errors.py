"""The error of code that cannot be adopted."""

from __future__ import annotations


class AdoptionError(ImportError):
    """Code that cannot be adopted: a compiled extension, or a module or function without source.

    It is an ImportError, so a package that has a way without its extension takes that way.
    """
