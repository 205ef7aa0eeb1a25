"""What tests have child processes do: they find it by this module's name, not by that of a test."""

import multiprocessing

import numpy as np

import fastnn


def sum_of_trained_weights() -> float:
    """Of a network that was trained on two threads."""
    generator = np.random.default_rng(0)
    X, y = generator.random((700, 100), np.float32), generator.integers(0, 10, 700)
    net = fastnn.Network([100, 70, 33, 10])
    net.fit(X, y, epochs=2, batch_size=50, l2=1e-4, threads=2)
    return float(net.weights[0].sum())


def answer_with_weights(answer: "multiprocessing.Queue[float]") -> None:
    answer.put(sum_of_trained_weights())
