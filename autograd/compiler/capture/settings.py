"""Settings that functions without Python source read: how decimals are rounded, what is logged, what is a subclass."""

from __future__ import annotations

import abc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

Setting = Callable[[], tuple[Any, ...]]
LOGGING = frozenset({"getEffectiveLevel", "hasHandlers", "isEnabledFor"})  # methods that ask the loggers above


def _of_decimals() -> tuple[Any, ...]:
    context = sys.modules["decimal"].getcontext()
    return context.prec, context.rounding, context.Emin, context.Emax, context.clamp


def of_classes() -> tuple[Any, ...]:
    """A number that changes when a class is registered as a subclass of another one."""
    return (abc.get_cache_token(),)


def _of_logger(logger: Any) -> tuple[Any, ...]:
    kind = sys.modules["logging"].Logger
    return kind.getEffectiveLevel(logger), logger.manager.disable


def setting_of(thing: Any, attributes: frozenset[str]) -> tuple[str, Setting] | None:
    """What a user is told about a setting, and a function that reads it; attributes are what the code mentions."""
    decimals, logging = sys.modules.get("decimal"), sys.modules.get("logging")
    if decimals is not None and (thing is decimals or thing is decimals.Decimal):
        return "decimal.getcontext()", _of_decimals
    if logging is not None and logging.Logger in type(thing).__mro__ and not LOGGING.isdisjoint(attributes):
        return "getEffectiveLevel()", partial(_of_logger, thing)
    return None
