"""What happens between epochs: the loss curve, the validation score, and when to stop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.history import History
from fastnn.network import Network
from fastnn.orders import NumpyShuffle, Orders, natural_order
from fastnn.sklearn._engine import WeighedOrders
from fastnn.sklearn._steps import Steps

Array = NDArray[Any]


class SameShuffle(Orders):
    """The orders that scikit-learn's ``shuffle(order, random_state)`` gives, each from the one before.

    Parameters
    ----------
    random_state : RandomState
        Drawn from as that function draws.
    n : int
        Number of samples.
    """

    def __init__(self, random_state: np.random.RandomState, n: int) -> None:
        self._shuffle, self._order = NumpyShuffle(random_state), natural_order(n)

    def prepare(self) -> None:
        """Have compiled what it takes."""
        self._shuffle.prepare()

    def __call__(self, n: int, between: Callable[[], None] = lambda: None) -> Array:
        """Shuffle once more."""
        order: Array = self.several(n, 1)[0]
        return order

    def several(self, n: int, count: int) -> Array:
        """Shuffle so many times."""
        orders = np.empty((count, n), np.int64)
        orders[0] = self._order
        self._shuffle(orders)
        self._order = orders[-1]
        return orders


class Curve(NamedTuple):
    """How the loss follows from what the engine measures."""

    alpha: float
    cost_share: float  # of the engine's cost
    order: WeighedOrders
    constants: Array | None  # (n,) what the cost of a sample leaves out
    held_out_constant: float

    def loss(self, cost: float, squares: float) -> float:
        """Of an epoch with the engine's mean cost; ``squares`` is the sum of ``share ||W||^2`` over its steps."""
        penalty = 0.5 * self.alpha * squares / self.order.size
        constant = 0.0 if self.constants is None else self.order.mean(self.constants)
        return self.cost_share * cost + constant + penalty

    def validation_loss(self, history: History) -> float | None:
        """Of the latest epoch, without the penalty; None where nothing is held out."""
        return self.cost_share * history.val_cost[-1] + self.held_out_constant if history.val_cost else None


class EpochEnd:
    """Keeps an estimator's account.

    Parameters
    ----------
    estimator : BaseMLP
        Its attributes follow the course.
    steps : Steps
        Whose learning rate may change.
    curve : Curve
        From cost to loss.
    score : callable or None
        Gives the validation score of the network as it stands, where that decides when to stop.
    """

    def __init__(self, estimator: Any, steps: Steps, curve: Curve, score: Callable[[Network], float] | None):
        self._estimator, self._steps, self._curve, self._score = estimator, steps, curve, score
        self.stopped = False

    def quiet(self) -> float:
        """For how many epochs to come, at least 1, nobody has to look in between: nothing can happen before the last.

        Training ends, or goes on with a smaller learning rate, after more than ``n_iter_no_change`` epochs in vain.
        """
        if self._score is not None or not (self._steps.is_steady and self._curve.order.is_alike):
            return 1
        left: float = self._estimator.n_iter_no_change + 1 - self._estimator._no_improvement_count
        return max(1, left)

    def after_epochs(self, network: Network, history: History, squares: list[float]) -> bool:
        """Look at the latest epochs; True stops training."""
        for cost, each in zip(history.train_cost[-len(squares) :], squares, strict=True):
            self._after_epoch(network, history, self._curve.loss(cost, each))
        return self.stopped

    def _after_epoch(self, network: Network, history: History, loss: float) -> None:
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.t_ += self._curve.order.size
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        validation_loss = self._curve.validation_loss(history)
        if validation_loss is not None:
            estimator.validation_loss_curve_.append(validation_loss)
        self._say(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if self._score is None:
            self._count_by_loss()
        else:
            self._count_by_score(self._score(network))
        self._steps.end_epoch(estimator.t_)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self._stagnate()

    def _say(self, text: str) -> None:
        if self._estimator.verbose:
            print(text)

    def _count_by_loss(self) -> None:
        estimator = self._estimator
        improved = not estimator.loss_ > estimator.best_loss_ - estimator.tol
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
        estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)

    def _count_by_score(self, score: float) -> None:
        estimator = self._estimator
        estimator.validation_scores_.append(score)
        self._say(f"Validation score: {score:f}")
        improved = not score < estimator.best_validation_score_ + estimator.tol
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            estimator._best_coefs, estimator._best_intercepts = estimator._mirror.read()

    def _stagnate(self) -> None:
        estimator = self._estimator
        what = "Training loss" if self._score is None else "Validation score"
        self.stopped, then = self._steps.stagnate()
        self._say(
            f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change:.0f} consecutive "
            f"epochs. {then}"
        )
        if not self.stopped:
            estimator._no_improvement_count = 0
