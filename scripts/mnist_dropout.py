"""How far a network without convolutions gets on MNIST: [784, 800, 800, 10] with dropout and max-norm.

    python scripts/mnist_dropout.py

Srivastava et al. (2014, table 2) report 98.75 to 98.95 % for such networks. Prints the accuracy on the test set and the
time it took.
"""

import argparse
import sys
import time

import fastnn


def main(arguments: list[str]) -> int:
    """Train and print.

    Parameters
    ----------
    arguments : list of str
        The command line.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--epochs", type=int, default=80, help="passes over the data (default: 80)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="cores (default: 2)")
    options = parser.parse_args(arguments)
    X, y, Xt, yt = fastnn.datasets.load_mnist("uint8")
    network = fastnn.Network(
        [784, 800, 800, 10],
        activation="gelu",
        output="softmax",
        cost="log_likelihood",
        initializer="he",
        scale=255,
        seed=options.seed,
    )
    began = time.perf_counter()
    history = network.fit(
        X,
        y,
        epochs=options.epochs,
        batch_size=256,
        optimizer=fastnn.Adam(0.002),
        schedule=fastnn.schedules.CosineDecay(final=0.001),
        dropout=[0.2, 0.5, 0.5],
        max_norm=[2.0, 2.0, None],
        threads=options.threads,
    )
    took = time.perf_counter() - began
    accuracy = network.evaluate(Xt, yt)["accuracy"]
    epochs = len(history.seconds)
    print(f"test accuracy {accuracy:.2%} after {epochs} epochs, {took:.0f} s on {options.threads} threads")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
