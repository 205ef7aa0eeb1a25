"""The engine's activations and costs on plain arrays: stable for every finite input, and the same machine code.

float32 stays float32, anything else numeric is computed in float64. NaN comes out as NaN; nothing warns.
"""

from __future__ import annotations  # so that help() shows types by their short names

import ctypes
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import layout, validation
from fastnn.formulas import activations, costs
from fastnn.kernels.buffers import Lists, Net
from fastnn.kernels.host import lanes_of
from fastnn.kernels.records import Packed, address_of, pack_table
from fastnn.program import Program

Array = NDArray[Any]
_NUMBER, _POINTER = ctypes.c_int64, ctypes.c_void_p
_ACTIVATE = ctypes.CFUNCTYPE(None, _NUMBER, _NUMBER, _POINTER, _NUMBER, _POINTER, _NUMBER)

__all__ = [
    "cross_entropy",
    "identity",
    "log_likelihood",
    "quadratic",
    "relu",
    "sigmoid",
    "softmax",
    "sum_squares",
    "tanh",
]


def _floats(argument: str, values: ArrayLike) -> Array:
    array = validation.check_numeric(argument, values)
    return array if array.dtype == np.float32 else array.astype(np.float64)


def _elementwise(name: str, z: ArrayLike) -> Array:
    values = _floats("z", z)
    lanes = lanes_of(values.itemsize)  # first: it refuses what Numba cannot be imported with
    from fastnn.kernels import formula_parts, parts
    from fastnn.kernels.steps import number_type

    buffer = layout.aligned_zeros(layout.padded(values.size, lanes), values.dtype)
    buffer[: values.size] = values.reshape(-1)
    expression = activations.resolve(name).expression
    if expression is not None and buffer.size:
        address = parts.address(formula_parts.activation_part(expression), number_type(values.dtype))
        start, vectors = buffer.ctypes.data, buffer.size // lanes
        _ACTIVATE(address)(1, vectors, start, 0, start, 0)
    result: Array = buffer[: values.size].reshape(values.shape)
    return result[()]


def _rows(argument: str, values: ArrayLike) -> Array:
    """An array of at least one dimension and one column."""
    array = np.atleast_1d(_floats(argument, values))
    if array.shape[-1] == 0:
        raise ValueError(f"{argument} must have at least one output, got shape {array.shape}")
    return array


def _blocks(*arrays: Array) -> tuple[Array, Array]:
    """An aligned flat buffer of blocks that hold a register's lanes of rows, and its view (rows, array, n)."""
    n, dtype = arrays[0].shape[-1], arrays[0].dtype
    lanes = lanes_of(dtype.itemsize)
    rows = arrays[0].size // n
    blocks = -(-rows // lanes)
    buffer = layout.aligned_zeros(blocks * len(arrays) * n * lanes, dtype)
    view = buffer.reshape(blocks, len(arrays), n, lanes)
    for i, array in enumerate(arrays):
        filled = np.zeros((blocks * lanes, n), dtype)
        filled[:rows] = array.reshape(rows, n)
        view[:, i] = filled.reshape(blocks, lanes, n).transpose(0, 2, 1)
    return buffer, view


def sigmoid(z: ArrayLike) -> Array:
    """``1 / (1 + exp(-z))``.

    Parameters
    ----------
    z : array-like, any shape
        Numbers.

    Returns
    -------
    array of z's shape

    Raises
    ------
    TypeError
        If z is not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.functions import sigmoid
    >>> sigmoid(np.array([-1e38, 0.0, 1e38]))
    array([0. , 0.5, 1. ])
    """
    return _elementwise("sigmoid", z)


def tanh(z: ArrayLike) -> Array:
    """``tanh(z)``; parameters, result and errors as for :func:`sigmoid`.

    Examples
    --------
    >>> from fastnn.functions import tanh
    >>> float(tanh(1e-30))
    1e-30
    """
    return _elementwise("tanh", z)


def relu(z: ArrayLike) -> Array:
    """``max(z, 0)``; parameters, result and errors as for :func:`sigmoid`.

    Examples
    --------
    >>> from fastnn.functions import relu
    >>> relu([-2, 3])
    array([0., 3.])
    """
    return _elementwise("relu", z)


def identity(z: ArrayLike) -> Array:
    """``z``; parameters, result and errors as for :func:`sigmoid`.

    Examples
    --------
    >>> from fastnn.functions import identity
    >>> identity([-2, 3])
    array([-2.,  3.])
    """
    return _elementwise("identity", z)


def softmax(z: ArrayLike) -> Array:
    """``exp(z_j) / sum_k exp(z_k)`` along the last axis.

    Parameters
    ----------
    z : array-like (..., n_out)
        Weighted inputs.

    Returns
    -------
    array (..., n_out)
        Probabilities.

    Raises
    ------
    TypeError
        If z is not numeric.
    ValueError
        If n_out is zero.

    Examples
    --------
    >>> from fastnn.functions import softmax
    >>> softmax([1000.0, 1000.0])
    array([0.5, 0.5])
    """
    values = _rows("z", z)
    buffer, view = _blocks(values, values)
    from fastnn.kernels import epoch
    from fastnn.kernels.steps import number_type

    n = values.shape[-1]
    epoch.apply_softmax.code(number_type(values.dtype))(address_of(buffer), buffer.size, n)
    rows: Array = view[:, 0].transpose(0, 2, 1).reshape(-1, n)
    return rows[: values.size // n].reshape(values.shape)


def _cost(name: str, output: str, z: ArrayLike, y: ArrayLike) -> Array:
    """Cost of every row, with ``output`` as the activation between z and the cost."""
    values = _rows("z", z)
    with np.errstate(over="ignore"):
        targets = np.atleast_1d(_floats("y", y)).astype(values.dtype)
    if targets.shape != values.shape:
        raise ValueError(f"y must have the shape of z, {values.shape}, got {targets.shape}")
    out = np.empty(values.shape[:-1], np.float64)
    n = values.shape[-1]
    program = Program((activations.resolve(output),), costs.resolve(name), (1, n), values.dtype)
    program.require(["unit"])
    plan = layout.plan_layout((1, n), (False,), layout.Room(), values.dtype)
    work = _blocks(values, targets, values)[0]
    lists = Lists(out, 0, out, out, 0, 0, 0, 0, out)
    net = Packed(
        Net(
            layers=pack_table(plan.layers),
            depth=1,
            scaled=0,
            across=0,
            params=work,
            params_size=0,
            work=work,
            scratch=plan.scratch,
            partial=work[:0],
            partial_size=0,
            copied=0,
            lists=lists,
            code=program.code,
            softmax=program.softmax,
            cut=program.cut,
            scales=out,
            unit_constants=work[:0],
        )
    )
    program.entry("apply_cost")(net.address, out.size, address_of(out))
    limit = np.finfo(values.dtype).max  # a true cost beyond the range of the dtype comes out as its largest number
    result: Array = np.clip(out, -limit, limit).astype(values.dtype)
    return result[()]


def cross_entropy(z: ArrayLike, y: ArrayLike) -> Array:
    """Bernoulli cross-entropy of sigmoid outputs, from their weighted inputs, summed over outputs.

    ``sum_j max(z_j, 0) - z_j y_j + log(1 + exp(-|z_j|))``

    Parameters
    ----------
    z : array-like (..., n_out)
        Weighted inputs.
    y : array-like (..., n_out)
        Targets in [0, 1].

    Returns
    -------
    array (...)

    Raises
    ------
    TypeError
        If z or y is not numeric.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> from fastnn.functions import cross_entropy
    >>> cross_entropy([[1000.0], [-1000.0]], [[1.0], [1.0]])
    array([   0., 1000.])
    """
    return _cost("cross_entropy", "sigmoid", z, y)


def log_likelihood(z: ArrayLike, y: ArrayLike) -> Array:
    """Cross-entropy of softmax outputs, from their weighted inputs: ``sum_j y_j (log sum_k exp z_k - z_j)``.

    Parameters
    ----------
    z : array-like (..., n_out)
        Weighted inputs.
    y : array-like (..., n_out)
        Probabilities of the classes.

    Returns
    -------
    array (...)

    Raises
    ------
    TypeError
        If z or y is not numeric.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> from fastnn.functions import log_likelihood
    >>> float(log_likelihood([0.0, -1000.0], [0.0, 1.0]))
    1000.0
    """
    return _cost("log_likelihood", "softmax", z, y)


def quadratic(a: ArrayLike, y: ArrayLike) -> Array:
    """``1/2 sum_j (a_j - y_j)^2``; parameters, result and errors as for :func:`cross_entropy`, on outputs a.

    Examples
    --------
    >>> from fastnn.functions import quadratic
    >>> float(quadratic([3.0, 0.0], [1.0, 0.0]))
    2.0
    """
    return _cost("quadratic", "identity", a, y)


def sum_squares(a: ArrayLike, y: ArrayLike) -> Array:
    """``sum_j (a_j - y_j)^2``; parameters, result and errors as for :func:`cross_entropy`, on outputs a.

    Examples
    --------
    >>> from fastnn.functions import sum_squares
    >>> float(sum_squares([3.0, 0.0], [1.0, 0.0]))
    4.0
    """
    return _cost("sum_squares", "identity", a, y)
