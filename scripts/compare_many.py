"""How fast many networks train at once, against one core, JAX's ``vmap`` and a pool of processes with scikit-learn's.

    python scripts/compare_many.py

measures each in turn in one process, a probe of the machine around each sample, and prints a table; every ratio is the
median of ratios within a round. Of what takes minutes, some networks are trained and the time scaled up. A second table
has what all cores gain over one, measured by itself with a probe of all cores, and beside it what a loop of nothing but
multiply-adds in registers gains in the same rounds: neighbours and the processor's clock leave no more. A third one has
the memory that training takes beyond the data. Peers that are not installed are left out.
"""

import argparse
import multiprocessing
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import markup
import numpy as np
from arguments import names_from, positive
from limits import Multiplication
from numpy.typing import NDArray
from peers.measure import Measurable, Probe, Sample, Steady, Timing, measure

import fastnn
from fastnn.cores import usable_cores

Array = NDArray[Any]


class Data(NamedTuple):
    """What all networks train on."""

    X: Array  # (n, n_in) float32
    y: Array  # (n,) labels, or (n, 1) targets


class Population(NamedTuple):
    """Many networks of a kind, and how they are trained."""

    count: int
    sizes: tuple[int, ...]
    samples: int
    batch: int
    epochs: int
    rate: float
    hidden: str
    output: str
    cost: str
    load: Callable[[int], Data]
    peers: int  # networks that a peer trains; its time is scaled up

    @property
    def title(self) -> str:
        """As the table has it."""
        layers = "-".join(map(str, self.sizes))
        epochs = f"{self.epochs} epoch" + "s" * (self.epochs > 1)
        return f"{self.count:,} x {layers}, {self.samples:,} samples, batch {self.batch}, {epochs}"

    def networks(self, count: int | None = None) -> list[fastnn.Network]:
        """New ones."""
        return [
            fastnn.Network(self.sizes, self.hidden, self.output, self.cost, seed=i) for i in range(count or self.count)
        ]

    @property
    def fit(self) -> dict[str, Any]:
        """Arguments."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch,
            "optimizer": fastnn.SGD(self.rate),
            "progress": False,
        }


def load_digits(n: int) -> Data:
    """MNIST."""
    X, y, _, _ = fastnn.datasets.load_mnist()
    return Data(np.ascontiguousarray(X[:n], np.float32), y[:n])


def make_table(n: int) -> Data:
    """A smooth function of eight columns, as large as the usual table of Californian houses."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 8)).astype(np.float32)
    y = np.tanh(X[:, :4] @ rng.normal(size=4)) + 0.1 * rng.normal(size=n)
    return Data(X, y.astype(np.float32)[:, np.newaxis])


def make_flowers(n: int) -> Data:
    """Three classes that lie as those of irises do."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return Data((rng.normal(size=(n, 4)) + y[:, np.newaxis] * [1, -0.5, 2, 1]).astype(np.float32), y)


POPULATIONS = {
    "mnist": Population(100, (784, 30, 10), 50_000, 10, 1, 0.5, "sigmoid", "sigmoid", "cross_entropy", load_digits, 10),
    "table": Population(200, (8, 64, 64, 1), 16_512, 32, 1, 0.05, "relu", "identity", "quadratic", make_table, 20),
    "tiny": Population(1_000, (4, 16, 3), 150, 32, 200, 0.1, "relu", "softmax", "log_likelihood", make_flowers, 20),
}
QUICK = {"count": 8, "peers": 2}
_ROUNDS = 1_000_000  # of multiply-adds, some milliseconds
_GAINS = 3  # so many times as many samples for what more cores gain, which are short


def on_cores(name: str, cores: int) -> str:
    """Who takes part, on how many cores."""
    return f"{name}, {cores} core" + "s" * (cores > 1)


# --- ours ---


def train_all(population: Population, data: Data, n_jobs: int) -> None:
    """Train all networks."""
    fastnn.fit_many(population.networks(), data.X, data.y, n_jobs=n_jobs, **population.fit)


# --- scikit-learn, in a pool of processes ---


def fit_sklearn(population: Population, data: Data, seed: int) -> Any:
    """One of scikit-learn's networks, trained for as many epochs."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if population.output == "identity" else MLPClassifier
    model = kind(
        hidden_layer_sizes=population.sizes[1:-1],
        activation={"sigmoid": "logistic"}.get(population.hidden, population.hidden),
        solver="sgd",
        alpha=0.0,
        batch_size=population.batch,
        learning_rate_init=population.rate,
        max_iter=population.epochs,
        momentum=0.0,
        tol=0.0,
        n_iter_no_change=population.epochs + 1,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(data.X, data.y.reshape(-1))


class Pool:
    """scikit-learn's networks in joblib's processes, one for each core; they stay alive between samples."""

    def __init__(self, population: Population, data: Data, cores: int) -> None:
        import joblib

        self.name = f"scikit-learn in {cores} processes" if cores > 1 else "scikit-learn"
        jobs = [joblib.delayed(fit_sklearn)(population, data, seed) for seed in range(population.peers)]
        parallel, share = joblib.Parallel(cores), population.peers / population.count
        self._steady = Steady(self.name, lambda count: [parallel(jobs) for _ in range(count)], share)

    def sample(self) -> Sample:
        """See Measurable; the processors are busy in other processes."""
        return self._steady.sample()._replace(busy=1.0)


# --- JAX ---


class Vmap:
    """JAX: an epoch of all networks in one ``lax.scan`` over batches, ``vmap`` over the networks."""

    def __init__(self, population: Population, data: Data) -> None:
        import jax

        self.name = "JAX vmap"
        self._jax, self._population, self._rng = jax, population, np.random.default_rng(0)
        targets = data.y if data.y.ndim == 2 else np.eye(population.sizes[-1], dtype=np.float32)[data.y]
        self._data = jax.numpy.asarray(data.X), jax.numpy.asarray(targets)
        stacked = [[*net.weights, *net.biases] for net in population.networks(population.peers)]
        self._state = [jax.numpy.stack(arrays) for arrays in zip(*stacked, strict=True)]
        one = partial(self._epoch, len(population.sizes) - 1)
        self._run = jax.jit(jax.vmap(one, in_axes=(0, None, None, 0)), donate_argnums=0)
        self._steady = Steady(self.name, self._train, population.peers / population.count)

    def _cost(self, state: Any, x: Any, t: Any) -> Any:
        nn, population, layers = self._jax.nn, self._population, len(state) // 2
        hidden = {"sigmoid": nn.sigmoid, "relu": nn.relu}[population.hidden]
        for i in range(layers):
            z = x @ state[i].T + state[layers + i]
            x = hidden(z)
        if population.cost == "quadratic":
            return 0.5 * ((z - t) ** 2).sum(1).mean()
        if population.cost == "log_likelihood":
            return -(t * nn.log_softmax(z)).sum(1).mean()
        return -(t * nn.log_sigmoid(z) + (1 - t) * nn.log_sigmoid(-z)).sum(1).mean()

    def _epoch(self, layers: int, state: Any, X: Any, T: Any, order: Any) -> Any:
        jax, batch, rate = self._jax, self._population.batch, self._population.rate

        def step(state: Any, rows: Any) -> tuple[Any, None]:
            gradient = jax.grad(self._cost)(state, X[rows], T[rows])
            return [w - rate * g for w, g in zip(state, gradient, strict=True)], None

        whole = len(order) // batch * batch
        state, _ = jax.lax.scan(step, state, order[:whole].reshape(-1, batch))
        return step(state, order[whole:])[0] if whole < len(order) else state

    def _train(self, count: int) -> None:
        n, networks = self._population.samples, self._population.peers
        for _ in range(count * self._population.epochs):
            orders = self._rng.permuted(np.tile(np.arange(n, dtype=np.int32), (networks, 1)), axis=1)
            self._state = self._run(self._state, *self._data, orders)
        self._jax.block_until_ready(self._state)

    def sample(self) -> Sample:
        """See Measurable."""
        return self._steady.sample()


# --- tables ---


def training(population: Population, data: Data, jobs: int) -> Measurable:
    """Ours, on so many cores."""
    return Steady(on_cores("fastnn", jobs), lambda count: [train_all(population, data, jobs) for _ in range(count)])


def subjects(population: Population, data: Data, cores: int) -> Iterator[Measurable]:
    """Who takes part."""
    for jobs in dict.fromkeys((1, cores)):
        yield training(population, data, jobs)
    if find_spec("jax"):
        yield Vmap(population, data)
    if find_spec("sklearn") and find_spec("joblib"):
        yield Pool(population, data, cores)


def ratio(timing: Timing, other: Timing) -> str:
    """How many times as long as the other one it took."""
    found = timing.ratios(other) or [timing.median / other.median]
    return f"{statistics.median(found):.2f}"


def rows_of(population: Population, timings: dict[str, Timing], cores: int) -> Iterator[str]:
    """Lines of the table."""
    ours = timings[on_cores("fastnn", cores)]
    for name, timing in timings.items():
        speed = population.count * population.samples * population.epochs / timing.median
        yield markup.row([population.title, name, str(timing), f"{speed:,.0f}", ratio(timing, ours)])


def gain_row(population: Population, data: Data, cores: int, repeats: int) -> str:
    """Line of the table: how many times as fast all cores are as one, and what the machine allows."""
    loops = {jobs: Multiplication(jobs) for jobs in (1, cores)}
    who: list[Measurable] = []
    for jobs, loop in loops.items():
        who.append(training(population, data, jobs))
        who.append(Steady(on_cores("multiply-adds", jobs), lambda count, loop=loop: loop.run(count * _ROUNDS)))
    timings, _ = measure(who, repeats, Probe(lambda: loops[cores].run(_ROUNDS)), patience=20 * repeats)
    cells = []
    for name in ("fastnn", "multiply-adds"):
        found = timings[on_cores(name, 1)].ratios(timings[on_cores(name, cores)])
        low, middle, high = np.percentile(found, [25, 50, 75]) if found else [float("nan")] * 3
        cells.append(f"{middle:.2f} ({low:.2f}-{high:.2f}), {len(found)} rounds")
    return markup.row([population.title, *cells])


def resident() -> int:
    """Bytes of memory that this process has now; on Linux."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def growth_of(population: Population) -> int:
    """In a process of its own: bytes that training all networks takes, beside the data and what two networks took."""
    data, seen = population.load(population.samples), []
    fit = {**population.fit, "epochs": 1, "callbacks": [lambda network, history: seen.append(resident())]}
    fastnn.fit_many(population.networks(2), data.X, data.y, **fit)
    start = resident()
    networks = population.networks()
    fastnn.fit_many(networks, data.X, data.y, **fit)
    return max(seen) - start


def memory_row(population: Population) -> str:
    """The data, what training takes beside them, and what the networks' weights are of that, in MB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        growth = pool.submit(growth_of, population).result()
    weights = population.count * 4 * sum((n_in + 1) * n_out for n_in, n_out in pairwise(population.sizes))
    figures = [population.load(population.samples).X.nbytes, growth, weights]
    return markup.row([population.title, *(f"{number / 1e6:,.1f}" for number in figures)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = names_from(list(POPULATIONS))
    parser.add_argument("--populations", type=chosen, default=list(POPULATIONS), help=f"of {', '.join(POPULATIONS)}")
    parser.add_argument("--repeats", type=positive, default=7, help="undisturbed samples of each (default: 7)")
    parser.add_argument("--quick", action="store_true", help="few networks, once: to see that all works")
    options = parser.parse_args()
    cores, repeats = usable_cores(), 1 if options.quick else options.repeats
    small = QUICK if options.quick else {}
    populations = [POPULATIONS[name]._replace(**small) for name in options.populations]
    gains = []
    print(markup.head(["population", "who", "seconds (quartiles)", "samples/s", "times ours on all cores"]))
    for population in populations:
        data = population.load(population.samples)
        train_all(population._replace(count=cores, epochs=1), data, cores)  # compiles
        timings, failures = measure(list(subjects(population, data, cores)), repeats, Probe())
        for line in rows_of(population, timings, cores):
            print(line, flush=True)
        if cores > 1:
            gains.append(gain_row(population, data, cores, repeats if options.quick else _GAINS * repeats))
        for name, reason in failures.items():
            print(f"{name}: {reason}", file=sys.stderr)
    if gains:
        titles = ["population", f"{cores} cores over one", "of multiply-adds alone"]
        print("", markup.head(titles), *gains, sep="\n")
    if not Path("/proc/self/statm").exists():
        print("memory is measured on Linux alone", file=sys.stderr)
        return
    print("", markup.head(["population", "samples, MB", "training takes, MB", "of which weights, MB"]), sep="\n")
    for population in populations:
        print(memory_row(population), flush=True)


if __name__ == "__main__":
    main()
