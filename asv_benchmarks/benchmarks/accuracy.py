"""Whether it still learns, and in what time: fast and wrong would be easy."""

import time

import fastnn

_RUNS = {
    "mnist 30": ([784, 30, 10], 10, fastnn.SGD(0.1)),
    "mnist 100 adam": ([784, 100, 10], 32, fastnn.Adam(0.001)),
}


class Accuracy:
    """Three epochs from the same seed; MNIST's own test set."""

    params = tuple(_RUNS)
    param_names = ("run",)
    timeout = 300

    def setup_cache(self):
        return {name: _train(*run) for name, run in _RUNS.items()}

    setup_cache.timeout = 300

    def track_test_accuracy(self, found, run):
        return found[run][0]

    def track_seconds(self, found, run):
        return found[run][1]

    track_test_accuracy.unit = "share"
    track_seconds.unit = "seconds"


def _train(sizes, batch_size, optimizer):
    """Test accuracy and seconds, after a first fit that loads the kernels."""
    X, y, Xt, yt = fastnn.datasets.load_mnist()
    settings = {"batch_size": batch_size, "optimizer": optimizer, "progress": False}
    fastnn.Network(sizes).fit(X[:1000], y[:1000], epochs=1, **settings)
    network = fastnn.Network(sizes, seed=0)
    began = time.perf_counter()
    network.fit(X, y, epochs=3, **settings)
    seconds = time.perf_counter() - began
    return network.evaluate(Xt, yt)["accuracy"], seconds
