"""Which branch or loop of a function is captured, and what became of it."""

from __future__ import annotations

from typing import Any

from autograd.compiler.capture.control.sides import truth_of
from autograd.compiler.capture.watched import UnrollError
from autograd.compiler.source.rewrite import Rewritten, Site
from autograd.native import fast

SINGLE_CALL = "a single call runs one side only"


class Sites:
    """The branches and loops of one function."""

    __slots__ = ("sites",)

    def __init__(self, code: Rewritten) -> None:
        self.sites = code.sites

    @fast
    def guard(self, number: int, condition: Any) -> Any:
        """The condition of a statement that stays as it is."""
        found = truth_of(condition)
        if found is not None:
            site = self.sites[number]
            self.note(found[0], site, site.refused or "")
        return condition

    @staticmethod
    def note(trace: Any, site: Site, why: str | None = None) -> None:
        """Remember what became of a branch or loop: None for a part of the program, or why it is a guard."""
        notes = trace.root().flow
        notes.setdefault(site, why)
        if why is None:
            notes[site] = None


def was_guard(trace: Any, site: Site) -> bool:
    """Whether a row runs once more that was not captured with this branch or loop, as when a side is too long.

    The second run finds most of its instructions there, and so would not be too long.
    """
    root = trace.root()
    return root.repeating and root.flow.get(site) is not None


def reason_of(error: Exception) -> str:
    """Why a branch or loop could not be captured."""
    if isinstance(error, UnrollError):
        return error.reason.told
    return f"{type(error).__name__}: {error}"
