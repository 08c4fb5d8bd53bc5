"""Data sets as people have them (lists, NumPy arrays, pandas frames) as arrays of doubles, checked once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nn.losses import LOSSES, Loss, cross_entropy_with_logits

Array = NDArray[np.float64]
OF_SOME_TARGETS = frozenset(
    {"hinge", "binary_cross_entropy_with_logits", "cross_entropy_with_logits", "poisson_with_log_rates"}
)  # losses that refuse some numbers


@dataclass(frozen=True)
class Data:
    """Observations, one in each row.

    Attributes
    ----------
    inputs : ndarray, shape (observations, ...)
        What the model takes.
    targets : ndarray, shape (observations, ...)
        What it should return.
    weights : ndarray, shape (observations,), or None
        How much each observation counts.
    """

    inputs: Array
    targets: Array
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, chosen: Any) -> Data:
        """Some of the observations."""
        weights = None if self.weights is None else self.weights[chosen]
        return Data(self.inputs[chosen], self.targets[chosen], weights)


def as_array(data: Any, name: str) -> Array:
    """Numbers of any container as an array of float64; the first axis goes over the observations.

    Raises
    ------
    TypeError
        If something in it is not a number; the message names a column of text.
    ValueError
        If rows differ in length, a number is missing or infinite, or there is only one number.
    """
    if hasattr(data, "toarray"):
        raise TypeError(f"{name} is a sparse matrix: pass {name}.toarray(), because every input is a number here")
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it or leave these rows out, because the mask would be lost")
    _refuse_text(data, name)
    try:
        found = np.asarray(data)
        if found.dtype.kind in "mMSU":  # NumPy would make numbers of dates, and of text that looks like numbers
            raise TypeError(f"it holds {found.dtype}")
        if found.dtype.kind not in "biufc":
            found = found.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise _better(data, name, error) from None
    if found.dtype.kind == "c":
        raise TypeError(f"{name} holds complex numbers: pass real and imaginary parts as columns")
    if found.ndim == 0:
        raise ValueError(f"{name} must have one row for each observation, not {data!r:.80}")
    array: Array = np.ascontiguousarray(found, dtype=np.float64)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}[{', '.join(map(str, place))}] is {array[place]}: leave out or fill in missing and infinite numbers"
        )
    return array


def _refuse_text(data: Any, name: str) -> None:
    for column, kind in getattr(data, "dtypes", {}).items() if hasattr(data, "columns") else ():
        if getattr(kind, "kind", "O") not in "biufO" or str(kind) in ("category", "string", "str"):
            raise TypeError(
                f"the column {column!r} of {name} holds {kind}, not numbers: encode it (pandas.get_dummies) or "
                "leave it out"
            )


def _better(data: Any, name: str, error: Exception) -> Exception:
    """What is wrong with data that NumPy does not take."""
    if "inhomogeneous" in str(error):
        lengths = sorted({len(row) for row in data if hasattr(row, "__len__")})
        return ValueError(f"the rows of {name} differ in length: {lengths}")
    return TypeError(
        f"{name} must hold numbers only ({error}): encode classes as whole numbers, and text and dates as columns"
    )


def as_data(
    inputs: Any, targets: Any, weights: Any = None, names: tuple[str, str, str] = ("X", "y", "sample_weight")
) -> Data:
    """A data set, checked.

    Raises
    ------
    TypeError, ValueError
        As for `as_array`; and if there is no observation, or not one target and weight for each.
    """
    x, y = as_array(inputs, names[0]).copy(), as_array(targets, names[1]).copy()  # others may change theirs
    if len(x) != len(y):
        raise ValueError(f"{names[0]} has {len(x)} rows and {names[1]} has {len(y)}: each observation needs a target")
    if not len(x):
        raise ValueError(f"{names[0]} is empty: there is nothing to learn from")
    if y.ndim == 2 and y.shape[1] == 1:
        y = np.ascontiguousarray(y[:, 0])
    return Data(x, y, None if weights is None else as_weights(weights, len(x), names[2]))


def as_weights(weights: Any, count: int, name: str) -> Array:
    """One weight for each observation."""
    found = as_array(weights, name)
    if found.shape != (count,):
        raise ValueError(f"{name} must be {count} numbers, one for each row of X, not an array of shape {found.shape}")
    if (found < 0).any():
        raise ValueError(f"{name}[{int(np.argmax(found < 0))}] is {found[found < 0][0]}: a weight is at least 0")
    if not found.any():
        raise ValueError(f"{name} is 0 for every observation: nothing would be learned")
    return found


def with_class_weights(data: Data, class_weight: Any) -> Data:
    """The data with weights that also depend on the class of each observation.

    `class_weight` maps classes to weights (others have the weight 1), or is "balanced": n / (classes · count).
    """
    if class_weight is None:
        return data
    y = data.targets
    if y.ndim > 1 or not np.array_equal(y, np.round(y)):
        raise ValueError("class_weight needs one class, a whole number, for each observation in y")
    classes, counts = np.unique(y, return_counts=True)
    if class_weight == "balanced":
        class_weight = dict(zip(classes.tolist(), (len(y) / (len(classes) * counts)).tolist()))
    if not hasattr(class_weight, "items"):
        raise TypeError(f"class_weight must be 'balanced' or a dict from class to weight, not {class_weight!r}")
    unknown = [key for key in class_weight if key not in classes]
    if unknown:
        raise ValueError(f"class_weight names the class {unknown[0]!r}, which is not in y: {classes.tolist()}")
    factors = np.ones(len(y))
    for key, weight in class_weight.items():
        factors[y == key] = weight
    return replace(
        data, weights=as_weights(factors * (1.0 if data.weights is None else data.weights), len(y), "class_weight")
    )


def row_of(array: Array, index: int) -> Any:
    """A row as an eager model takes it: a float, or an array of floats on which a node is made at full speed."""
    row = array[index]
    return float(row) if row.ndim == 0 else row.astype(object)


def target_of(loss: Loss, row: Any) -> Any:
    """A target as a loss takes it: a class is a whole number."""
    underlying = getattr(loss, "func", loss)  # of a functools.partial
    if underlying is cross_entropy_with_logits and isinstance(row, float) and row.is_integer():
        return int(row)
    return row


def check_targets(loss: Loss, output: Any, targets: Array) -> None:
    """Let a loss of this package refuse targets that it cannot work with; compiled, it would only return nan."""
    found = getattr(loss, "func", loss)
    if found not in LOSSES.values():
        return
    different = np.unique(targets, axis=0) if found.__name__ in OF_SOME_TARGETS else targets[:1]
    rows = [target_of(loss, row_of(different, i)) for i in range(len(different))]
    loss([output] * len(rows), rows)
