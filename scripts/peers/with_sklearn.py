"""scikit-learn's MLPClassifier."""

import numpy as np

from peers import maths
from peers.base import Peer
from peers.cases import Array, Data, Layers, Task


class SklearnMLP(Peer):
    """``partial_fit``, one call per epoch.

    On one-hot targets the classifier is a multi-label one: independent sigmoid outputs and the cost that all have here.
    Its Adam adds epsilon before the correction of the moments, the others after it; where gradients are tiny that is
    other mathematics, and the check leaves it out.
    """

    packages = ("scikit-learn",)
    modules = ("sklearn",)
    shuffles = True

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        from sklearn.neural_network import MLPClassifier

        self._X, self._T = data.X, data.T.astype(np.int64)
        self._network = MLPClassifier(
            hidden_layer_sizes=task.sizes[1:-1],
            activation="logistic",
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
        self._network.partial_fit(self._X, self._T, classes=np.arange(task.sizes[-1]))
        del self._network._optimizer
        for i, (W, b) in enumerate(layers):
            self._network.coefs_[i][:] = W.T
            self._network.intercepts_[i][:] = b

    def epoch(self, order: Array | None) -> None:
        """See Peer; an order is taken to be the natural one."""
        self._network.set_params(shuffle=order is None)
        self._network.partial_fit(self._X, self._T)

    def weights(self) -> Layers:
        """See Peer."""
        return [(W.T, b) for W, b in zip(self._network.coefs_, self._network.intercepts_, strict=True)]
