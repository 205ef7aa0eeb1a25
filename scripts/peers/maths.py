"""The mathematics that several peers share, written so that arrays of any of their libraries go through.

Two things follow. Weights are changed with ``-=``: in place where arrays can be, a new array where they cannot
(JAX). And numbers stay Python floats, which take on the dtype of the array they meet.
"""

from collections.abc import Callable, Mapping
from typing import Any

from peers.cases import Formulas

Functions = Mapping[str, Callable[[Any], Any]]
"""What a library calls the functions that formulas name."""
Flat = list[Any]
"""Weights and biases of every layer in turn: W1, b1, W2, b2, ..."""

LEARNING_RATES = {"sgd": 0.1, "momentum": 0.02, "adam": 0.001}
MOMENTUM = 0.9
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


_SLOPES: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a: a > 0,
}
"""Derivatives of the hidden layers' activations, written on their outputs."""


def activate(functions: Functions, name: str, z: Any) -> Any:
    """An activation of a library's own."""
    return z if name == "identity" else functions[name](z)


def forward(formulas: Formulas, functions: Functions, parameters: Flat, x: Any) -> list[Any]:
    """The samples, the outputs of every hidden layer, and what goes into the last activation.

    Parameters
    ----------
    formulas : Formulas
        Of the network.
    functions : Functions
        The library's own.
    parameters : Flat
        Weights (n_out, n_in) and biases (n_out,).
    x : array (batch, n_in)
        Samples.

    Returns
    -------
    list of array (batch, units)
        One more than there are layers.
    """
    found, last = [x], len(parameters) - 2
    for i in range(0, len(parameters), 2):
        z = found[-1] @ parameters[i].T + parameters[i + 1]
        found.append(z if i == last else activate(functions, formulas.activation, z))
    return found


def gradients(formulas: Formulas, functions: Functions, parameters: Flat, x: Any, t: Any) -> Flat:
    """Gradients of the cost, averaged over a batch.

    Parameters
    ----------
    formulas : Formulas
        Of a network whose output and cost go together: the delta of the last layer is ``a - t``.
    functions : Functions
        The library's own.
    parameters : Flat
        Weights (n_out, n_in) and biases (n_out,).
    x, t : array (batch, n_in), (batch, n_out)
        Samples and targets.

    Returns
    -------
    Flat
        Shaped like ``parameters``.
    """
    outputs = forward(formulas, functions, parameters, x)
    found: Flat = []
    delta = (activate(functions, formulas.output, outputs[-1]) - t) / x.shape[0]
    for i in range(len(parameters) - 2, -1, -2):
        a = outputs[i // 2]
        found = [delta.T @ a, delta.sum(0), *found]
        if i:
            delta = (delta @ parameters[i]) * _SLOPES[formulas.activation](a)
    return found


def costs(formulas: Formulas, functions: Functions, z: Any, t: Any) -> Any:
    """The cost of every output, for libraries that find the gradients themselves.

    Parameters
    ----------
    formulas : Formulas
        Of the network.
    functions : Functions
        The library's own, ``log_sigmoid`` and ``log_softmax`` among them.
    z, t : array (batch, n_out)
        What goes into the last activation, and targets.

    Returns
    -------
    array (batch, n_out)
        To be summed.
    """
    if formulas.cost == "cross_entropy":
        return -(t * functions["log_sigmoid"](z) + (1 - t) * functions["log_sigmoid"](-z))
    if formulas.cost == "log_likelihood":
        return -t * functions["log_softmax"](z)
    return (z - t) ** 2 / 2


def fresh_memory(optimizer: str, parameters: Flat) -> list[Flat]:
    """What an optimizer remembers before its first step, a list of arrays for each parameter."""
    slots = {"sgd": 0, "momentum": 1, "adam": 2}[optimizer]
    return [[w * 0 for _ in range(slots)] for w in parameters]


def step(optimizer: str, parameters: Flat, found: Flat, memory: list[Flat], count: Any) -> tuple[Flat, list[Flat]]:
    """One step of an optimizer.

    Parameters
    ----------
    optimizer : {"sgd", "momentum", "adam"}
        Which.
    parameters, found : Flat
        Weights and biases, and their gradients.
    memory : list of Flat
        As ``fresh_memory`` made it or the step before returned it.
    count : number
        1 in the first step; only Adam looks at it.

    Returns
    -------
    parameters, memory
        The new ones; the old ones may have been overwritten.
    """
    stepped = [_step_one(optimizer, *row, count) for row in zip(parameters, found, memory, strict=True)]
    return [w for w, _ in stepped], [slots for _, slots in stepped]


def _step_one(optimizer: str, w: Any, g: Any, slots: Flat, count: Any) -> tuple[Any, Flat]:
    rate = LEARNING_RATES[optimizer]
    if optimizer == "sgd":
        w -= rate * g
    elif optimizer == "momentum":
        slots = [MOMENTUM * slots[0] + g]
        w -= rate * slots[0]
    else:
        m, v = BETA1 * slots[0] + (1 - BETA1) * g, BETA2 * slots[1] + (1 - BETA2) * g * g
        w -= rate * (m / (1 - BETA1**count)) / ((v / (1 - BETA2**count)) ** 0.5 + EPSILON)
        slots = [m, v]
    return w, slots
