"""The mathematics that several peers share, written so that arrays of any of their libraries go through.

Two things follow. Weights are changed with ``-=``: in place where arrays can be, a new array where they cannot
(JAX). And numbers stay Python floats, which take on the dtype of the array they meet.
"""

from collections.abc import Callable
from typing import Any

Flat = list[Any]
"""Weights and biases of every layer in turn: W1, b1, W2, b2, ..."""

LEARNING_RATES = {"sgd": 0.1, "momentum": 0.02, "adam": 0.001}
MOMENTUM = 0.9
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def gradients(sigmoid: Callable[[Any], Any], parameters: Flat, x: Any, t: Any) -> Flat:
    """Gradients of the Bernoulli cross-entropy, averaged over a batch.

    Parameters
    ----------
    sigmoid : callable
        The library's own.
    parameters : Flat
        Weights (n_out, n_in) and biases (n_out,) of sigmoid layers.
    x, t : array (batch, n_in), (batch, n_out)
        Samples and targets.

    Returns
    -------
    Flat
        Shaped like ``parameters``.
    """
    outputs = [x]
    for i in range(0, len(parameters), 2):
        outputs.append(sigmoid(outputs[-1] @ parameters[i].T + parameters[i + 1]))
    found: Flat = []
    delta = (outputs[-1] - t) / x.shape[0]
    for i in range(len(parameters) - 2, -1, -2):
        a = outputs[i // 2]
        found = [delta.T @ a, delta.sum(0), *found]
        if i:
            delta = (delta @ parameters[i]) * (a * (1 - a))
    return found


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
