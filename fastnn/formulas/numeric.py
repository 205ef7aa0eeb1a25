"""The formulas' NumPy arithmetic on whole layers, for whoever looks at a network without its kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.formulas import ops
from fastnn.formulas.activations import Activation
from fastnn.formulas.costs import Cost, output_unit

Array = NDArray[Any]


def activate(activation: Activation, Z: Array) -> Array:
    """``f(Z)`` for rows of weighted inputs (n, units)."""
    if activation.expression is not None:
        (found,) = ops.compute([activation.expression], {"z": Z})
        return np.broadcast_to(found, Z.shape)
    result: Array = np.exp(_log_softmax(Z))
    return result


def slope(activation: Activation, Z: Array) -> Array:
    """``f'(Z)``, of an activation that works on single numbers."""
    assert activation.derivative is not None
    (found,) = ops.compute([activation.derivative], {"z": Z})
    return np.broadcast_to(found, Z.shape)


def output_delta(cost: Cost, output: Activation, Z: Array, targets: Array) -> Array:
    """``dC/dZ`` of every sample for weighted inputs and targets (n, outputs)."""
    unit = output_unit(cost, output, Z.shape[1])
    values = {"t": targets, "q": np.asarray(cost.units, Z.dtype)} if cost.units else {"t": targets}
    if not unit.softmax:
        (found,) = ops.compute([unit.slope], {"z": Z, **values})
        return np.broadcast_to(found, Z.shape)
    logarithms = _log_softmax(Z)
    (u,) = ops.compute([unit.slope], {"l": logarithms, **values})
    result: Array = u - np.exp(logarithms) * np.sum(u, axis=1, keepdims=True)
    return result


def _log_softmax(Z: Array) -> Array:
    shifted = Z - Z.max(axis=1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
