"""scikit-learn's MLPClassifier and MLPRegressor."""

import numpy as np

from peers import maths
from peers.base import Peer
from peers.cases import Array, Case, Data, Formulas, Layers, Task


class SklearnMLP(Peer):
    """``partial_fit``, one call per epoch.

    On one-hot targets the classifier is a multi-label one: independent sigmoid outputs and the Bernoulli
    cross-entropy. On labels its outputs are a softmax, but of two classes a single sigmoid output, which is another
    network.
    """

    packages = ("scikit-learn",)
    modules = ("sklearn",)
    shuffles = True
    adds_epsilon_first = True

    @staticmethod
    def takes(case: Case) -> bool:
        """See Peer."""
        return case.formulas.output != "softmax" or case.sizes[-1] > 2

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        formulas, kind = task.formulas, MLPClassifier if task.predicts_classes else MLPRegressor
        self._X, self._y = data.X, _targets(data, formulas)
        self._network = kind(
            hidden_layer_sizes=task.sizes[1:-1],
            activation="logistic" if formulas.activation == "sigmoid" else formulas.activation,
            solver="adam" if task.optimizer == "adam" else "sgd",
            alpha=0.0,
            batch_size=min(task.batch, len(data.y)),
            learning_rate="constant",
            learning_rate_init=maths.LEARNING_RATES[task.optimizer],
            momentum=maths.MOMENTUM if task.optimizer == "momentum" else 0.0,
            nesterovs_momentum=False,
            beta_1=maths.BETA1,
            beta_2=maths.BETA2,
            epsilon=maths.EPSILON,
            random_state=np.random.RandomState(0),
        )
        # Weights exist after a first call only; the optimizer made in it must forget its step.
        classes = {"classes": np.arange(task.sizes[-1])} if task.predicts_classes else {}
        self._network.partial_fit(self._X, self._y, **classes)
        del self._network._optimizer
        for i, (W, b) in enumerate(layers):
            self._network.coefs_[i][:] = W.T
            self._network.intercepts_[i][:] = b

    def epoch(self, order: Array | None) -> None:
        """See Peer; an order is taken to be the natural one."""
        self._network.set_params(shuffle=order is None)
        self._network.partial_fit(self._X, self._y)

    def weights(self) -> Layers:
        """See Peer."""
        return [(W.T, b) for W, b in zip(self._network.coefs_, self._network.intercepts_, strict=True)]


def _targets(data: Data, formulas: Formulas) -> Array:
    """As the estimators want them: one-hot integers, labels, or quantities, a single one as (n,)."""
    if formulas.output == "sigmoid":
        return data.T.astype(np.int64)
    return data.y[:, 0] if data.y.ndim == 2 and data.y.shape[1] == 1 else data.y
