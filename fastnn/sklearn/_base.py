"""What the classifier and the regressor share: from parameters and data to a training, and back to attributes."""

from __future__ import annotations  # so that help() shows types by their short names

import copy
import warnings
from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastnn import validation
from fastnn.formulas.activations import Activation
from fastnn.formulas.optimizers import Optimizer
from fastnn.formulas.schedules import Schedule
from fastnn.network import Network
from fastnn.notices import unless_closed
from fastnn.orders import NaturalOrder
from fastnn.regularisation import Wishes, layer_steps
from fastnn.sklearn import _lbfgs
from fastnn.sklearn._engine import Dataset, Plan, WeighedOrders, forget_steps, full_batch, train
from fastnn.sklearn._epochs import Curve, EpochEnd, SameShuffle
from fastnn.sklearn._mirror import Mirror, Shape
from fastnn.sklearn._names import SOLVERS, Loss, draws_narrowly, engine_output, hidden_activations, known_activations
from fastnn.sklearn._steps import AdamSteps, EngineSteps, SGDSteps, Steps
from fastnn.training import DivergenceError

Array = NDArray[Any]

_AUTO_BATCH = 200
_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def _warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and go on where nobody is there to be warned."""
    with unless_closed():
        warnings.warn(text, category, stacklevel=3)


class Checked(NamedTuple):
    """Data as they came through the checks."""

    data: Dataset  # y as the engine takes it
    emphasis: Array | None  # what training multiplies the weights of samples by


class BaseMLP(BaseEstimator):
    """Base of the two estimators; not for use by itself."""

    # Of the constructor; and of fit.
    activation: Any
    alpha: Any
    batch_size: Any
    early_stopping: Any
    hidden_layer_sizes: Any
    learning_rate: Any
    max_iter: Any
    random_state: Any
    solver: Any
    _parameter_names: list[str]
    coefs_: list[Array]
    intercepts_: list[Array]
    loss_curve_: list[float]
    validation_loss_curve_: list[float]
    validation_scores_: Any

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012  (scikit-learn's name for a constant)
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [known_activations(), Activation, list, tuple],
        "solver": [StrOptions(set(SOLVERS)), Optimizer],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dtype": [None, StrOptions({"float32", "float64"})],
        "scoring": [None, str, callable],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "callbacks": [list, tuple],
        "max_time": [None, Interval(Real, 0, None, closed="neither")],
        "threads": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    }

    def _keep(self, arguments: dict[str, Any]) -> None:
        """The constructor's arguments as attributes, as they are."""
        self.__dict__.update({name: value for name, value in arguments.items() if name not in ("self", "__class__")})

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """As scikit-learn finds them in the constructor's signature; that takes its time, and every fit asks twice."""
        if "_parameter_names" not in vars(cls):
            cls._parameter_names = super()._get_param_names()
        return list(cls._parameter_names)

    def __sklearn_tags__(self) -> Any:
        """Sparse matrices are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # --- what differs between the two ---

    @abstractmethod
    def _check_targets(self, y: Array, incremental: bool) -> tuple[Array, Array | None]:
        """Targets as the engine takes them, and what training multiplies the weights of samples by."""

    @abstractmethod
    def _encode(self, y: Array) -> Array:
        """Targets of later data likewise: (n, n_out), or labels (n,)."""

    @abstractmethod
    def _decode(self, outputs: Array) -> Array:
        """From outputs (n, n_out), or targets as the engine takes them, to predictions."""

    @abstractmethod
    def _count_outputs(self, y: Array) -> int:
        """How many outputs there are for such targets."""

    @property
    @abstractmethod
    def _loss_row(self) -> Loss:
        """The loss as the engine has it."""

    @property
    @abstractmethod
    def _task(self) -> str:
        """The engine's word for what is learned."""

    @property
    @abstractmethod
    def _metric(self) -> Callable[..., float]:
        """The score ``(y_true, y_pred, sample_weight=...)`` of early stopping."""

    # --- the network ---

    @property
    def network_(self) -> Network:
        """The engine's network with the parameters of ``coefs_`` and ``intercepts_``."""
        if not hasattr(self, "coefs_"):
            raise AttributeError(f"this {type(self).__name__} has no network_ before it is fitted")
        return self._network()

    def _network(self) -> Network:
        if not hasattr(self, "_mirror"):
            self._mirror = Mirror()
        return self._mirror.network(self._shape(), self.coefs_, self.intercepts_)

    def _shape(self) -> Shape:
        activation = tuple(self.activation) if isinstance(self.activation, list) else self.activation
        return _engine_shape(
            self._sizes(), activation, self.out_activation_, self._loss_row.cost, self.coefs_[0].dtype, self._task
        )

    def _sizes(self) -> tuple[int, ...]:
        return (self.coefs_[0].shape[0], *(W.shape[1] for W in self.coefs_))

    def _run(self, network: Network, X: Any) -> Array:
        """The network's outputs (n, n_out) for samples that have been checked."""
        return network.forward(X)

    def _outputs(self, X: Any) -> Array:
        """The same for anything that scikit-learn takes as samples."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self, "coefs_")  # which raises; it takes its time, and one sample but microseconds
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        outputs = self._run(self._network(), X)
        return outputs if X.dtype == outputs.dtype else outputs.astype(np.result_type(X.dtype, outputs.dtype))

    # --- from data to a training ---

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> Any:
        hidden = self._hidden_sizes()
        self._check_extras(len(hidden))
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        checked = self._check_data(X, y, sample_weight, incremental, first)
        data = checked.data
        held_out = None if validation_data is None else self._check_validation(validation_data)
        self.n_outputs_ = self._count_outputs(data.y)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._initialize((data.X.shape[1], *hidden, self.n_outputs_), data.X.dtype)
        if self.solver == "lbfgs":
            self._fit_lbfgs(checked)
        else:
            self._fit_stochastic(checked, held_out, incremental)
        if not all(np.isfinite(layer).all() for layer in (*self.coefs_, *self.intercepts_)):
            raise ValueError(_NOT_FINITE)
        return self

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return sizes

    def _check_extras(self, hidden_layers: int) -> None:
        """Refuse what is wrong with parameters that scikit-learn does not have, before anything changes."""
        hidden_activations(self.activation, hidden_layers)
        validation.check_callbacks(self.callbacks)
        layer_steps(Wishes(dropout=self.dropout), hidden_layers + 1)
        if self.solver == "lbfgs" and np.any(self.dropout):
            raise ValueError(
                f"dropout needs a solver that steps batch by batch, got dropout={self.dropout} and 'lbfgs'"
            )

    def _check_data(self, X: Any, y: Any, sample_weight: Any, incremental: bool, first: bool) -> Checked:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=not hasattr(self, "predict_proba"),
            dtype=self.dtype or (np.float64, np.float32),
            reset=first,
        )
        y, emphasis = self._check_targets(y, incremental)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        return Checked(Dataset(X, y, sample_weight), emphasis)

    def _check_validation(self, validation_data: Any) -> Dataset:
        X, y = validation.check_two("validation_data", validation_data, "(X, y)")
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=self.dtype or (np.float64, np.float32), reset=False
        )
        y = self._encode(np.asarray(y))
        if len(y) != X.shape[0]:
            raise ValueError(
                f"validation_data must have as many targets as samples: expected {X.shape[0]}, got {len(y)}"
            )
        return Dataset(X, y, None)

    def _initialize(self, sizes: tuple[int, ...], dtype: Any) -> None:
        """Draw initial parameters, and begin the account of the training."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(sizes)
        self.out_activation_ = self._loss_row.output
        self.coefs_, self.intercepts_ = [], []
        narrow = draws_narrowly(self.activation, len(sizes) - 2)
        for (n_in, n_out), narrowly in zip(pairwise(sizes), narrow, strict=True):
            limit = np.sqrt((2.0 if narrowly else 6.0) / (n_in + n_out))
            for layers, shape in ((self.coefs_, (n_in, n_out)), (self.intercepts_, n_out)):
                layers.append(self._random_state.uniform(-limit, limit, shape).astype(dtype, copy=False))
        if self.solver != "lbfgs":
            self.loss_curve_ = []
            self._begin_account()

    def _begin_account(self) -> None:
        """Of what decides when to stop, the loss or a validation score; the best so far is where it begins."""
        self._best_coefs, self._best_intercepts = copy.deepcopy((self.coefs_, self.intercepts_))
        self._no_improvement_count = 0
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.best_loss_ = None if self.early_stopping else np.inf

    # --- L-BFGS ---

    def _fit_lbfgs(self, checked: Checked) -> None:
        # In float64 whatever the data are, as SciPy works in it.
        self.coefs_ = [W.astype(np.float64) for W in self.coefs_]
        self.intercepts_ = [b.astype(np.float64) for b in self.intercepts_]
        data = _emphasised(checked.data, checked.emphasis)
        left_out = self._left_out(data)
        constant = 0.0 if left_out is None else float(np.average(left_out, weights=data.sample_weight))
        mean = full_batch(self._network(), data, self.alpha)
        objective = _lbfgs.Objective(mean, data.n / data.weight, self._cost_share, constant)
        limits = _lbfgs.Limits(self.max_iter, self.max_fun, self.tol)
        found = _lbfgs.minimize(objective, limits)
        self._mirror = Mirror()
        self.coefs_, self.intercepts_, self.loss_, self.n_iter_ = found

    # --- epochs ---

    def _fit_stochastic(self, checked: Checked, held_out: Dataset | None, incremental: bool) -> None:
        if not hasattr(self, "loss_curve_"):
            self.loss_curve_ = []
        if not hasattr(self, "best_loss_") or (self.best_loss_ is None) != bool(self.early_stopping):
            self._begin_account()  # an earlier fit went by the other one, or by neither
        network = self._network()
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._make_steps()
            forget_steps(network, self._optimizer)
        if self.early_stopping and incremental and held_out is None:
            raise ValueError("partial_fit does not support early_stopping=True")
        scored = held_out if self.early_stopping else None
        if self.early_stopping and held_out is None:
            checked, scored = self._split(checked)
        data = _emphasised(checked.data, checked.emphasis)
        batch_size = self._batch_size(data.n)
        shuffle = SameShuffle(self._random_state, data.n) if self.shuffle else NaturalOrder()
        order = WeighedOrders(shuffle, data.n, batch_size, data.sample_weight)
        score = None if scored is None else self._scorer(scored)
        end = EpochEnd(self, self._optimizer, self._curve(order, data, held_out), score)
        plan = Plan(
            epochs=1 if incremental else self.max_iter,
            batch_size=batch_size,
            alpha=self.alpha,
            steps=self._optimizer,
            order=order,
            max_time=self.max_time,
            account=end,
            callbacks=self.callbacks,
            threads=self.threads,
            schedule=self.learning_rate if isinstance(self.learning_rate, Schedule) else None,
            dropout=self.dropout,
            seed=self._random_state.randint(1, 2**31) if np.any(self.dropout) else 0,
        )
        self.n_iter_ = 0
        if held_out is not None and not (incremental and hasattr(self, "validation_loss_curve_")):
            self.validation_loss_curve_ = []
        self._train(network, data, held_out, plan)
        self.stopped_ = end.stopped
        if not (end.stopped or incremental) and self.n_iter_ == self.max_iter:
            _warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
            )
        if self.early_stopping and (end.stopped or not incremental):
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts

    def _train(self, network: Network, data: Dataset, held_out: Dataset | None, plan: Plan) -> None:
        """Train, and take over the parameters however it ends."""
        try:
            train(network, data, held_out, plan)
        except DivergenceError as error:
            if not self.early_stopping:
                raise ValueError(_NOT_FINITE) from error
            self.n_iter_ += 1
            self.loss_ = np.nan
            self.loss_curve_.append(np.nan)
            self.validation_scores_.append(np.nan)
            _warn(
                f"training diverged, and the weights with the best validation score are kept: {error}",
                ConvergenceWarning,
            )
        except KeyboardInterrupt:
            _warn("Training interrupted by user.")
        finally:
            self.coefs_, self.intercepts_ = self._mirror.read_after_training()

    def _make_steps(self) -> Steps:
        rate, course = self.learning_rate_init, self.learning_rate
        if self.solver == "sgd":
            return SGDSteps(rate, str(course), self.momentum, self.nesterovs_momentum, self.power_t)
        if self.solver == "adam":
            return AdamSteps(rate, self.beta_1, self.beta_2, self.epsilon)
        return EngineSteps(self.solver)

    @property
    def _cost_share(self) -> float:
        return 1 / self.n_outputs_ if self._loss_row.mean_of_outputs else 1.0

    def _curve(self, order: WeighedOrders, data: Dataset, held_out: Dataset | None) -> Curve:
        left_out = None if held_out is None else self._left_out(held_out)
        constant = 0.0 if left_out is None else float(left_out.mean())
        return Curve(self.alpha, self._cost_share, order, self._left_out(data), constant)

    def _left_out(self, data: Dataset) -> Array | None:
        """The terms (n,) of the loss that depend on the targets alone, as far as the cost leaves them out."""
        if not self._loss_row.of_counts:
            return None
        terms: Array = (xlogy(data.y, data.y) - data.y).sum(axis=1)
        return terms

    def _batch_size(self, n: int) -> int:
        size: int = _AUTO_BATCH if self.batch_size == "auto" else self.batch_size
        if self.batch_size != "auto" and size > n:
            _warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        return min(size, n)

    def _split(self, checked: Checked) -> tuple[Checked, Dataset]:
        """Set samples aside, the same ones that scikit-learn would."""
        data, emphasis = checked
        stratify = data.y if hasattr(self, "predict_proba") and self.n_outputs_ == 1 else None
        kept, aside = train_test_split(
            np.arange(data.X.shape[0]),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if len(aside) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return Checked(_take(data, kept), None if emphasis is None else emphasis[kept]), _take(data, aside)

    def _scorer(self, held_out: Dataset) -> Callable[[Network], float]:
        """The validation score of the network as it stands."""
        y = self._decode(held_out.y)
        if self.scoring is None:
            return partial(self._score_by_metric, held_out.X, y, held_out.sample_weight)
        return partial(self._score_by_scorer, get_scorer(self.scoring), held_out.X, y)

    def _score_by_metric(self, X: Any, y: Array, sample_weight: Array | None, network: Network) -> float:
        try:
            outputs = self._run(network, X)
        except ValueError:  # the samples have been checked: outputs that have overflowed, of a network that diverges
            return np.nan
        if not np.isfinite(outputs).all():
            return np.nan
        return float(self._metric(y, self._decode(outputs), sample_weight=sample_weight))

    def _score_by_scorer(self, scorer: Callable[..., float], X: Any, y: Array, network: Network) -> float:
        self.coefs_, self.intercepts_ = self._mirror.read_after_training()
        nameless = copy.copy(self)  # these samples have lost the names of their features, and nobody should be warned
        nameless.__dict__.pop("feature_names_in_", None)
        return float(scorer(nameless, X, y))


@lru_cache
def _engine_shape(sizes: tuple[int, ...], activation: Any, output: str, cost: str, dtype: Any, task: str) -> Shape:
    """From scikit-learn's words to the engine's."""
    activations = hidden_activations(activation, len(sizes) - 2)
    dtype = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float64)
    return Shape(sizes, activations, engine_output(output), cost, dtype, task)


def _emphasised(data: Dataset, emphasis: Array | None) -> Dataset:
    if emphasis is None:
        return data
    weight = emphasis if data.sample_weight is None else data.sample_weight * emphasis
    return data._replace(sample_weight=weight)


def _take(data: Dataset, rows: Array) -> Dataset:
    weight = None if data.sample_weight is None else data.sample_weight[rows]
    X = data.X.tocsr() if hasattr(data.X, "tocsr") else data.X
    return Dataset(X[rows], data.y[rows], weight)
