"""How many random examples a test draws."""

from hypothesis import settings


def examples(count: int) -> int:
    """`count` with fresh seeds (`--hypothesis-profile=fresh`); a fifth of it with the fixed ones of every other run."""
    return max(count // 5, 10) if settings().derandomize else count
