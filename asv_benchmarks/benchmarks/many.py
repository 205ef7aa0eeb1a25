"""Many networks at once: ratios of what is timed in one process, in turn."""

import numpy as np

import fastnn

from .common import CASES, Task, load_data
from .ratios import _medians

_NETWORKS = 8
_SETTINGS = {"optimizer": fastnn.SGD(0.1), "progress": False}


def _networks(sizes, count=_NETWORKS):
    return [fastnn.Network(sizes, seed=i) for i in range(count)]


class Population:
    """Throughput of a population over that of one network after the other."""

    params = ("A", "F")
    param_names = ("case",)
    timeout = 300

    def track_times_one_by_one(self, case):
        task = Task(case, samples=5_000)
        data, settings = load_data(task, task.n), {**_SETTINGS, "epochs": 1, "batch_size": CASES[case].batch}
        networks, others = _networks(task.sizes), _networks(task.sizes)

        def one_by_one():
            for network in others:
                network.fit(data.X, data.y, **settings)

        together, alone = _medians(lambda: fastnn.fit_many(networks, data.X, data.y, **settings), one_by_one)
        return alone / together

    track_times_one_by_one.unit = "times"


class Tiny:
    """Networks and data so small that Python's part would show."""

    timeout = 300

    def setup(self):
        rng = np.random.default_rng(0)
        self.X, self.y = rng.normal(size=(150, 4)).astype(np.float32), np.arange(150) % 3
        fastnn.fit_many(_networks([4, 16, 3]), self.X, self.y, epochs=1, **_SETTINGS)

    def _train(self, epochs):
        fastnn.fit_many(_networks([4, 16, 3]), self.X, self.y, epochs=epochs, batch_size=32, n_jobs=1, **_SETTINGS)

    def time_fifty_epochs_of_eight_networks(self):
        self._train(50)

    def time_starting_eight_fits(self):
        self._train(0)


class Ensembles:
    """A prediction by eight networks over eight predictions."""

    params = (32, 10_000)
    param_names = ("rows",)

    def track_over_members(self, rows):
        X = load_data(Task("A"), rows).X
        networks = _networks([784, 30, 10])
        ensemble = fastnn.Ensemble(networks)
        together, alone = _medians(lambda: ensemble.forward(X), lambda: [network.forward(X) for network in networks])
        return together / alone

    track_over_members.unit = "times"
