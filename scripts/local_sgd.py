"""What averaging copies of a network costs in accuracy and gains in time: ``fit_distributed`` against ``fit`` on MNIST.

    python scripts/local_sgd.py

trains ``[784, 128, 64, 10]`` with ``fit`` on all samples on one core, and with ``fit_distributed`` on halves of them
that lie on two workers of this machine, averaged once and several times in an epoch; prints the accuracy on the test
images after every epoch, and the seconds that an epoch took. Needs Dask: ``pip install "fastnn-engine[dask]"``.
"""

import argparse
import statistics
from collections.abc import Iterator
from typing import Any

import markup
from arguments import positive
from distributed import Client, LocalCluster

import fastnn
from fastnn import History, Network

SIZES, BATCH, AVERAGES = [784, 128, 64, 10], 32, (1, 4, 16)


def new_network() -> Network:
    """The same one every time."""
    return Network(SIZES, "relu", "softmax", "log_likelihood", initializer="he")


def histories(client: Any, workers: int, epochs: int, samples: int) -> Iterator[tuple[str, History]]:
    """Every way of training, as soon as it is done."""
    X, y, Xt, yt = fastnn.datasets.load_mnist()
    X, y = X[:samples], y[:samples]
    settings = {
        "epochs": epochs,
        "batch_size": BATCH,
        "optimizer": fastnn.SGD(0.1),
        "validation_data": (Xt, yt),
    }
    new_network().fit(X[:BATCH], y[:BATCH], epochs=1)  # compiles
    yield "fit, one core", new_network().fit(X, y, progress=False, **settings)
    parts = [(X[i::workers], y[i::workers]) for i in range(workers)]
    for averages in AVERAGES:
        history = fastnn.fit_distributed(client, new_network(), parts, averages=averages, **settings)
        yield f"{workers} workers, {averages} averages an epoch", history


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=positive, default=10, help="default: 10")
    parser.add_argument("--samples", type=positive, default=60_000, help="of the training images (default: all)")
    parser.add_argument("--workers", type=positive, default=2, help="default: 2")
    options = parser.parse_args()
    workers = {"n_workers": options.workers, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**workers) as cluster, Client(cluster) as client:
        shown = [f"epoch {i + 1}" for i in range(options.epochs)]
        print(markup.head(["training", "seconds an epoch", *shown]))
        for name, history in histories(client, options.workers, options.epochs, options.samples):
            accuracies = [f"{share:.2%}" for share in history.val_accuracy]
            print(markup.row([name, f"{statistics.median(history.seconds):.3f}", *accuracies]), flush=True)


if __name__ == "__main__":
    main()
