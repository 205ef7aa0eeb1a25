"""What a network is, for telling whether it is what it was or what another one is."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn


def layers(net: fastnn.Network) -> list[NDArray[Any]]:
    """All weights, then all biases."""
    return [*net.weights, *net.biases]


def same(one: fastnn.Network, other: fastnn.Network) -> bool:
    """Whether their weights and biases are equal."""
    return all(np.array_equal(a, b) for a, b in zip(layers(one), layers(other), strict=True))


def state(net: fastnn.Network) -> tuple[str, dict[str, bytes]]:
    """All that training depends on: weights, the optimizer's memory, the generator."""
    header, arrays = net._to_record()
    return json.dumps(header, sort_keys=True), {name: array.tobytes() for name, array in arrays.items()}


def progress(net: fastnn.Network) -> tuple[int, dict[str, bytes]]:
    """Steps taken, and the bytes of weights and memory after them."""
    header, arrays = net._to_record()
    return header["steps"], {name: array.tobytes() for name, array in arrays.items()}
