"""TensorFlow: a whole epoch in one ``tf.function``."""

from typing import Any

from peers import maths
from peers.base import Peer, flat, paired
from peers.cases import Array, Data, Layers, Task


class TensorFlowGraph(Peer):
    """A graph with the loop over batches in it; asked for by name only, being a large package."""

    packages = ("tensorflow",)
    modules = ("tensorflow",)

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        import tensorflow as tf

        if not hasattr(self, "_tf"):  # refused once TensorFlow has started
            tf.config.threading.set_intra_op_parallelism_threads(task.threads)
            tf.config.threading.set_inter_op_parallelism_threads(task.threads)
        self._tf = tf
        self._X, self._T = tf.constant(data.X), tf.constant(data.T)
        parameters = [tf.constant(array) for array in flat(layers)]
        self._state = parameters, maths.fresh_memory(task.optimizer, parameters), tf.constant(0, task.dtype)
        self._epoch = self._compile(task)

    def _compile(self, task: Task) -> Any:
        tf, optimizer, batch = self._tf, task.optimizer, task.batch
        functions = {
            **{name: getattr(tf.nn, name) for name in ("sigmoid", "tanh", "relu", "softmax", "log_softmax")},
            "log_sigmoid": tf.math.log_sigmoid,
        }

        def step(state: Any, rows: Any) -> Any:
            parameters, memory, count = state
            a, t = tf.gather(self._X, rows), tf.gather(self._T, rows)
            for W, b in paired(parameters):
                z = tf.matmul(a, W, transpose_b=True) + b
                a = maths.activate(functions, task.formulas.activation, z)
            cost = tf.reduce_sum(maths.costs(task.formulas, functions, z, t)) / rows.shape[0]
            found = tf.gradients(cost, parameters)
            return (*maths.step(optimizer, parameters, found, memory, count + 1), count + 1)

        @tf.function(reduce_retracing=False)
        def epoch(state: Any, order: Any) -> Any:
            whole = order.shape[0] // batch * batch
            batches = tf.reshape(order[:whole], (-1, batch))
            _, state = tf.while_loop(
                lambda i, state: i < whole // batch,
                lambda i, state: (i + 1, step(state, batches[i])),
                (tf.constant(0), state),
            )
            return step(state, order[whole:]) if whole < order.shape[0] else state

        return epoch

    def epoch(self, order: Array | None) -> None:
        """See Peer."""
        self._state = self._epoch(self._state, self._tf.constant(order))

    def weights(self) -> Layers:
        """See Peer."""
        return paired([w.numpy() for w in self._state[0]])
