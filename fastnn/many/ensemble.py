"""Several networks that answer together."""

from __future__ import annotations  # so that help() shows types by their short names

import json
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import persistence, validation
from fastnn.formulas import expressions, ops
from fastnn.inputs import weights as sample_weights
from fastnn.inputs.labels import CLASSES, Task, classes_of, decode
from fastnn.inputs.tables import check_order, count_samples, cut_samples
from fastnn.many import checks
from fastnn.network import Network
from fastnn.training import Samples, infinite_cost

Array = NDArray[Any]

_HEADER = "fastnn_ensemble"
_FORMAT = 1
# Of samples that all members look at before the next ones, so that their outputs take little memory. Smaller blocks,
# which would stay in a cache from one member to the next, cost more in calls than that saves.
_BLOCK_BYTES = 1 << 22
_FEWEST_ROWS = 128  # the kernels' own blocks

_STEP = float(np.finfo(np.float32).eps) / 2  # outputs whose logarithm is taken are kept off 0 and 1 by so much

# From outputs to what the formula of a cost is written on, by that and by the output activation.
_INVERSES: dict[tuple[str, str], Callable[[Array], Array]] = {
    ("z", "identity"): lambda A: A,
    ("z", "sigmoid"): lambda A: np.log(A) - np.log1p(-A),
    ("l", "softmax"): np.log,
}


class Ensemble:
    """Networks that answer together: with the weighted mean of their outputs.

    Parameters
    ----------
    networks : iterable of Network
        With the same numbers of inputs and outputs, and the same task and classes. They are used as they are, not
        copied; a network may be in several times.
    weights : array-like (number of networks,), optional
        How much each counts, >= 0; divided by their sum. By default all count alike.

    Attributes
    ----------
    networks : tuple of Network
        The members.
    weights : array (number of networks,) float64
        Their shares, which sum to 1.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong, or the networks do not fit together.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> networks = [fastnn.Network([64, 16, 10], seed=i) for i in range(5)]
    >>> histories = fastnn.fit_many(networks, X, y, epochs=5)
    >>> together = fastnn.Ensemble(networks).evaluate(Xt, yt)["accuracy"]
    >>> together > sum(network.evaluate(Xt, yt)["accuracy"] for network in networks) / 5
    True
    """

    def __init__(self, networks: Iterable[Network], weights: ArrayLike | None = None) -> None:
        self.networks = tuple(checks.check_networks(networks))
        self.weights = _check_weights(weights, len(self.networks))
        first = self.networks[0]
        for i, network in enumerate(self.networks):
            ends, expected = ((other.sizes[0], other.sizes[-1]) for other in (network, first))
            if ends != expected:
                raise ValueError(
                    f"networks[{i}] must have as many inputs and outputs as networks[0], {expected}, got {ends}"
                )
            mine, asked = network._reader.answering, first._reader.answering
            if mine.kind != asked.kind or not np.array_equal(_listed(mine.classes), _listed(asked.classes)):
                raise ValueError(
                    f"networks[{i}] must answer as networks[0] does, {_described(asked)}, got {_described(mine)}"
                )

    @classmethod
    def select(
        cls, networks: Iterable[Network], X: ArrayLike, y: ArrayLike, rounds: int = 50, start: int = 1
    ) -> Ensemble:
        """Choose members by what they add, on data that none of them was trained on.

        Greedy selection with replacement (Caruana, Niculescu-Mizil, Crew and Ksikes, 2004): begin with the best
        networks, then add again and again the one with which the mean of the outputs comes nearest to the targets, by
        the mean squared error. How often one was added is its weight; the best state on the way is taken.

        Parameters
        ----------
        networks : iterable of Network
            To choose from.
        X, y : array-like
            As for ``Network.fit``.
        rounds : int, default 50
            Networks to add, the first ones included, >= 1.
        start : int, default 1
            How many of the best to begin with, >= 1; at most ``rounds`` and as many as there are.

        Returns
        -------
        Ensemble
            Of the networks that were chosen.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.

        Examples
        --------
        >>> import fastnn
        >>> X, y, Xt, yt = fastnn.datasets.load_digits()
        >>> networks = [fastnn.Network([64, 16, 10], seed=i) for i in range(5)]
        >>> histories = fastnn.fit_many(networks, X[:1000], y[:1000], epochs=fastnn.each([0, 5, 5, 5, 5]))
        >>> chosen = fastnn.Ensemble.select(networks, X[1000:], y[1000:])
        >>> networks[0] in chosen.networks  # it was not trained
        False
        """
        everybody = cls(networks)
        rounds = validation.check_whole("rounds", rounds)
        start = min(validation.check_whole("start", start), rounds, len(everybody.networks))
        first = everybody.networks[0]
        targets = first._reader.in_units_of_y(_targets(first._samples(X, y), first.sizes[-1]))
        errors = np.concatenate([*everybody._outputs(X)], axis=1) / 2 - targets / 2  # a difference may overflow
        _, power = np.frexp(abs(errors).max())  # so that no square does, nor vanishes: any unit tells who is nearest
        counts = _choose(np.ldexp(errors, -power).reshape(len(errors), -1), rounds, start)
        chosen = np.flatnonzero(counts)
        return cls([everybody.networks[i] for i in chosen], counts[chosen])

    def _outputs(self, X: Any) -> Iterator[Array]:
        """Outputs (members, rows, n_out) in float64, block by block of the samples."""
        for block in _blocks(X):
            try:
                outputs = [network.forward(block) for network in self.networks]
            except ValueError:
                for network in self.networks:
                    network.forward(X)  # names rows by their numbers among all
                raise
            yield np.stack(outputs).astype(np.float64)

    def _mean(self, X: Any) -> Array:
        return np.concatenate([np.tensordot(self.weights, A, 1) for A in self._outputs(X)])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the outputs: float64 if a member's is, else float32."""
        scaled = self.networks[0]._reader.wishes.target_scale is not None
        common: np.dtype[Any] = np.result_type(*(network.dtype for network in self.networks))
        return np.dtype(np.float64) if scaled else common

    def forward(self, X: ArrayLike) -> Array:
        """Weighted mean of the members' output activations.

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``Network.forward``.

        Returns
        -------
        array (n, n_out)

        Raises
        ------
        ValueError, TypeError
            As ``Network.forward``.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> networks = [fastnn.Network([3, 2], seed=i) for i in range(3)]
        >>> fastnn.Ensemble(networks).forward(np.zeros((1, 3)))
        array([[0.5, 0.5]], dtype=float32)
        """
        return self._mean(X).astype(self.dtype)

    def spread(self, X: ArrayLike) -> Array:
        """Standard deviation of the output activations over the members, weighted: where they do not agree.

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``Network.forward``.

        Returns
        -------
        array (n, n_out)
            ``sqrt(sum_i w_i (a_i - mean)^2)`` with weights that sum to 1.

        Raises
        ------
        ValueError, TypeError
            As ``Network.forward``.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> def times(w):
        ...     return fastnn.Network([1, 1], output="identity", cost="quadratic", initializer=([[[w]]], [[0.0]]))
        >>> fastnn.Ensemble([times(1), times(3)]).spread([[1.0], [10.0]])
        array([[ 1.],
               [10.]], dtype=float32)
        """
        result: Array = np.concatenate([_deviations(self.weights, A) for A in self._outputs(X)]).astype(self.dtype)
        return result

    def predict(self, X: ArrayLike) -> Array:
        """Answers by the mean outputs, as ``Network.predict`` gives them by those of one network.

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``Network.forward``.

        Returns
        -------
        array (n,), (n, 1) or (n, n_out)
            As ``Network.predict``.

        Raises
        ------
        ValueError, TypeError
            As ``Network.forward``.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> net = fastnn.Network([2, 2], initializer=([np.eye(2)], [np.zeros(2)]))
        >>> fastnn.Ensemble([net]).predict([[0.1, 0.9], [5.0, -1.0]])
        array([1, 0])
        """
        return self.networks[0]._reader.answers(self.forward(X))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes: the weighted mean of the members' own.

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``Network.forward``.

        Returns
        -------
        array (n, k)
            As ``Network.predict_proba``.

        Raises
        ------
        ValueError, TypeError
            As ``Network.predict_proba``.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> net = fastnn.Network([2, 2], initializer=([np.zeros((2, 2))], [np.zeros(2)]))
        >>> fastnn.Ensemble([net, net]).predict_proba([[1.0, 2.0]])
        array([[0.5, 0.5]], dtype=float32)
        """
        shares = zip(self.weights, self.networks, strict=True)
        total: Array = sum(weight * network.predict_proba(X).astype(np.float64) for weight, network in shares)
        return total.astype(self.dtype)

    def evaluate(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> dict[str, float]:
        """Mean cost of the mean outputs, and for classes the accuracy.

        Parameters
        ----------
        X, y, sample_weight
            As for ``Network.evaluate``.

        Returns
        -------
        dict
            "cost", if all members have the same one and the same output activation; where it takes the outputs'
            logarithm, they are kept off 0 and 1 by one rounding error of float32. It is missing for a cost of one's own
            that is written on weighted inputs. With a ``target_scale`` it is that of numbers at the scale of the first
            member. "accuracy" in [0, 1] where the task is classes.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.

        Examples
        --------
        >>> import fastnn
        >>> net = fastnn.Network([1, 1], output="identity", cost="quadratic", initializer=([[[2.0]]], [[0.0]]))
        >>> fastnn.Ensemble([net, net]).evaluate([[1.0], [2.0]], [2.0, 5.0])
        {'cost': 0.25}
        """
        first, result = self.networks[0], dict[str, float]()
        check_order(X, {"y": y, "sample_weight": sample_weight})
        given = sample_weights.check_sample_weight(sample_weight, count_samples("X", X))
        if given is not None:  # a weight of zero is the same as absence
            kept = np.flatnonzero(given)
            X, y = cut_samples(X, kept), cut_samples(y, kept)
            sample_weight = given[kept]
        samples = first._samples(X, y, sample_weight)
        outputs, targets = self._mean(X), _targets(samples, first.sizes[-1])
        if len({(network.cost, network.activations[-1]) for network in self.networks}) == 1:
            costs = _costs(first, first._reader.in_units_of_network(outputs), targets)
            if costs is not None:
                weights = samples.data.sample_weight if samples.data.sample_weight.size else 1.0
                with np.errstate(all="ignore"):
                    result["cost"] = float(np.mean(weights * costs))
                if not np.isfinite(result["cost"]):
                    raise ValueError(infinite_cost("of finite data", result["cost"]))
        if samples.data.classify:
            said = decode(Task(CLASSES), outputs, first._reader.outputs)
            result["accuracy"] = float(np.mean(said == classes_of(targets)))
        return result

    def save(self, path: str | PathLike[str]) -> None:
        """Write all members and their weights into one file, moved into place when complete.

        Parameters
        ----------
        path : path-like
            The file; used as it is, nothing is appended.

        Raises
        ------
        OSError
            If the file cannot be written; an earlier file of that name is then left as it was.

        Examples
        --------
        >>> import fastnn, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "ensemble.npz")
        >>> fastnn.Ensemble([fastnn.Network([3, 2], seed=i) for i in range(2)]).save(path)
        >>> fastnn.Ensemble.load(path)
        Ensemble of 2 networks with 3 inputs and 2 outputs
        """
        different = list({id(network): network for network in self.networks}.values())
        places = {id(network): place for place, network in enumerate(different)}
        header = {
            "format": _FORMAT,
            "weights": self.weights.tolist(),
            "members": [places[id(network)] for network in self.networks],
            "networks": len(different),
        }
        arrays: dict[str, Any] = {_HEADER: np.array(json.dumps(header))}
        for place, network in enumerate(different):
            arrays[f"network{place}"] = np.frombuffer(persistence.to_bytes(network._to_record()), np.uint8)
        persistence.write_atomically(path, lambda file: np.savez(file, **arrays))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Ensemble:
        """Read an ensemble that ``save`` wrote; the file is only read, never executed.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        Ensemble
            Its networks go on training bit for bit as the saved ones would have.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is no such ensemble, is damaged, or was written by a newer version.

        Examples
        --------
        >>> import fastnn, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "ensemble.npz")
        >>> net = fastnn.Network([2, 2], seed=7)
        >>> fastnn.Ensemble([net]).save(path)
        >>> bool((fastnn.Ensemble.load(path).networks[0].weights[0] == net.weights[0]).all())
        True
        """
        with persistence.reading(path) as file:
            return cls._parse(file)

    @classmethod
    def _parse(cls, file: Any) -> Ensemble:
        content = persistence.unpack(file, "ensemble")
        if _HEADER not in content:
            raise ValueError("it is not a saved fastnn ensemble")
        header = json.loads(str(content[_HEADER]))
        if header["format"] > _FORMAT:
            raise ValueError(f"it was written by a newer version of fastnn (format {_FORMAT} is the newest known)")
        records = [persistence.from_bytes(content[f"network{i}"].tobytes()) for i in range(header["networks"])]
        networks = []
        for record in records:
            networks.append(Network.__new__(Network))
            networks[-1].__setstate__(record)
        return cls([networks[place] for place in header["members"]], header["weights"])

    def __len__(self) -> int:
        return len(self.networks)

    def __repr__(self) -> str:
        first = self.networks[0]
        return f"Ensemble of {len(self)} networks with {first.sizes[0]} inputs and {first.sizes[-1]} outputs"


def _deviations(weights: Array, outputs: Array) -> Array:
    """Weighted standard deviation (rows, n_out) over the members of outputs (members, rows, n_out)."""
    gaps = outputs / 2 - np.tensordot(weights, outputs / 2, 1)
    _, power = np.frexp(abs(gaps).max(axis=0))  # a power of two rounds nothing, and no square overflows or vanishes
    deviations: Array = np.ldexp(np.sqrt(np.tensordot(weights, np.ldexp(gaps, -power) ** 2, 1)), power + 1)
    return deviations


def _listed(classes: Array | None) -> Array:
    return np.empty(0) if classes is None else classes


def _described(task: Task) -> str:
    shown = "" if task.classes is None else f" {task.classes.tolist()}"
    return f"{task.kind}{shown}"


def _blocks(X: Any) -> Iterator[Any]:
    """Samples by the cache full, where they are an array."""
    if not isinstance(X, np.ndarray) or X.ndim != 2:
        yield X
        return
    rows = max(_FEWEST_ROWS, _BLOCK_BYTES // max(1, X.shape[1] * X.itemsize))
    for first in range(0, max(1, len(X)), rows):
        yield X[first : first + rows]


def _check_weights(weights: Any, count: int) -> Array:
    """Shares that sum to 1."""
    if weights is None:
        return np.full(count, 1 / count)
    array = validation.check_numeric("weights", weights).astype(np.float64)
    if array.shape != (count,):
        raise ValueError(f"weights must have shape ({count},), one for each network, got {array.shape}")
    validation.check_finite("weights", array)
    if array.min() < 0 or array.sum() == 0:
        raise ValueError(f"weights must not be negative, nor all zero, got {array.tolist()}")
    shares: Array = array / array.sum()
    return shares


def _targets(samples: Samples, n_out: int) -> Array:
    """Targets (n, n_out), of labels as unit vectors."""
    data = samples.data
    if not data.labels.size:
        matrix: Array = data.targets.reshape(samples.n, n_out).astype(np.float64)
        return matrix
    unit_vectors: Array = (data.labels[:, np.newaxis] == np.arange(n_out)).astype(np.float64)
    return unit_vectors


def _costs(network: Network, outputs: Array, targets: Array) -> Array | None:
    """Cost of every sample, of outputs that are no network's own; None where these do not tell it."""
    cost, activation, n = network._cost, network._activations[-1], outputs.shape[1]
    form = cost.form(activation)
    inverse = (lambda A: A) if form.on == "a" else _INVERSES.get((form.on, activation.name))
    if inverse is None:
        return None
    if form.on != "a" and activation.name != "identity":
        outputs = np.clip(outputs, _STEP, 1 - _STEP)
    formula = expressions.substitute(form.expression, {"t": cost.smoothed(expressions.variable("t"), n)})
    values = {form.on: inverse(outputs), "t": targets} | ({"q": np.asarray(cost.units)} if cost.units else {})
    (found,) = ops.compute([formula], values)
    costs: Array = np.broadcast_to(found, outputs.shape).sum(axis=1)
    return costs


def _choose(errors: Array, rounds: int, start: int) -> NDArray[np.int64]:
    """How often each member is taken; errors are their outputs' distances from the targets, (members, numbers).

    The mean of k members' outputs is as far from the targets as the mean of their distances, and squares of sums
    follow from the products of any two: the samples are gone through once.
    """
    products = errors @ errors.T
    single = np.diag(products)
    counts = np.zeros(len(errors), np.int64)
    counts[np.argsort(single, kind="stable")[:start]] = 1
    best, least = counts.copy(), counts @ products @ counts / start**2
    for size in range(start + 1, rounds + 1):
        with_each = counts @ products @ counts + 2 * (products @ counts) + single
        counts[np.argmin(with_each)] += 1
        error = with_each.min() / size**2
        if error < least:
            best, least = counts.copy(), error
    return best
