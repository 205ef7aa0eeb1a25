"""The sigmoid in NumPy: for the few numbers of a single sample an engine is a long way."""

from __future__ import annotations  # so that help() shows types by their short names

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import validation

Array = NDArray[Any]

_LARGEST = {np.dtype(np.float32): 88.0, np.dtype(np.float64): 709.0}  # whose exp is finite


def sigmoid(z: ArrayLike) -> Array:
    """``1 / (1 + exp(-z))``, finite for every finite number.

    Parameters
    ----------
    z : array-like, any shape
        float32 stays float32, anything else becomes float64.

    Returns
    -------
    array of z's shape

    Raises
    ------
    TypeError
        If z is not numeric.

    Examples
    --------
    >>> sigmoid(np.array([-1e38, 0.0, 1e38]))
    array([0. , 0.5, 1. ])
    """
    values = validation.check_numeric("z", z)
    if values.dtype not in _LARGEST:
        values = values.astype(np.float64)
    with np.errstate(under="ignore"):
        exponential = np.exp(np.minimum(values, _LARGEST[values.dtype]))
        result: Array = exponential / (exponential + 1)
    return result
