"""The class a user holds."""

from __future__ import annotations  # so that help() shows types by their short names

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import diagnostics, metrics, persistence, validation
from fastnn.callbacks import EarlyStopping, OptunaPruning, check_direction
from fastnn.defaults import default_optimizer
from fastnn.diagnostics import Findings
from fastnn.engine import Engine
from fastnn.forks import ForkSafeLock
from fastnn.formulas import activations, costs, expressions, optimizers, schedules
from fastnn.formulas.activations import Activation
from fastnn.formulas.averaging import keeps_average
from fastnn.formulas.costs import Cost
from fastnn.formulas.schedules import ReduceOnPlateau, Schedule
from fastnn.history import FIGURES, History
from fastnn.initializers import INITIALIZER_NAMES, LSUV, draw_layers
from fastnn.inputs.labels import Outputs
from fastnn.inputs.reader import Reader, check_wishes
from fastnn.inputs.reader import Wishes as DataWishes
from fastnn.inputs.streams import (
    Blocks,
    Chunks,
    HeldOut,
    Pieces,
    Rows,
    Source,
    check_alone,
    check_plan,
    goes_by_blocks,
    is_stream,
)
from fastnn.inputs.tables import check_order
from fastnn.interrupts import Hold, held
from fastnn.lbfgs import LBFGS, require_scipy
from fastnn.lsuv import scale_layers
from fastnn.optimizers import Optimizer, resolve_optimizer
from fastnn.orders import NaturalOrder, RandomOrders, natural_order
from fastnn.parameters import Gradients, LayerArrays
from fastnn.regularisation import Wishes, layer_steps
from fastnn.samples import dense_rows, pack_data, plan_first_layer
from fastnn.splitting import alone, split_rows, weighed
from fastnn.training import (
    FitArguments,
    FitRequest,
    FitSettings,
    Judge,
    Samples,
    Training,
    answers_in,
    evaluate,
    forward,
    gradient_of,
    infinite_cost,
    packed,
    too_large,
)

Array = NDArray[Any]
_OLD_STATES = {"momentum": 1, "nesterov": 1, "adam": 2}  # in files that do not say how many buffers an optimizer keeps
_LOOKS_AT_SCHEDULE = 100  # steps whose learning rates are looked at before training
_MOST_STEPS = 1 << 53  # up to here float64 counts them
_REBUILT = (
    *("_sizes", "_activations", "_cost", "_dtype", "_generator", "_reader", "_reading"),
    *("_scales_inputs", "_settings", "_budget", "_engine", "_fitting", "_entropy", "_waits_for_data", "_training"),
)
"""Attributes that come back from what ``save`` writes."""


def _overflowed(outputs: Array) -> str:
    """What to say where finite inputs have outputs that are not."""
    rows = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    shown = ", ".join(map(str, rows[:5].tolist())) + (", ..." if len(rows) > 5 else "")
    return (
        f"X is finite, but the outputs of {len(rows)} of {len(outputs)} rows are not (rows {shown}): numbers so large "
        "that sums overflow; scale X, or clip it"
    )


def _in_units_of_y(reader: Reader, outputs: Array) -> Array:
    """Finite outputs as quantities at the scale of y, finite too; themselves where y has no scale."""
    if reader.wishes.target_scale is None:
        return outputs
    quantities = reader.in_units_of_y(outputs)
    if not np.isfinite(quantities).all():
        row = int(np.argmin(np.isfinite(quantities).all(axis=1)))
        raise ValueError(
            f"target_scale={reader.wishes.target_scale!r} makes of the outputs {outputs[row].tolist()} in row {row} "
            "numbers beyond the range of float64: train with a smaller target_scale"
        )
    return quantities


class Network:
    """A dense feedforward network.

    Parameters
    ----------
    sizes : sequence of int
        Number of inputs, of units in each hidden layer, and of outputs; at least two numbers, each >= 1.
    activation : str, Activation or a sequence of them, default "sigmoid"
        Activation of the hidden layers, one for all or one for each: a name such as "relu" or "elu(alpha=0.5)", or what
        ``fastnn.activation`` made of a formula of yours.
    output : str or Activation, default "sigmoid"
        Activation of the output layer; also "softmax".
    cost : str or Cost, default "cross_entropy"
        "quadratic" (1/2 ||a - y||^2) or "sum_squares" (||a - y||^2) with any output but softmax;
        "cross_entropy" (Bernoulli, over independent outputs) with sigmoid; "log_likelihood" with softmax; and others,
        see README; or what ``fastnn.cost`` made.
    initializer : str or (weights, biases), default "scaled"
        "scaled" (normal, 1/sqrt(n_in), also known as LeCun's; it suits selu), "normal" and "uniform" (unscaled),
        "glorot", "he"; "auto" takes for every layer the one that suits its activation; "lsuv" begins with orthonormal
        matrices, and the first ``fit`` scales layer by layer so that the weighted inputs have variance 1 over up to
        1024 of its samples (Mishkin and Matas, 2016). Or two lists of arrays, (n_out, n_in) and (n_out,) for every
        layer.
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
        largest absolute value. Bytes (uint8), and sparse matrices of the network's dtype, are scaled sample by sample
        as they are read, so that no scaled copy is held. By default numbers are taken at face value, whatever their
        dtype.
    missing : "mean" or "indicator", optional
        What to do with NaN and None in X, which are refused otherwise: take the mean of the column in the first
        ``fit``; "indicator" also gives every column an input of its own, behind all the others, that is 1 where a value
        is missing: ``sizes`` then begins with twice the number of columns.
    task : "classes", "multilabel" or "regression", optional
        What y is: one class for every sample, zeros and ones of which several may hold, or quantities. By default the
        first ``fit`` settles it, see ``fit``; later data must agree.
    classes : sequence, optional
        Labels that the outputs stand for, in their order, if the first ``fit`` may not see them all.
    target_scale : float or str, optional
        How the targets of a regression are scaled, whatever their size (prices of hundreds of thousands, shares of a
        millionth): a number divides them all, "standard", "minmax" and "robust" are as for ``scale``, learned by the
        first ``fit`` and saved with the network; a constant column is shifted only. y always comes, and ``forward``,
        ``predict`` and ``metrics`` answer, in units of your own, those in float64. Costs, in ``history`` and of
        ``evaluate``, and gradients are those of the scaled numbers, which training minimises; so are parameters of
        costs, such as the delta of "huber". With "standard", one output and "quadratic", twice the cost on the first
        data is the share of the variance that is not explained. It makes the task "regression", and needs output
        "identity" and a cost for quantities of any size.
    input_scale : bool, default False
        Whether every input is multiplied by a number of its own that is learned as weights are, beginning with 1, such
        as tables profit from: columns that say nothing are turned down. The whole gradient is then kept in memory,
        which makes small batches slower; prediction costs nothing.

    Attributes
    ----------
    sizes, activations, cost, dtype, scale, target_scale
        As given, not to be changed; ``activations`` has one name per layer, the output's last.
    task : str or None
        What it learns; None before it is settled.
    classes : array or None
        Labels that the outputs stand for; None where these are no classes.
    columns : tuple of str or None
        Names of X's columns, where the first ``fit`` came with a frame. A frame with the same columns in another order
        is put right, one with other columns refused.
    targets : tuple of str or None
        Likewise of y's columns, where that was a frame of several.
    weights, biases : list-like of arrays
        Per layer (n_out, n_in) and (n_out,). Assign to change them: ``net.weights[0] = W``.
    input_scale : array (n_in,) or None
        What inputs are multiplied by, where that is learned. Assign to change it.
    history : History or None
        Of the last ``fit``, also one that was interrupted.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message names it and says what was expected.
    RuntimeError
        If a network is made anew, by ``__init__`` or ``__setstate__``, while ``fit`` trains it.

    Notes
    -----
    Several networks may train in several threads at once. One network belongs to one ``fit`` at a time. Other threads
    may read it, predict with it, save and copy it meanwhile: they see it as it stood after one step, and change
    nothing.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> net = fastnn.Network([64, 30, 10], seed=0)
    >>> history = net.fit(X, y, epochs=20)
    >>> net.evaluate(Xt, yt)["accuracy"] > 0.9
    True

    Prices of houses:

    >>> import numpy as np
    >>> rooms = np.arange(1, 9).reshape(8, 1)
    >>> prices = 100_000 + 50_000 * rooms[:, 0]
    >>> scales = {"scale": "standard", "target_scale": "standard"}
    >>> net = fastnn.Network([1, 1], output="identity", cost="quadratic", **scales)
    >>> history = net.fit(rooms, prices, epochs=200, batch_size=4, optimizer=fastnn.SGD(0.1))
    >>> net.predict([[4.5]]).round(-3)
    array([325000.])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "sigmoid",
        output: str | Activation = "sigmoid",
        cost: str | Cost = "cross_entropy",
        initializer: str | tuple[Sequence[ArrayLike], Sequence[ArrayLike]] = "scaled",
        dtype: Any = "float32",
        seed: int | None = 0,
        *,
        scale: float | Literal["minmax", "standard", "robust"] | None = None,
        missing: Literal["mean", "indicator"] | None = None,
        task: Literal["classes", "multilabel", "regression"] | None = None,
        classes: Sequence[Any] | Array | None = None,
        input_scale: bool = False,
        target_scale: float | Literal["minmax", "standard", "robust"] | None = None,
    ) -> None:
        self._refuse_while_training()
        self._scales_inputs = validation.check_flag("input_scale", input_scale)
        self._sizes = validation.check_sizes(sizes)
        hidden = activations.resolve_hidden(activation, len(self.sizes) - 2)
        self._activations = (*hidden, activations.resolve(output, "output"))
        self._cost = costs.resolve(cost)
        costs.check_pair(self._cost, self._activations[-1], self._sizes[-1])
        self._dtype = validation.check_dtype(dtype)
        if seed is not None:
            validation.check_whole("seed", seed, at_least=0)
        entropy = np.random.SeedSequence(seed)
        self._entropy = entropy.entropy  # what else is drawn from the seed, and always in the same way
        self._generator = np.random.default_rng(entropy)
        self._waits_for_data = False  # whether the first fit is to scale the weights
        if isinstance(initializer, str):
            validation.check_name("initializer", initializer, INITIALIZER_NAMES)
            suited = [activation.initializer for activation in self._activations]
            layers = draw_layers(initializer, self._generator, self.sizes, suited, self._dtype)
            self._waits_for_data = initializer == LSUV
        else:
            layers = validation.check_two("initializer", initializer, "(weights, biases), or a name")
        outputs = self._outputs
        wishes = check_wishes(DataWishes(scale, missing, task, classes, target_scale), self.sizes[0], outputs)
        self._reader = Reader.fresh(self.sizes[0], outputs, wishes)
        self._reading: dict[str, Any] = {}  # how the command line reads files for it, see ``fastnn.cli``
        self.history: History | None = None
        self._settings = diagnostics.Settings.of(default_optimizer(self.activations[-1]), 10)
        self._budget: diagnostics.Budget | None = None  # before the first fit
        self._attach_engine()
        self.weights = layers[0]
        self.biases = layers[1]
        if self._scales_inputs:
            self.input_scale = np.ones(self.sizes[0])

    _wording = "library"  # of what goes wrong in training; others that train here set their own

    def _refuse_while_training(self) -> None:
        """Refuse to be made anew where a ``fit`` goes on with what there is."""
        fitting: ForkSafeLock | None = vars(self).get("_fitting")  # none yet in an object that is new
        if fitting is not None and fitting.here.locked():
            raise RuntimeError(
                "this network is being trained by fit, and cannot be made anew before that ends: its weights would be "
                "lost; a callback may assign to weights, biases and learning_rate"
            )

    def _attach_engine(self) -> None:
        with held():  # the first one imports Numba
            self._engine = Engine(self.sizes, self._activations, self._cost, self.dtype, self._scales_inputs)
        self._fitting = ForkSafeLock()
        self._training: Training | None = None  # while ``fit`` runs

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
        cost, activation = self._cost, self._activations[-1].name
        return Outputs(
            self.sizes[-1], activation, cost.spec, cost.classifies, cost.targets, self.dtype, cost.probability
        )

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
    def target_scale(self) -> float | str | None:
        """How targets are scaled, as given."""
        return self._reader.wishes.target_scale

    @property
    def classes(self) -> Array | None:
        """Labels that the outputs stand for, in their order; of a single output the two that it tells apart."""
        classes = self._reader.answering.classes
        return None if classes is None else classes.copy()

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of X's columns, where the first ``fit`` came with a frame."""
        return self._reader.names

    @property
    def targets(self) -> tuple[str, ...] | None:
        """Names of y's columns, where the first ``fit`` came with a frame of several."""
        return self._reader.targets

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
    def input_scale(self) -> Array | None:
        """What inputs are multiplied by, where that is learned, (n_in,); None where it is not."""
        scale = self._engine.read_scale()
        if scale is not None:
            scale.flags.writeable = False  # writing to a copy would be lost without a word
        return scale

    @input_scale.setter
    def input_scale(self, values: ArrayLike) -> None:
        if not self._scales_inputs:
            raise ValueError("input_scale can be set where it is learned: make the network with input_scale=True")
        shape = (self.sizes[0],)
        self._engine.write_scale(validation.check_parameter("input_scale", values, shape, self.dtype))

    @property
    def n_parameters(self) -> int:
        """Number of weights, biases and, where it is learned, scales of inputs."""
        layers = sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))
        return layers + self.sizes[0] * self._scales_inputs

    # --- training ---

    def fit(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        epochs: int = 30,
        batch_size: int | Sequence[int] = 10,
        optimizer: Optimizer | LBFGS | str = "auto",
        l2: float | Sequence[float] = 0.0,
        l1: float | Sequence[float] = 0.0,
        shuffle: bool | Callable[[int], ArrayLike] = True,
        validation_data: tuple[ArrayLike, ...] | Callable[[], Iterable[Any]] | Iterable[Any] | None = None,
        sample_weight: ArrayLike | None = None,
        max_time: float | None = None,
        callbacks: Sequence[Callable[[Network, History], Any]] = (),
        progress: bool | None = None,
        threads: int | Literal["auto"] = 1,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        *,
        schedule: Schedule | str | Callable[[float], float] | None = None,
        dropout: float | Sequence[float] = 0.0,
        max_norm: float | Sequence[float | None] | None = None,
        weights_rate: float | Sequence[float] = 1.0,
        biases_rate: float | Sequence[float] = 1.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        weight_average: float | None = None,
        drop_last: bool = False,
        validation_split: float | None = None,
        metrics: Iterable[str | Callable[..., Any]] = (),
        stream: Callable[[], Iterable[Any]] | Iterable[Any] | None = None,
        input_scale_rate: float = 1.0,
    ) -> History:
        """Train, going on from where the network stands.

        Each step minimises the mean cost over a batch plus ``l2/2 ||W||^2 + l1 |W|`` (weights only).

        Parameters
        ----------
        X : array-like or frame (n, n_in)
            Samples, scaled as the network's ``scale`` says and used in its dtype. A frame is one of pandas, Polars or
            PyArrow; a SciPy sparse matrix is used as CSR and never made dense. An array in a file (``numpy.memmap``)
            that has to be converted and is large goes through memory block by block, see Notes; so does what has
            ``shape`` and ``dtype`` and hands out slices, such as data sets of h5py and arrays of zarr.
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
        optimizer : Optimizer or name, default "auto"
            The step: ``fastnn.SGD``, ``Adam``, ``AdamW``, ``Nadam``, ``RMSprop``, ``Adagrad``, ``Lion``, ``Rprop`` or
            ``LBFGS``, what ``fastnn.optimizer`` made, or one of their names. Rprop and LBFGS want all samples in one
            batch. Its memory (momentum and so on) carries over between calls while it stays of the same kind. "auto"
            is ``SGD(0.5)`` for outputs that are bounded (sigmoid, softmax, tanh), else ``Adam(0.003)``.
        l2, l1 : float or sequence of float, default 0.0
            Strengths of the penalties, >= 0; one for all layers, or one for each.
        shuffle : bool or callable, default True
            Take the samples in a fresh random order every epoch, unless one batch holds them all, of which the mean is
            taken as they stand. A function is asked before every epoch for an order of your own: ``shuffle(n)`` returns
            the numbers from 0 to n - 1, each once.
        validation_data : (X, y) or (X, y, sample_weight), callable or iterable, optional
            Measured after every epoch. Or what makes chunks of them, which need not fit into memory, as for ``stream``:
            a function, or an object of ``fastnn.streams``, but no list, which is taken for a pair, and no generator,
            which cannot be gone through again. A pass before training looks at all of them, and keeps y; each must
            hold the same samples in the same order.
        sample_weight : array-like (n,), optional
            Weight of every sample's cost, >= 0. Only their proportions count: they are scaled to a mean of 1, and a
            batch's cost is the mean of weight times cost. So a weight of 2 is the same as the sample twice, on average
            over batches, and a sample of weight 0 is left out. Accuracy counts every other sample once.
        max_time : float, optional
            Stop after so many seconds, also in the middle of an epoch, but not of the validation after it. A batch that
            takes long is broken off, as if it had not begun.
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
        schedule : Schedule, str or callable, optional
            How the learning rate changes, step by step: an object of ``fastnn.schedules``, its name such as
            "cosine(period=5)" or "plateau(patience=3)", or a function of the share of training done, in [0, 1], to what
            the optimizer's learning rate is multiplied by. It runs from the first step of this call to the last that
            ``epochs`` allows. Callbacks may read and set ``network.learning_rate``.
        dropout : float or sequence of float, default 0.0
            Share of a hidden layer's units that is left out of a step by chance, in [0, 1); what is kept is scaled up
            (Srivastava et al. 2014). Or a share for the inputs and for each hidden layer. Which are left out depends on
            the network's seed, the step and the sample, not on threads.
        max_norm : float or sequence of float or None, optional
            The largest norm that the incoming weights of a hidden unit may have after a step, > 0; or one for each
            layer, the output's last, None for no limit.
        weights_rate, biases_rate : float or sequence of float, default 1.0
            Factor of the learning rate for weights and for biases, >= 0; one for all layers, or one for each.
        clip_value : float, optional
            Bring every number of the gradient into [-clip_value, clip_value], > 0, before penalties are added. With
            ``clip_norm``, too, numbers of the gradient that has been scaled down by that.
        clip_norm : float, optional
            Scale the gradient down where its norm, over all weights, biases and a learned ``input_scale``, is larger,
            > 0, before penalties are added, and before ``clip_value``. The whole gradient is then kept in memory, which
            makes small batches slower.
        weight_average : float, optional
            Keep an exponential moving average of weights and biases over the steps, with this decay, in (0, 1), such as
            0.999; ``averaged`` gives a network that has it. The average begins anew, as does the optimizer's memory,
            where the last ``fit`` had none.
        drop_last : bool, default False
            Leave out the last batch of an epoch where it would be smaller than the others; other samples each time if
            they are shuffled.
        validation_split : float, optional
            Instead of ``validation_data``: hold this share of the samples out, in (0, 1), of every class in
            proportion. Which ones follows from the network's seed: the same in every ``fit`` on the same data.
            ``history.held_out`` says how many. A ``scale`` is learned from the others alone; ``class_weight`` is for
            the others alone, too.
        metrics : sequence of str or callable, default ()
            Further figures on the validation data, after every epoch in ``history.metrics``, which may also be
            monitored: names of scikit-learn's scorers, such as "roc_auc" or "f1_macro" (extra ``sklearn``), or
            functions ``f(y_true, y_pred)``; ``fastnn.Metric`` says more about these.
        stream : callable or iterable, optional
            Instead of X and y: data that need not fit into memory, in chunks ``(X, y)`` or ``(X, y, sample_weight)`` of
            whatever ``fit`` takes. A function that returns an iterable of chunks, such as a generator function, is
            called anew for every epoch; anything else is gone through once in every epoch, so that a generator itself
            will do for ``epochs=1`` only. See Notes; ``fastnn.streams`` has streams of common files.
        input_scale_rate : float, default 1.0
            Factor of the learning rate for a learned ``input_scale``, >= 0. Penalties and decay leave that alone.

        Returns
        -------
        History
            Cost, accuracy and time of every epoch. It prints as a table.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, before anything changes; what a ``shuffle`` function returns, and every chunk of
            a stream but the first, is looked at when it comes. What a stream raises comes out of ``fit`` as it is.
        DivergenceError
            If the cost becomes infinite or NaN; the network keeps its last finite weights. The message names the likely
            cause: data that have been written to meanwhile, a penalty, the size of the data, or the learning rate.
        RuntimeError
            If this network is in the middle of another ``fit``, or there are no more threads to be had.
        KeyboardInterrupt
            On Ctrl-C, between two kernel calls: the network holds whole weights, and ``history`` what was done.

        Warns
        -----
        TrainingWarning
            If something goes wrong that ``diagnose`` has a verdict on, once for each; ``history.findings`` keeps them.
            Looking takes 1 % of the training time at most, besides a look before and one after a network's first fit:
            so a training of less than some 50 ms is not looked at if it is not the first. Also if a learned scale takes
            a column for constant, which a later chunk of the stream shows not to be.

        Notes
        -----
        The first chunk of a stream settles what ``fit`` settles: the task, the classes (pass ``Network(...,
        classes=...)`` where it may not hold them all), the names of columns, a scale that is to be learned, and the way
        through the first layer. Later chunks must agree; errors name the chunk, from 0. A first chunk whose y, or a
        column of it, is the same throughout tells no ``target_scale`` and is refused where that is to be learned.
        Chunks are read and converted in a thread of their own, one ahead of the one that is trained on. Batches do not
        cross chunks: the last one of a chunk may be smaller (``drop_last`` leaves it out), so chunks should hold many
        batches. ``shuffle`` is among the samples of a chunk, a function is asked for each. Of weights the proportions
        count over all chunks; one whose samples weigh nothing is left out, unread. A schedule needs the number of
        steps: it goes with streams that say how many samples their chunks hold, in an attribute ``chunk_sizes``;
        "plateau" and a constant rate go with all. Where training ends early, generators are closed: by their own
        thread, which nobody waits for if it is busy for longer.

        An array in a file that is not in the network's dtype, or not at its scale, or of another library than NumPy,
        and would take more than 64 MB converted, is looked through once and then goes by blocks of 16 MB, in each epoch
        in random order, with its samples in random order within each block; ``shuffle=False`` takes the samples as they
        stand. So does one in ``validation_data``, in its order. As a whole it is converted where all samples are wanted
        at once: for ``validation_split``, a list as ``batch_size``, a function as ``shuffle``, and optimizers of full
        batches.

        Examples
        --------
        >>> import numpy as np, fastnn
        >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> net = fastnn.Network([2, 4, 1], activation="tanh", seed=1)
        >>> history = net.fit(X, [0, 1, 1, 0], epochs=500, batch_size=4)
        >>> net.predict(X)
        array([0, 1, 1, 0])

        A stream:

        >>> X, y, Xt, yt = fastnn.datasets.load_digits()
        >>> def chunks():
        ...     for first in range(0, len(X), 500):  # as if read from files
        ...         yield X[first : first + 500], y[first : first + 500]
        >>> net = fastnn.Network([64, 30, 10])
        >>> history = net.fit(stream=chunks, epochs=20)
        >>> net.evaluate(Xt, yt)["accuracy"] > 0.9
        True
        """
        given = dict(locals())  # all arguments by name
        del given["self"], given["stream"]
        arguments = FitArguments(**given)
        if stream is None:
            validation.check_given({"X": X, "y": y})
            return self._train(self._request(arguments))
        check_alone({"X": X, "y": y, "sample_weight": sample_weight, "validation_split": validation_split})
        chunks = Chunks(stream, epochs, self._reader, class_weight)
        with held() as hold, chunks, hold.released():  # so that whatever comes, what is read is closed
            return self._train(self._request(arguments, chunks=chunks))

    def _request(self, given: FitArguments, reader: Reader | None = None, chunks: Chunks | None = None) -> FitRequest:
        """What ``fit`` was asked for, checked and converted; changes nothing. A ``reader`` has read X already."""
        steps = self._check_optimizer(given.optimizer)
        reader, train, held_out, source = self._read(given, steps, reader, chunks)
        judge = self._judge(reader, held_out, given.metrics)
        settings = self._check_settings(given, steps, train.n, source)
        settings = self._check_monitors(settings, train, held_out, judge)
        self._check_method(settings, train.n)
        if isinstance(steps, LBFGS) and train.rows is not None:
            train = Samples(alone(train, self.sizes[0], self.sizes[-1]), train.n)
        return FitRequest(train, held_out, settings, reader, judge, given.validation_split is not None, source)

    def _read(
        self, given: FitArguments, steps: Optimizer | LBFGS, reader: Reader | None, chunks: Chunks | None
    ) -> tuple[Reader, Samples, Samples | Pieces | None, Source | None]:
        """What is known of the data, those to train on and to validate on, and where those come from in pieces."""
        X, y, sample_weight, class_weight = given.X, given.y, given.sample_weight, given.class_weight
        if chunks is not None:
            schedule = None if given.schedule is None else schedules.resolve(given.schedule)
            check_plan(chunks, given.batch_size, steps, schedule)
            train = packed(chunks.glimpse(), self.dtype)
            return chunks.reader, train, self._held_out(chunks.reader, given.validation_data), chunks
        if given.validation_split is not None:
            if given.validation_data is not None:
                raise ValueError("validation_data and validation_split cannot both be given")
            return *self._hold_out(X, y, sample_weight, class_weight, given.validation_split), None
        source: Source | None = None
        if reader is None:
            reader = self._reader if isinstance(X, Samples) else self._reader.settled(X, y, sample_weight)
        whole = callable(given.shuffle) or steps.full_batch
        if goes_by_blocks(X, reader) and not (whole or np.ndim(given.batch_size)):
            rows = Rows(reader, X, validation.check_whole("batch_size", given.batch_size))
            source = Blocks(rows, y, sample_weight, class_weight)
            train = packed(source.glimpse(), self.dtype)
        else:
            train = self._samples(X, y, sample_weight, class_weight, reader)
        return reader, train, self._held_out(reader, given.validation_data), source

    def _check_settings(
        self, given: FitArguments, steps: Optimizer | LBFGS, n: int, source: Source | None
    ) -> FitSettings:
        """How to train on n samples, or on those of a source."""
        wishes = Wishes(given.l1, given.l2, given.dropout, given.max_norm, given.weights_rate, given.biases_rate)
        layers = layer_steps(wishes, len(self.sizes) - 1)
        cut = partial(validation.check_batches, given.batch_size, given.drop_last)
        sizes, average, progress = cut(n), given.weight_average, given.progress
        if source is not None and source.sizes is not None:
            sizes = tuple(part for size in source.sizes for part in cut(size))
        elif source is not None:
            sizes = ((int(given.batch_size), 0),)  # how many samples there are turns out when they are gone through
        if average is not None:
            average = validation.check_number("weight_average", average, above=0, below=1)
        in_order = NaturalOrder()
        by_chance = in_order if source is None and sizes == ((n, n),) else RandomOrders(self._generator)
        return FitSettings(
            epochs=validation.check_whole("epochs", given.epochs, at_least=0),
            batch_sizes=sizes,
            cut=cut,
            optimizer=steps,
            layers=layers,
            order=validation.check_shuffle(given.shuffle, by_chance, in_order),
            max_time=validation.check_limit("max_time", given.max_time),
            callbacks=validation.check_callbacks(given.callbacks),
            progress=None if progress is None else validation.check_flag("progress", progress),
            threads=validation.check_threads(given.threads),
            schedule=None if given.schedule is None else schedules.resolve(given.schedule),
            clip_value=validation.check_limit("clip_value", given.clip_value),
            clip_norm=validation.check_limit("clip_norm", given.clip_norm),
            average_decay=average,
            scale_rate=self._check_scale_rate(given.input_scale_rate),
        )

    def _hold_out(
        self, X: Any, y: Any, sample_weight: Any, class_weight: Any, share: Any
    ) -> tuple[Reader, Samples, Samples]:
        """What is known of the data, those left to train on, and those to validate on.

        Which classes there are is told from all of y, but a scale is learned from what is trained on alone.
        """
        check_order(X, {"y": y, "sample_weight": sample_weight})
        reader = self._reader.settled(X, y)
        whole = self._samples(X, y, reader=reader)
        rows, held = self._split(whole, share)
        if self._reader.learns_scale:
            reader = self._reader.settled(X, y, sample_weight, rows)
            whole = self._samples(X, y, reader=reader)
        train = weighed(Samples(whole.data, len(rows), rows), reader, sample_weight, class_weight)
        rest = weighed(Samples(whole.data, len(held), held), reader, sample_weight, None)
        return reader, train, Samples(alone(rest, self.sizes[0], self.sizes[-1]), rest.n)

    def _split(self, samples: Samples, share: Any) -> tuple[Array, Array]:
        """The rows to train on and those to hold out, always the same ones."""
        share = validation.check_number("validation_split", share, above=0, below=1)
        generator = np.random.default_rng(np.random.SeedSequence(self._entropy, spawn_key=(1,)))
        rows, held = split_rows(samples, share, generator, self.sizes[-1])
        if not held.size:
            raise ValueError(
                f"validation_split must leave samples on either side: none of {samples.n} can be held out without "
                "taking a class's only sample"
            )
        return rows, held

    def _held_out(self, reader: Reader, validation_data: Any) -> Samples | Pieces | None:
        """What to validate on."""
        if validation_data is None:
            return None
        if is_stream(validation_data):
            return HeldOut(validation_data, reader)
        X, y, weights = validation.check_held_out("validation_data", validation_data)
        try:
            held_out = self._given(X, y, weights, reader)
            if isinstance(held_out, Blocks):
                held_out.check()
            return held_out
        except (ValueError, TypeError) as error:
            raise type(error)(f"validation_data: {error}") from None

    def _judge(self, reader: Reader, held_out: Samples | Pieces | None, wanted: Any) -> Judge | None:
        """What measures the metrics, if there are any."""
        found = metrics.resolve(wanted)
        if not found:
            return None
        if held_out is None:
            raise ValueError("metrics need validation_data or validation_split in fit")
        if isinstance(held_out, Samples):
            held_out = Samples(alone(held_out, self.sizes[0], self.sizes[-1]), held_out.n)
        judge = Judge(self._engine, reader, held_out, found)
        judge.check()
        return judge

    def _check_scale_rate(self, rate: Any) -> float | None:
        checked: float = validation.check_number("input_scale_rate", rate, at_least=0)
        if self._scales_inputs:
            return checked
        if checked != 1:
            raise ValueError("input_scale_rate is for a network with input_scale=True")
        return None

    def _check_optimizer(self, optimizer: Any) -> Optimizer | LBFGS:
        if isinstance(optimizer, str) and optimizer == "auto":
            return default_optimizer(self.activations[-1])
        return resolve_optimizer(optimizer)

    def _check_monitors(
        self, settings: FitSettings, train: Samples, held_out: Samples | Pieces | None, judge: Judge | None
    ) -> FitSettings:
        """Refuse to monitor what will not be measured; settings know whether a schedule's figure should rise."""
        schedule = settings.schedule
        monitors = [c for c in settings.callbacks if isinstance(c, (EarlyStopping, OptunaPruning))]
        if not monitors and not isinstance(schedule, ReduceOnPlateau):
            return settings
        parts = {"train": train.classify} | ({"val": held_out.classify} if held_out else {})
        measured: dict[str, bool | None] = {
            name: larger
            for name, larger in FIGURES.items()
            if (part := name.partition("_")[0]) in parts and (parts[part] or name.endswith("cost"))
        }
        measured |= judge.directions if judge else {}
        for callback in monitors:
            callback.check(measured)
        if isinstance(schedule, ReduceOnPlateau):
            return settings._replace(larger_is_better=check_direction(schedule.monitor, measured))
        return settings

    def _check_method(self, settings: FitSettings, n: int) -> None:
        """Refuse what does not go with the optimizer, and schedules that give impossible rates."""
        method, schedule = settings.optimizer, settings.schedule
        if method.full_batch and settings.batch_sizes != ((n, n),):
            raise ValueError(
                f"optimizer {method.name!r} needs all samples in one batch: pass batch_size={n}, "
                f"got batches of {settings.batch_sizes[0][0]}"
            )
        if isinstance(method, LBFGS):
            unknown = {
                "l1": any(layer.penalty.l1 for layer in settings.layers),
                "weights_rate or biases_rate": any(
                    (layer.weights_rate, layer.biases_rate) != (1, 1) for layer in settings.layers
                ),
                "input_scale_rate": settings.scale_rate not in (None, 1),
                "schedule": schedule is not None,
                "clip_value": settings.clip_value < float("inf"),
                "clip_norm": settings.clip_norm < float("inf"),
                "dropout": any(layer.dropout for layer in settings.layers),
                "max_norm": any(layer.max_norm < float("inf") for layer in settings.layers),
                "weight_average": settings.average_decay is not None,
            }
            for name, given in unknown.items():
                if given:
                    raise ValueError(f"{name} does not go with optimizer 'lbfgs'")
            require_scipy()
        elif schedule is not None:
            if "rate" not in expressions.variables(method.rule.expressions):
                raise ValueError(f"schedule does not go with optimizer {method.name!r}, which finds its own step sizes")
            total = settings.steps_per_epoch * max(settings.epochs, 1)
            at = np.unique(np.linspace(0, total - 1, min(total, _LOOKS_AT_SCHEDULE)).round())
            schedule.rate(method.learning_rate, at, settings.steps_per_epoch, total)

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
        train, held_out, settings, reader, judge, split, source = request
        self._reader = reader or self._reader
        if self._waits_for_data and settings.epochs:
            scale_layers(self._engine, self._activations, train)
            self._waits_for_data = False
        if any(layer.dropout for layer in settings.layers) and not settings.seed:
            settings = settings._replace(seed=int(self._generator.integers(1, 1 << 62)))
        plan = plan_first_layer(train.judged(self.sizes[0]), self.sizes, settings.outlook)
        train = train._replace(data=train.data._replace(blocks=plan.blocks, skips=plan.skips))
        self.history = history = History(first_layer=plan.reason, held_out=held_out.n if split and held_out else 0)
        by_rate = not isinstance(settings.optimizer, LBFGS)  # else there is no learning rate to advise on
        advised = settings.optimizer if by_rate else default_optimizer(self.activations[-1])
        self._settings = diagnostics.Settings.of(
            advised, settings.batch_sizes[0][0], settings.layers[0].penalty.l2, settings.callbacks
        )
        company, budget = settings.company, self._budget
        if company is not None and not company.looks:
            budget = budget or diagnostics.Budget()
        if not by_rate:
            budget = diagnostics.Budget(float("-inf"))
        watch = diagnostics.Watch(
            self._model, train.data, train.n, self._settings, budget, history, train.rows, company is None
        )
        self._training = Training(self._engine, train, held_out, settings, history, watch, judge, source)
        try:
            self._training.run(self, hold)
        finally:
            self._training = None
            self._budget = watch.budget if watch.has_looked else self._budget
            self.history = history  # whatever a callback has put there
        return history

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, while ``fit`` runs; outside of it that of the last fit's optimizer.

        Callbacks may set it, > 0. A schedule goes on from there: all later rates change in the same proportion.

        Raises
        ------
        RuntimeError
            If it is set while no ``fit`` runs.
        ValueError, TypeError
            If it is set to what is no learning rate, or while a schedule has brought it to 0.

        Examples
        --------
        >>> import fastnn
        >>> X, y, Xt, yt = fastnn.datasets.load_digits()
        >>> def halve(network, history):
        ...     network.learning_rate /= 2
        >>> net = fastnn.Network([64, 16, 10])
        >>> net.fit(X, y, epochs=3, optimizer=fastnn.SGD(0.4), callbacks=[halve]).learning_rate
        [0.4, 0.2, 0.1]
        """
        if self._training is not None:
            return self._training.learning_rate
        rate: float = self._settings.optimizer.learning_rate
        return rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if self._training is None:
            raise RuntimeError("learning_rate can be set while fit runs, by a callback; else pass it to the optimizer")
        if self._training.learning_rate == 0:
            raise ValueError("learning_rate cannot be set where the schedule has brought it to 0")
        self._training.learning_rate = validation.check_number("learning_rate", rate, above=0)

    def averaged(self) -> Network:
        """A copy whose weights and biases are the moving average that ``fit(weight_average=...)`` keeps.

        To validate with it after every epoch, let a callback do so:
        ``lambda network, history: print(network.averaged().evaluate(Xv, yv))``.

        Raises
        ------
        ValueError
            If the last ``fit`` kept none.

        Examples
        --------
        >>> import fastnn
        >>> X, y, Xt, yt = fastnn.datasets.load_digits()
        >>> net = fastnn.Network([64, 16, 10])
        >>> history = net.fit(X, y, epochs=3, weight_average=0.99)
        >>> net.averaged().evaluate(Xt, yt)["accuracy"] > 0.8
        True
        """
        network = self.copy()
        memory = network._engine.memory
        if not keeps_average(memory.kernel) or not memory.steps:
            raise ValueError("there is no average of the weights: the last fit must have weight_average, such as 0.999")
        network._engine.params[:] = network._engine.state_buffers()[-1]
        network._engine.fold_scale()
        return network

    @property
    def _model(self) -> diagnostics.Model:
        wording, scaled = diagnostics.WORDINGS[self._wording], self._reader.wishes.scale is not None
        return diagnostics.Model(self._engine, self._activations, self._cost, wording, scaled)

    def _samples(
        self, X: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, reader: Reader | None = None
    ) -> Samples:
        if isinstance(X, Samples):  # checked already: several networks share them
            return X
        return packed((reader or self._reader).read(X, y, sample_weight, class_weight), self.dtype)

    def _given(self, X: Any, y: Any, sample_weight: Any, reader: Reader) -> Samples | Blocks:
        """Data to go through from the first sample to the last."""
        if goes_by_blocks(X, reader):
            return Blocks(Rows(reader, X, self._engine.samples_per_call), y, sample_weight)
        return self._samples(X, y, sample_weight, reader=reader)

    # --- use ---

    def _engine_for(self, n: int) -> Engine:
        """What answers for n samples.

        Where that takes several kernel calls and a ``fit`` runs, another thread would step in between: then a twin.
        """
        engine = self._engine
        return engine if self._training is None or n <= engine.samples_per_call else engine.twin()

    def forward(self, X: ArrayLike) -> Array:
        """Output activations.

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``fit``. An array in a file that would take more than 64 MB converted is taken block by
            block, here and wherever else samples go in, with the same results as in memory.

        Returns
        -------
        array (n, n_out)
            In the network's dtype; with a ``target_scale`` in float64 and the units of y.

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
        numbers = reader.plain(X)
        if numbers is None:
            if goes_by_blocks(X, reader):
                return self._forward_rows(Rows(reader, X, self._engine.samples_per_call))
            features = reader.features("X", X, finite=False)
            if features.scale is None and not features.starts.size:
                numbers = features.values
        # The kernel finds out what is not finite as it goes, at no cost; nothing but ``out`` is touched by then.
        if numbers is not None:
            n = len(numbers)
            out = np.empty((n, self._sizes[-1]), self._dtype)
            finite = self._engine_for(n).forward_numbers(numbers, out)
        else:
            engine = self._engine_for(features.n)
            out, finite = forward(engine, pack_data(features, None, None, self._dtype), features.n)
        if not finite:
            reader.features("X", X)  # says where; or sums have overflowed, and all may be well
            if not np.isfinite(out).all():
                raise ValueError(_overflowed(out))
        return _in_units_of_y(reader, out)

    def _forward_rows(self, rows: Rows) -> Array:
        """The same, block by block."""
        out, done, engine = np.empty((rows.n, self.sizes[-1]), self.dtype), 0, self._engine_for(rows.n)
        for features in rows:
            own = out[done : done + features.n]
            forward(engine, pack_data(features, None, None, self.dtype), features.n, out=own)
            done += features.n
        if not np.isfinite(out).all():
            raise ValueError(_overflowed(out))
        return _in_units_of_y(rows.reader, out)

    def predict(self, X: ArrayLike) -> Array:
        """Answers in the words and the shape of the y of the first fit: labels, zeros and ones, or quantities.

        Of classes the one with the largest output; a single output, and each of several labels at once, is cut where
        its probability is one half. Before any training a network answers with classes if its cost is one over classes,
        such as "cross_entropy".

        Parameters
        ----------
        X : array-like (n, n_in)
            Samples, as for ``fit``.

        Returns
        -------
        array (n,), (n, 1) or (n, n_out)
            Labels (n,), also if y came as one-hot rows; zeros and ones (n, n_out); or quantities in the dtype
            of ``forward``. With a single output (n, 1) if y came so.

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
        their sum, so that every row sums to one; margins (cost "hinge") likewise, by ``(1 + a) / 2``. Of several labels
        at once every column is a probability of its own.

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
            "cost" (without l1 and l2; of a ``target_scale`` that of the scaled numbers), and "accuracy" in [0, 1] where
            the task is classes.

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
        given = self._given(X, y, sample_weight, self._reader)
        seen = evaluate(self._engine_for(given.n), given)
        if not np.isfinite(seen.cost):
            self.forward(X)  # names the rows, if it is their outputs
            raise ValueError(infinite_cost("of finite data", seen.cost, too_large(given, self.dtype)))
        result = {"cost": float(seen.cost / given.n)}
        if given.classify:
            result["accuracy"] = float(seen.hits / given.n)
        return result

    def gradients(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Gradients:
        """Gradient of the mean cost over all the samples, without l1 and l2; where scaled, that of the scaled numbers.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        Gradients
            A pair ``dW, db`` of lists: for every layer dC/dW (n_out, n_in) and dC/db (n_out,), also called ``weights``
            and ``biases``. Its attribute ``input_scale`` is the gradient (n_in,) by a learned scale of the inputs, or
            None. All in the network's dtype.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or holds numbers so large that sums overflow.

        Examples
        --------
        >>> import fastnn
        >>> net = fastnn.Network([1, 1], output="identity", cost="quadratic", initializer=([[[2.0]]], [[0.0]]))
        >>> dW, db = net.gradients([[3.0]], [5.0])
        >>> dW, db
        ([array([[3.]], dtype=float32)], [array([1.], dtype=float32)])
        >>> start = [[[2.0]]], [[0.0]]
        >>> net = fastnn.Network([1, 1], output="identity", cost="quadratic", initializer=start, input_scale=True)
        >>> net.gradients([[3.0]], [5.0]).input_scale
        array([6.], dtype=float32)
        """
        given = self._given(X, y, sample_weight, self._reader)
        engine = self._engine_for(given.n)
        buffer = gradient_of(engine, given)
        found = Gradients(*engine.read_all(buffer), engine.read_scale(buffer))
        scale = () if found.input_scale is None else (found.input_scale,)
        if not all(np.isfinite(array).all() for array in (*found.weights, *found.biases, *scale)):
            self.forward(X)  # names the rows, if it is their outputs
            cause = too_large(given, self.dtype) or "scale X and y"
            raise ValueError(f"the gradient of finite data is not finite: sums overflow; {cause}")
        return found

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
        inputs far from unit scale None {'scale': '1000'}
        saturated units 1 {'scale': '1000'}
        """
        given = self._given(X, y, sample_weight, self._reader.settled(X, y, sample_weight))
        sample = self._drawn(given)
        return diagnostics.diagnose(self._model, sample, self._settings, self.history)

    def _drawn(self, given: Samples | Blocks) -> diagnostics.Sample:
        """Samples to look at."""
        data = answers_in(given, self.dtype)
        if isinstance(given, Samples):
            return diagnostics.draw(self._model, data, given.n)
        given.check()
        blocks = given

        def read(rows: Array) -> Array:
            taken = packed(blocks.take_rows(rows), self.dtype)
            return dense_rows(taken.data, natural_order(taken.n), self.sizes[0], self.dtype)

        return diagnostics.draw(self._model, data, given.n, read=read)

    # --- keeping ---

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything needed to go on training bit for bit: an ``.npz`` file, moved into place when complete.

        Parameters
        ----------
        path : path-like
            The file; used as it is, nothing is appended. In its folder temporary files are removed that processes left
            behind which were killed while they saved. ``history``, and attributes of your own, are not in the file:
            copies and pickles carry them.

        Raises
        ------
        OSError
            If the file cannot be written; an earlier file of that name is then left as it was. If it is one that
            cannot be replaced, such as a file that is mounted by itself in a container, the message names the file
            beside it that holds the network.
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
        """All that is saved, of one moment, also while a ``fit`` runs in another thread."""
        engine, bits = self._engine, self._generator.bit_generator
        arrays: dict[str, Array] = {}
        with engine.at_rest(), bits.lock:  # which is held while numbers are drawn
            buffers = [("", None), *((f"state{i}_", buffer) for i, buffer in enumerate(engine.state_buffers()))]
            for prefix, buffer in buffers:
                for index, layer in enumerate(zip(*engine.read_all(buffer), strict=True)):
                    arrays[f"{prefix}weights{index}"], arrays[f"{prefix}biases{index}"] = layer
                if (scale := engine.read_scale(buffer)) is not None:
                    arrays[f"{prefix}input_scale"] = scale
            header = {
                "sizes": list(self.sizes),
                "activations": [activation.to_data() for activation in self._activations],
                "cost": self._cost.to_data(),
                "dtype": self.dtype.name,
                "data": self._reader.to_header(),
                "reading": self._reading,
                "optimizer": engine.memory.kernel,
                "states": engine.memory.states,
                "steps": engine.memory.steps,
                "entropy": self._entropy,
                "waits_for_data": self._waits_for_data,
                "generator": bits.state,
                "settings": self._settings.to_header(),
            }
            return persistence.Record(header, arrays | self._reader.to_arrays())

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
            cost, scaled = costs.from_data(header["cost"]), "input_scale" in arrays
            Network.__init__(self, sizes, hidden, output, cost, start, header["dtype"], input_scale=scaled)
            if scaled:
                self.input_scale = take("input_scale", sizes[0])
            self._reader = Reader.from_record(sizes[0], self._outputs, header["data"], arrays)
            self._reading = header.get("reading", {})
            if not isinstance(self._reading, dict):
                raise ValueError("its header lacks 'reading'")
            self._generator.bit_generator.state = header["generator"]
            self._entropy = validation.check_whole("entropy", header.get("entropy", 0), at_least=0)
            self._waits_for_data = validation.check_flag("waits_for_data", header.get("waits_for_data", False))
            engine = self._engine
            self._settings = diagnostics.Settings.from_header(header["settings"])
            self._budget = diagnostics.Budget() if header["steps"] else None
            steps = validation.check_whole("steps", header["steps"], at_least=0)
            states = validation.check_whole(
                "states", header.get("states", _OLD_STATES.get(header["optimizer"], 0)), at_least=0
            )
            kept = optimizers.RULES.get(header["optimizer"])
            if kept is not None and len(kept.states) != states and "states" in header:
                raise ValueError(
                    f"{kept.name} keeps {len(kept.states)} numbers for every parameter, the file says {states}"
                )
            if states > len(arrays):  # each has several: so much memory would be asked for in vain
                raise ValueError(f"its {states} states are more than it has arrays for")
            if steps >= _MOST_STEPS:
                raise ValueError(f"its steps must be < {_MOST_STEPS}, got {steps}")
            engine.memory = engine.fresh_memory(header["optimizer"], (0.0,) * states)._replace(steps=steps)
            for number, buffer in enumerate(engine.state_buffers()):
                for i, layer in enumerate(zip(*take_layers(f"state{number}_"), strict=True)):
                    engine.write(i, *layer, buffer)
                if scaled:
                    engine.write_scale(take(f"state{number}_input_scale", sizes[0]), buffer)
        except KeyError as error:
            raise ValueError(f"it lacks {error}") from error
        if arrays:
            raise ValueError(f"it holds arrays that do not belong there: {sorted(arrays)}")

    def __getstate__(self) -> persistence.State:
        """For copies and pickles: what ``save`` writes, the history, and all attributes that others added."""
        slots = {name: getattr(self, name) for name in persistence.slot_names(type(self)) if hasattr(self, name)}
        added = {name: value for name, value in vars(self).items() if name not in _REBUILT}
        with self._engine.alone:
            if self._training is not None:  # which goes on writing into it
                added["history"] = copy.deepcopy(self.history)
            return persistence.State(self._to_record(), slots | added)

    def __setstate__(self, state: persistence.State | persistence.Record) -> None:
        record, attributes = (state, {}) if isinstance(state, persistence.Record) else state  # the former before 0.2
        self._from_record(record)
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def copy(self) -> Network:
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
        scaled = "" if self.target_scale is None else f", target_scale={self.target_scale!r}"
        return (
            f"Network({list(self.sizes)}, activation={hidden}, output={output!r}, cost={self.cost!r}, "
            f"dtype={self.dtype.name!r}{scaled}): {self.n_parameters:,} parameters"
        )


_DATA = ("self", "X", "y", "stream")
FIT_DEFAULTS = {
    name: part.default for name, part in inspect.signature(Network.fit).parameters.items() if name not in _DATA
}
"""Of the arguments of ``fit`` but the samples."""


def complete_arguments(**given: Any) -> FitArguments:
    """What ``fit`` is given in a call with these arguments."""
    return FitArguments(**{**FIT_DEFAULTS, **given})


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
