"""The class a user holds."""

import copy
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from functools import partial
from itertools import pairwise
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import diagnostics, persistence, validation
from fastnn.callbacks import EarlyStopping
from fastnn.defaults import default_optimizer
from fastnn.diagnostics import Findings
from fastnn.engine import Engine, Penalty, natural_order, pack_data, plan_first_layer, random_order
from fastnn.forks import ForkSafeLock
from fastnn.formulas import activations, costs
from fastnn.history import History
from fastnn.initializers import INITIALIZERS, draw_layers
from fastnn.inputs.labels import CLASSES, Outputs
from fastnn.inputs.reader import Reader, check_wishes
from fastnn.interrupts import Hold, held
from fastnn.optimizers import SGD, Adam, resolve_optimizer
from fastnn.training import FitRequest, FitSettings, Samples, Training, evaluate

Array = NDArray[Any]
_OLD_STATES = {"momentum": 1, "nesterov": 1, "adam": 2}  # in files that do not say how many buffers an optimizer keeps
_MOST_STEPS = 1 << 53  # up to here float64 counts them
_REBUILT = (
    *("_sizes", "_activations", "_cost", "_dtype", "_generator", "_reader"),
    *("_settings", "_budget", "_engine", "_fitting"),
)
"""Attributes that come back from what ``save`` writes."""


class LayerArrays(MutableSequence[Array]):
    """The weights or the biases of all layers, as a list of arrays.

    Reading gives a copy that cannot be written to; assign to change a layer: ``net.weights[0] = W``.
    """

    def __init__(self, engine: Engine, biases: bool) -> None:
        self._engine, self._biases = engine, biases

    def __len__(self) -> int:
        return len(self._engine.layers)

    def __getitem__(self, index: Any) -> Any:
        """Layer ``index``, or a list of layers for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        array = self._engine.read(range(len(self))[index])[self._biases]
        array.flags.writeable = False  # writing to a copy would be lost without a word
        return array

    def __setitem__(self, index: Any, value: Any) -> None:
        """Change layer ``index``; a slice takes as many arrays as it has layers."""
        if isinstance(index, slice):
            layers = range(*index.indices(len(self)))
            checked = validation.check_layers(self._name, value, [self.shapes[i] for i in layers], self._engine.dtype)
        else:
            layers = range(len(self))[index : index + 1 or None]
            name = f"{self._name}[{layers[0]}]" if len(layers) else self._name
            checked = [validation.check_parameter(name, value, self.shapes[index], self._engine.dtype)]
        for i, array in zip(layers, checked, strict=True):
            self._engine.write(i, *((None, array) if self._biases else (array, None)))

    def __delitem__(self, index: Any) -> None:
        raise TypeError("a network's layers cannot be deleted")

    def insert(self, index: int, value: Any) -> None:
        """Not possible: the number of layers is fixed."""
        raise TypeError("a network's layers cannot be inserted")

    @property
    def _name(self) -> str:
        return "biases" if self._biases else "weights"

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of every layer's array."""
        return [(layer.n_out,) if self._biases else (layer.n_out, layer.n_in) for layer in self._engine.layers]

    def __repr__(self) -> str:
        return f"<{self._name} of {len(self)} layers: {', '.join(map(str, self.shapes))}>"


class Network:
    """A dense feedforward network.

    Parameters
    ----------
    sizes : sequence of int
        Number of inputs, of units in each hidden layer, and of outputs; at least two numbers, each >= 1.
    activation : str or sequence of str, default "sigmoid"
        Activation of the hidden layers, one for all or one for each: "sigmoid", "tanh", "relu" or "identity".
    output : str, default "sigmoid"
        Activation of the output layer; also "softmax".
    cost : str, default "cross_entropy"
        "quadratic" (1/2 ||a - y||^2) or "sum_squares" (||a - y||^2) with any output but softmax;
        "cross_entropy" (Bernoulli, over independent outputs) with sigmoid; "log_likelihood" with softmax.
    initializer : str or (weights, biases), default "scaled"
        "scaled" (normal, 1/sqrt(n_in)), "normal" and "uniform" (unscaled), "glorot", "he", or two lists of arrays,
        (n_out, n_in) and (n_out,) for every layer.
    dtype : "float32" or "float64", default "float32"
        Of weights and arithmetic.
    seed : int or None, default 0
        Starts the generator of initial weights and shuffles. The same seed gives the same bits; None takes fresh
        entropy.
    scale : float or str, optional
        How inputs are scaled, whatever comes in: a number divides them all, "minmax" brings every column to [0, 1],
        "standard" to a mean of 0 and a standard deviation of 1, "robust" to a median of 0 and a distance of 1 between
        the quartiles. The latter three are learned by the first ``fit`` and saved with the network; a constant column
        becomes 0. A sparse matrix is never shifted: "standard" divides by the standard deviation, "minmax" by the
        largest absolute value. Bytes (uint8) with ``scale=255`` are used as they are. By default numbers are taken at
        face value, whatever their dtype.
    missing : "mean" or "indicator", optional
        What to do with NaN and None in X, which are refused otherwise: take the mean of the column in the first
        ``fit``; "indicator" also gives every column an input of its own, behind all the others, that is 1 where a value
        is missing: ``sizes`` then begins with twice the number of columns.
    task : "classes", "multilabel" or "regression", optional
        What y is: one class for every sample, zeros and ones of which several may hold, or quantities. By default the
        first ``fit`` settles it, see ``fit``; later data must agree.
    classes : sequence, optional
        Labels that the outputs stand for, in their order, if the first ``fit`` may not see them all.

    Attributes
    ----------
    sizes, activations, cost, dtype, scale
        As given, not to be changed; ``activations`` has one name per layer, the output's last.
    task : str or None
        What it learns; None before it is settled.
    classes : array or None
        Labels that the outputs stand for; None where these are no classes.
    columns : tuple of str or None
        Names of X's columns, where the first ``fit`` came with a frame. A frame with the same columns in another order
        is put right, one with other columns refused.
    weights, biases : list-like of arrays
        Per layer (n_out, n_in) and (n_out,). Assign to change them: ``net.weights[0] = W``.
    history : History or None
        Of the last ``fit``, also one that was interrupted.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message names it and says what was expected.

    Notes
    -----
    Several networks may train in several threads at once. One network belongs to one ``fit`` at a time.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> net = fastnn.Network([64, 30, 10], seed=0)
    >>> history = net.fit(X, y, epochs=20)
    >>> net.evaluate(Xt, yt)["accuracy"] > 0.9
    True
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Sequence[str] = "sigmoid",
        output: str = "sigmoid",
        cost: str = "cross_entropy",
        initializer: str | tuple[Sequence[ArrayLike], Sequence[ArrayLike]] = "scaled",
        dtype: Any = "float32",
        seed: int | None = 0,
        *,
        scale: float | Literal["minmax", "standard", "robust"] | None = None,
        missing: Literal["mean", "indicator"] | None = None,
        task: Literal["classes", "multilabel", "regression"] | None = None,
        classes: Sequence[Any] | Array | None = None,
    ) -> None:
        self._sizes = validation.check_sizes(sizes)
        hidden = activations.resolve_hidden(activation, len(self.sizes) - 2)
        self._activations = (*hidden, activations.resolve(output, "output"))
        self._cost = costs.resolve(cost)
        costs.check_pair(self._cost, self._activations[-1], self._sizes[-1])
        self._dtype = validation.check_dtype(dtype)
        if seed is not None:
            validation.check_whole("seed", seed, at_least=0)
        self._generator = np.random.default_rng(seed)
        if isinstance(initializer, str):
            validation.check_name("initializer", initializer, INITIALIZERS)
            layers = draw_layers(initializer, self._generator, self.sizes)
        else:
            layers = validation.check_two("initializer", initializer, "(weights, biases), or a name")
        outputs = self._outputs
        wishes = check_wishes(scale, missing, task, classes, self.sizes[0], outputs)
        self._reader = Reader.fresh(self.sizes[0], outputs, wishes)
        self.history: History | None = None
        self._settings = diagnostics.Settings.of(default_optimizer(output), 10)
        self._budget: diagnostics.Budget | None = None  # before the first fit
        self._attach_engine()
        self.weights = layers[0]
        self.biases = layers[1]

    def _attach_engine(self) -> None:
        with held():  # the first one imports Numba
            self._engine = Engine(self.sizes, self._activations, self._cost, self.dtype)
        self._fitting = ForkSafeLock()

    # --- what it is: fixed, because the buffers are laid out for it ---

    @property
    def sizes(self) -> tuple[int, ...]:
        """Layer sizes from inputs to outputs."""
        return self._sizes

    @property
    def activations(self) -> tuple[str, ...]:
        """Activation of every layer, the output's last."""
        return tuple(activation.spec for activation in self._activations)

    @property
    def cost(self) -> str:
        """Name of the cost."""
        return self._cost.spec

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of weights and arithmetic."""
        return self._dtype

    @property
    def _outputs(self) -> Outputs:
        cost = self._cost
        return Outputs(self.sizes[-1], self._activations[-1].name, cost.spec, cost.classifies, cost.targets, self.dtype)

    @property
    def _classifier(self) -> bool:
        """Whether it answers with one class for every sample."""
        return self._reader.answering.kind == CLASSES

    # --- what it knows of its data ---

    @property
    def task(self) -> str | None:
        """What it learns: "classes", "multilabel" or "regression"; None before it is settled."""
        return self._reader.task.kind if self._reader.task else self._reader.wishes.task

    @property
    def scale(self) -> float | str | None:
        """How inputs are scaled, as given."""
        return self._reader.wishes.scale

    @property
    def classes(self) -> Array | None:
        """Labels that the outputs stand for, in their order; of a single output the two that it tells apart."""
        classes = self._reader.answering.classes
        return None if classes is None else classes.copy()

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of X's columns, where the first ``fit`` came with a frame."""
        return self._reader.names

    # --- parameters ---

    @property
    def weights(self) -> LayerArrays:
        """Weights of every layer, (n_out, n_in)."""
        return LayerArrays(self._engine, biases=False)

    @weights.setter
    def weights(self, values: Iterable[ArrayLike]) -> None:
        self.weights[:] = values

    @property
    def biases(self) -> LayerArrays:
        """Biases of every layer, (n_out,)."""
        return LayerArrays(self._engine, biases=True)

    @biases.setter
    def biases(self, values: Iterable[ArrayLike]) -> None:
        self.biases[:] = values

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    # --- training ---

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        epochs: int = 30,
        batch_size: int | Sequence[int] = 10,
        optimizer: SGD | Adam | str = "auto",
        l2: float = 0.0,
        l1: float = 0.0,
        shuffle: bool | Callable[[int], ArrayLike] = True,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        max_time: float | None = None,
        callbacks: Sequence[Callable[["Network", History], Any]] = (),
        progress: bool | None = None,
        threads: int | Literal["auto"] = 1,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    ) -> History:
        """Train, going on from where the network stands.

        Each step minimises the mean cost over a batch plus ``l2/2 ||W||^2 + l1 |W|`` (weights only).

        Parameters
        ----------
        X : array-like or frame (n, n_in)
            Samples, scaled as the network's ``scale`` says and used in its dtype. A frame is one of pandas, Polars or
            PyArrow; a SciPy sparse matrix is used as CSR and never made dense.
        y : array-like (n,) or (n, n_out)
            What to learn; the first ``fit`` settles what that is. Text, bools, with several outputs any flat whole
            numbers, and one-hot rows are classes; with cost "cross_entropy" or "log_likelihood" so are rows that sum to
            one and, for a single output, two different whole numbers. Other zeros and ones in rows are, for these two
            costs, labels of which several may hold at once. The rest are quantities. Labels from 0 to n_out - 1 belong
            to the outputs of those numbers, others to the outputs in their order.
        epochs : int, default 30
            Passes over the data, >= 0.
        batch_size : int or sequence of int, default 10
            Samples per step; the last batch of an epoch may be smaller. Or the size of every batch of an epoch, summing
            to n.
        optimizer : SGD, Adam or name, default "auto"
            The step. Its memory (momentum and so on) carries over between calls while it stays of the same kind. "auto"
            is ``SGD(0.5)`` for outputs that are bounded (sigmoid, softmax, tanh), else ``Adam(0.003)``.
        l2, l1 : float, default 0.0
            Strengths of the penalties, >= 0.
        shuffle : bool or callable, default True
            Take the samples in a fresh random order every epoch. A function is asked before every epoch for an order
            of your own: ``shuffle(n)`` returns the numbers from 0 to n - 1, each once.
        validation_data : (X, y), optional
            Measured after every epoch.
        sample_weight : array-like (n,), optional
            Weight of every sample's cost, >= 0. Only their proportions count: they are scaled to a mean of 1, and a
            batch's cost is the mean of weight times cost. So a weight of 2 is the same as the sample twice, on average
            over batches, and a sample of weight 0 is left out. Accuracy counts every other sample once.
        max_time : float, optional
            Stop after so many seconds, also in the middle of an epoch, but not of the validation after it.
        callbacks : sequence of callables, default ()
            Each is called as ``callback(network, history)`` after every epoch; one that returns True stops training.
        progress : bool, optional
            Show a progress bar; by default only on a terminal.
        threads : int or "auto", default 1
            Threads that work on this network together; the result is the same bits for any number. Worth it where a
            batch is much work: wide layers or hundreds of samples. "auto" takes one per core for such networks.
        class_weight : mapping or "balanced", optional
            Weight of every class's samples, by label, 1 where it is not named; multiplied with ``sample_weight``.
            "balanced" makes all classes weigh the same.

        Returns
        -------
        History
            Cost, accuracy and time of every epoch. It prints as a table.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, before anything changes; what a ``shuffle`` function returns is looked at when it
            comes.
        DivergenceError
            If the cost becomes infinite or NaN; the network keeps its last finite weights.
        RuntimeError
            If this network is in the middle of another ``fit``, or there are no more threads to be had.
        KeyboardInterrupt
            On Ctrl-C, between two kernel calls: the network holds whole weights, and ``history`` what was done.

        Warns
        -----
        TrainingWarning
            If something goes wrong that ``diagnose`` has a verdict on, once for each; ``history.findings`` keeps them.
            Looking takes 1 % of the training time at most, besides a look before and one after a network's first fit:
            so a training of less than some 50 ms is not looked at if it is not the first.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> net = fastnn.Network([2, 4, 1], activation="tanh", seed=1)
        >>> history = net.fit(X, [0, 1, 1, 0], epochs=500, batch_size=4)
        >>> net.predict(X)
        array([0, 1, 1, 0])
        """
        request = self._request(
            X,
            y,
            epochs,
            batch_size,
            optimizer,
            l2,
            l1,
            shuffle,
            validation_data,
            sample_weight,
            max_time,
            callbacks,
            progress,
            threads,
            class_weight,
        )
        return self._train(request)

    def _request(
        self,
        X: Any,
        y: Any,
        epochs: Any,
        batch_size: Any,
        optimizer: Any,
        l2: Any,
        l1: Any,
        shuffle: Any,
        validation_data: Any,
        sample_weight: Any,
        max_time: Any,
        callbacks: Any,
        progress: Any,
        threads: Any,
        class_weight: Any = None,
    ) -> FitRequest:
        """What ``fit`` was asked for, checked and converted; changes nothing."""
        reader = self._reader.settled(X, y)
        train = self._samples(X, y, sample_weight, class_weight, reader)
        held_out = None
        if validation_data is not None:
            pair = validation.check_two("validation_data", validation_data, "(X, y)")
            try:
                held_out = self._samples(*pair, reader=reader)
            except (ValueError, TypeError) as error:
                raise type(error)(f"validation_data: {error}") from None
        settings = FitSettings(
            epochs=validation.check_whole("epochs", epochs, at_least=0),
            batch_sizes=validation.check_batch_size(batch_size, train.n),
            optimizer=default_optimizer(self.activations[-1])
            if isinstance(optimizer, str) and optimizer == "auto"
            else resolve_optimizer(optimizer),
            penalty=Penalty(
                validation.check_number("l1", l1, at_least=0), validation.check_number("l2", l2, at_least=0)
            ),
            order=validation.check_shuffle(shuffle, partial(random_order, self._generator), natural_order),
            order_is_theirs=callable(shuffle),
            max_time=float("inf") if max_time is None else validation.check_number("max_time", max_time, above=0),
            callbacks=validation.check_callbacks(callbacks),
            progress=None if progress is None else validation.check_flag("progress", progress),
            threads=validation.check_threads(threads),
        )
        measured = {"train": train.data.classify} | ({"val": held_out.data.classify} if held_out else {})
        for callback in settings.callbacks:
            if isinstance(callback, EarlyStopping):
                callback.check(measured)
        return FitRequest(train, held_out, settings, reader)

    def _train(self, request: FitRequest) -> History:
        """Carry out a checked request."""
        with held() as hold:
            lock = self._fitting.here
            if not lock.acquire(blocking=False):
                raise RuntimeError("this network is being trained by another call of fit")
            known, steps = self._reader, self._engine.memory.steps
            try:
                return self._carry_out(request, hold)
            except BaseException:
                if self._engine.memory.steps == steps:  # nothing has been learned
                    self._reader = known
                raise
            finally:
                lock.release()

    def _carry_out(self, request: FitRequest, hold: Hold) -> History:
        """The same for the only one at it; Ctrl-C comes where the hold is opened, and nowhere else."""
        train, held_out, settings, reader = request
        self._reader = reader or self._reader
        plan = plan_first_layer(train.judged(self.sizes[0]), self.sizes[0], settings.batch_sizes[0][0])
        train = train._replace(data=train.data._replace(blocks=plan.blocks))
        self.history = History(first_layer=plan.reason)
        self._settings = diagnostics.Settings.of(
            settings.optimizer, settings.batch_sizes[0][0], settings.penalty.l2, settings.callbacks
        )
        company, budget = settings.company, self._budget
        if company is not None and not company.looks:
            budget = budget or diagnostics.Budget()
        watch = diagnostics.Watch(
            self._model, train.data, train.n, self._settings, budget, self.history, train.rows, company is None
        )
        training = Training(self._engine, train, held_out, settings, self.history, watch)
        try:
            training.run(self, hold)
        finally:
            self._budget = watch.budget if watch.has_looked else self._budget
        return self.history

    @property
    def _model(self) -> diagnostics.Model:
        return diagnostics.Model(self._engine, self._activations, self._cost)

    def _samples(
        self, X: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, reader: Reader | None = None
    ) -> Samples:
        if isinstance(X, Samples):  # checked already: several networks share them
            return X
        batch = (reader or self._reader).read(X, y, sample_weight, class_weight)
        return Samples(pack_data(*batch, self.dtype), batch.X.n)

    # --- use ---

    def forward(self, X: ArrayLike) -> Array:
        """Output activations.

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``fit``.

        Returns
        -------
        array (n, n_out)
            In the network's dtype.

        Raises
        ------
        ValueError, TypeError
            If X has the wrong shape, is empty, not numeric or not finite.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> fastnn.Network([3, 2]).forward(np.zeros((1, 3)))
        array([[0.5, 0.5]], dtype=float32)
        """
        reader = self._reader
        features = reader.features("X", X, finite=False)
        out = np.empty((features.n, self._sizes[-1]), self._dtype)
        data = pack_data(features, None, None, self._dtype)
        # The kernel finds out what is not finite as it goes, at no cost; nothing but ``out`` is touched by then.
        finite, step = True, self._engine.samples_per_call
        for first in range(0, features.n, step):
            finite &= self._engine.forward(data, first, min(first + step, features.n), out)
        if not finite:
            reader.features("X", X)  # says where; or sums have overflowed, and all is well
        return out

    def predict(self, X: ArrayLike) -> Array:
        """Answers in the words and the shape of the y of the first fit: labels, zeros and ones, or quantities.

        Of classes the one with the largest output; a single output, and each of several labels at once, is cut at one
        half. Before any training a network answers with classes if its cost is "cross_entropy" or "log_likelihood".

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``fit``.

        Returns
        -------
        array (n,), (n, 1) or (n, n_out)
            Labels (n,), also if y came as one-hot rows; zeros and ones (n, n_out); or quantities in the network's
            dtype. With a single output (n, 1) if y came so.

        Raises
        ------
        ValueError, TypeError
            As ``forward``.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> net = fastnn.Network([2, 2], initializer=([np.eye(2)], [np.zeros(2)]))
        >>> net.predict([[0.1, 0.9], [5.0, -1.0]])
        array([1, 0])
        """
        return self._reader.answers(self.forward(X))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes.

        Softmax outputs as they are; a single sigmoid output a as ``[1 - a, a]``; independent sigmoid outputs divided by
        their sum, so that every row sums to one. Of several labels at once every column is a probability of its own.

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``fit``.

        Returns
        -------
        array (n, k)
            A column for each of ``classes``, in the network's dtype.

        Raises
        ------
        ValueError, TypeError
            As ``forward``; and if the task is regression, or the output neither sigmoid nor softmax.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> net = fastnn.Network([2, 2], initializer=([np.zeros((2, 2))], [np.zeros(2)]))
        >>> net.predict_proba([[1.0, 2.0]])
        array([[0.5, 0.5]], dtype=float32)
        """
        return self._reader.probabilities(self.forward(X))

    def evaluate(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> dict[str, float]:
        """Mean cost, and for classes the accuracy.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        dict
            "cost" (without l1 and l2), and "accuracy" in [0, 1] where the task is classes.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> net = fastnn.Network([1, 1], output="identity", cost="quadratic", initializer=([[[2.0]]], [[0.0]]))
        >>> net.evaluate([[1.0], [2.0]], [2.0, 5.0])
        {'cost': 0.25}
        """
        samples = self._samples(X, y, sample_weight)
        seen = evaluate(self._engine, samples)
        result = {"cost": float(seen.cost / samples.n)}
        if samples.data.classify:
            result["accuracy"] = float(seen.hits / samples.n)
        return result

    def gradients(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[list[Array], list[Array]]:
        """Gradient of the mean cost over all the samples, without l1 and l2.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        list of array, list of array
            For every layer dC/dW (n_out, n_in) and dC/db (n_out,).

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.

        Examples
        --------
        >>> import fastnn
        >>> net = fastnn.Network([1, 1], output="identity", cost="quadratic", initializer=([[[2.0]]], [[0.0]]))
        >>> net.gradients([[3.0]], [5.0])
        ([array([[3.]], dtype=float32)], [array([1.], dtype=float32)])
        """
        samples = self._samples(X, y, sample_weight)
        buffer = self._engine.gradient(samples.data, samples.n)
        layers = [self._engine.read(i, buffer) for i in range(len(self._engine.layers))]
        return [weights for weights, _ in layers], [biases for _, biases in layers]

    def diagnose(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Findings:
        """Say what is wrong with the network on these data, where, how that shows, and what to change.

        Up to 256 of the samples are taken through the network. What has to do with the course of a training (a learning
        rate too high or too low, overfitting, shuffled labels) is told from the last ``fit`` of this object. ``fit``
        warns of the same by itself.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        Findings
            A tuple of ``Finding`` with ``name``, ``layer``, ``evidence``, ``advice`` and ``change``; empty if nothing
            was found, or if there are fewer than 32 samples to judge by. It prints as a list.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong.

        Examples
        --------
        >>> import fastnn
        >>> X, y, Xt, yt = fastnn.datasets.load_digits()
        >>> net = fastnn.Network([64, 30, 10])
        >>> net.diagnose(X, y)
        nothing found
        >>> for finding in net.diagnose(1000 * X, y):
        ...     print(finding.name, finding.layer, finding.change)
        inputs far from unit scale None {'X': 'X / 1000'}
        saturated units 1 {'X': 'X / 1000'}
        """
        samples = self._samples(X, y, sample_weight)
        return diagnostics.diagnose(self._model, samples.data, samples.n, self._settings, self.history)

    # --- keeping ---

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything needed to go on training bit for bit: an ``.npz`` file, moved into place when complete.

        Parameters
        ----------
        path : path-like
            The file; used as it is, nothing is appended. In its folder temporary files are removed that processes left
            behind which were killed while they saved.

        Raises
        ------
        OSError
            If the file cannot be written; an earlier file of that name is then left as it was.
        TypeError, ValueError
            If ``path`` is not one.

        Examples
        --------
        >>> import fastnn, tempfile, os
        >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
        >>> fastnn.Network([3, 2]).save(path)
        >>> fastnn.load(path)
        Network([3, 2], activation=[], output='sigmoid', cost='cross_entropy', dtype='float32'): 8 parameters
        """
        persistence.write(path, self._to_record())

    def _to_record(self) -> persistence.Record:
        engine = self._engine
        arrays: dict[str, Array] = {}
        for prefix, buffer in [
            ("", engine.params),
            *((f"state{i}_", b) for i, b in enumerate(engine.state_buffers())),
        ]:
            for index in range(len(engine.layers)):
                arrays[f"{prefix}weights{index}"], arrays[f"{prefix}biases{index}"] = engine.read(index, buffer)
        return persistence.Record(
            header={
                "sizes": list(self.sizes),
                "activations": [activation.to_data() for activation in self._activations],
                "cost": self._cost.to_data(),
                "dtype": self.dtype.name,
                "data": self._reader.to_header(),
                "optimizer": engine.memory.kernel,
                "states": engine.memory.states,
                "steps": engine.memory.steps,
                "generator": self._generator.bit_generator.state,
                "settings": self._settings.to_header(),
            },
            arrays=arrays | self._reader.to_arrays(),
        )

    def _from_record(self, record: persistence.Record) -> None:
        """Become the network of a record, all of it checked like a user's own arguments."""
        header, arrays = record.header, dict(record.arrays)
        sizes = validation.check_sizes(header["sizes"])

        def take(name: str, *shape: int) -> Array:
            array = arrays.pop(name)
            if array.shape != shape or array.dtype.name != header["dtype"]:
                raise ValueError(
                    f"its array {name!r} is {array.dtype.name} {array.shape}, expected {header['dtype']} {shape}"
                )
            validation.check_finite(name, array)
            return array

        def take_layers(prefix: str) -> tuple[list[Array], list[Array]]:
            shapes = list(enumerate(pairwise(sizes)))
            weights = [take(f"{prefix}weights{i}", n_out, n_in) for i, (n_in, n_out) in shapes]
            return weights, [take(f"{prefix}biases{i}", n_out) for i, (_, n_out) in shapes]

        try:
            start = take_layers("")
            *hidden, output = (activations.from_data(data) for data in header["activations"])
            Network.__init__(self, sizes, hidden, output, costs.from_data(header["cost"]), start, header["dtype"])
            self._reader = Reader.from_record(sizes[0], self._outputs, header["data"], arrays)
            self._generator.bit_generator.state = header["generator"]
            engine = self._engine
            self._settings = diagnostics.Settings.from_header(header["settings"])
            self._budget = diagnostics.Budget() if header["steps"] else None
            steps = validation.check_whole("steps", header["steps"], at_least=0)
            states = validation.check_whole(
                "states", header.get("states", _OLD_STATES.get(header["optimizer"], 0)), at_least=0
            )
            if states > len(arrays):  # each has several: so much memory would be asked for in vain
                raise ValueError(f"its {states} states are more than it has arrays for")
            if steps >= _MOST_STEPS:
                raise ValueError(f"its steps must be < {_MOST_STEPS}, got {steps}")
            engine.memory = engine.fresh_memory(str(header["optimizer"]), (0.0,) * states)._replace(steps=steps)
            for number, buffer in enumerate(engine.state_buffers()):
                for i, layer in enumerate(zip(*take_layers(f"state{number}_"), strict=True)):
                    engine.write(i, *layer, buffer)
        except KeyError as error:
            raise ValueError(f"it lacks {error}") from error
        if arrays:
            raise ValueError(f"it holds arrays that do not belong there: {sorted(arrays)}")

    def __getstate__(self) -> persistence.State:
        """For copies and pickles: what ``save`` writes, the history, and all attributes that others added."""
        slots = {name: getattr(self, name) for name in persistence.slot_names(type(self)) if hasattr(self, name)}
        added = {name: value for name, value in vars(self).items() if name not in _REBUILT}
        return persistence.State(self._to_record(), slots | added)

    def __setstate__(self, state: persistence.State | persistence.Record) -> None:
        record, attributes = (state, {}) if isinstance(state, persistence.Record) else state  # the former before 0.2
        self._from_record(record)
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def copy(self) -> "Network":
        """An independent network that would go on training as this one would, with copies of all its attributes.

        Raises
        ------
        TypeError
            If an attribute that you gave it cannot be copied, such as an open file.

        Examples
        --------
        >>> import fastnn
        >>> net = fastnn.Network([3, 2])
        >>> bool((net.copy().weights[0] == net.weights[0]).all())
        True
        """
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        *hidden, output = self.activations
        return (
            f"Network({list(self.sizes)}, activation={hidden}, output={output!r}, cost={self.cost!r}, "
            f"dtype={self.dtype.name!r}): {self.n_parameters:,} parameters"
        )


def load(path: str | PathLike[str]) -> Network:
    """Read a network that ``Network.save`` wrote; the file is only read, never executed.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Network
        It goes on training bit for bit as the saved one would have.

    Raises
    ------
    OSError
        If the file cannot be read; FileNotFoundError if there is none.
    TypeError
        If ``path`` is not one.
    ValueError
        If the file is no such network, is damaged, or was written by a newer version.

    Examples
    --------
    >>> import fastnn, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "net.npz")
    >>> net = fastnn.Network([2, 2], seed=7)
    >>> net.save(path)
    >>> bool((fastnn.load(path).weights[0] == net.weights[0]).all())
    True
    """
    network = Network.__new__(Network)
    record = persistence.read(path)
    with persistence.naming(path):
        network._from_record(record)
    return network
