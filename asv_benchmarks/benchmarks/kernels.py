"""Single kernels, through the public functions around them."""

from functools import lru_cache

import numpy as np

import fastnn


class _Kernel:
    number = 10
    warmup_time = 0
    rounds = 2
    repeat = (5, 50, 2.0)


@lru_cache(maxsize=1)
def _drawn(rows, columns, dtype):
    return np.random.default_rng(0).standard_normal((rows, columns)).astype(dtype)


class Functions(_Kernel):
    """A million numbers; softmax in rows of ten."""

    params = ("float32", "float64")
    param_names = ("dtype",)

    def setup(self, dtype):
        self.z = _drawn(100_000, 10, dtype)
        _once(fastnn.functions.sigmoid, self.z)
        _once(fastnn.functions.softmax, self.z)

    def time_sigmoid(self, dtype):
        fastnn.functions.sigmoid(self.z)

    def time_softmax(self, dtype):
        fastnn.functions.softmax(self.z)


class Passes(_Kernel):
    """Forward passes and gradients of [784, 30, 10] without training."""

    params = (1, 32, 10_000)
    param_names = ("samples",)

    def setup(self, samples):
        self.network = _network()
        self.X = _drawn(samples, 784, "float32")
        self.y = np.arange(samples) % 10
        _once(self.network.forward, self.X)
        _once(self.network.gradients, self.X, self.y)

    def time_forward(self, samples):
        self.network.forward(self.X)

    def time_predict(self, samples):
        self.network.predict(self.X)

    def time_gradients(self, samples):
        self.network.gradients(self.X, self.y)


class Images(_Kernel):
    """The same of MNIST's images, whose zeros are skipped once a prediction has come upon them."""

    params = (1, 32, 10_000)
    param_names = ("samples",)

    def setup(self, samples):
        self.network = _network()
        _, _, X, self.y = (array[:samples] for array in fastnn.datasets.load_mnist())
        self.X = X
        for _ in range(2):
            self.network.forward(X)
            self.network.evaluate(X, self.y)

    def time_forward(self, samples):
        self.network.forward(self.X)

    def time_evaluate(self, samples):
        self.network.evaluate(self.X, self.y)


@lru_cache(maxsize=1)
def _network():
    return fastnn.Network([784, 30, 10])


_compiled = set()


def _once(function, *arguments):
    """Call a function for its compilation, the first time it comes in a process."""
    name = function.__name__
    if name not in _compiled:
        _compiled.add(name)
        function(*arguments)
