"""JAX: a whole epoch in one compiled ``lax.scan``."""

from functools import partial
from typing import Any

import numpy as np

from peers import maths
from peers.base import Peer, flat, paired
from peers.cases import Array, Data, Layers, Task


class JaxScan(Peer):
    """Gradients written by hand, batches gathered inside the scan, the buffers of the weights donated."""

    packages = ("jax", "jaxlib")
    modules = ("jax",)

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        import jax

        jax.config.update("jax_enable_x64", task.dtype == "float64")
        self._jax, self._formulas = jax, task.formulas
        self._functions = {
            **{name: getattr(jax.nn, name) for name in ("sigmoid", "relu", "softmax", "log_sigmoid", "log_softmax")},
            "tanh": jax.numpy.tanh,
        }
        self._X, self._T = jax.numpy.asarray(data.X), jax.numpy.asarray(data.T)
        # XLA is fastest with (n_out, n_in) in memory, but for single samples with (n_in, n_out): 1.6 times.
        self._turned = task.batch == 1
        parameters = [jax.numpy.array(self._turn(array)) for array in flat(layers)]
        count = jax.numpy.zeros((), task.dtype)
        self._state = parameters, maths.fresh_memory(task.optimizer, parameters), count
        self._epoch = self._compile(task.optimizer, task.batch)

    def _turn(self, array: Any) -> Any:
        return array.T if self._turned else array

    def _gradients(self, parameters: Any, x: Any, t: Any) -> Any:
        return maths.gradients(self._formulas, self._functions, parameters, x, t)

    def _compile(self, optimizer: str, batch: int) -> Any:
        jax = self._jax

        def step(state: Any, x: Any, t: Any) -> Any:
            parameters, memory, count = state
            upright = [self._turn(w) for w in parameters]
            found = self._gradients(upright, x, t)
            parameters, memory = maths.step(optimizer, parameters, [self._turn(g) for g in found], memory, count + 1)
            return parameters, memory, count + 1

        @partial(jax.jit, donate_argnums=0)
        def epoch(state: Any, X: Any, T: Any, order: Any) -> Any:
            whole = len(order) // batch * batch
            rows = order[:whole].reshape(-1, batch)
            state, _ = jax.lax.scan(lambda state, i: (step(state, X[i], T[i]), None), state, rows)
            rest = order[whole:]
            return step(state, X[rest], T[rest]) if len(rest) else state

        return epoch

    def epoch(self, order: Array | None) -> None:
        """See Peer."""
        state = self._epoch(self._state, self._X, self._T, order)
        self._state = self._jax.block_until_ready(state)

    def weights(self) -> Layers:
        """See Peer."""
        return paired([np.asarray(self._turn(w)) for w in self._state[0]])


class JaxGrad(JaxScan):
    """The same with the gradients that ``jax.grad`` finds, as users of JAX write it."""

    def _gradients(self, parameters: Any, x: Any, t: Any) -> Any:
        formulas, functions = self._formulas, self._functions

        def cost(parameters: Any) -> Any:
            z = maths.forward(formulas, functions, parameters, x)[-1]
            return maths.costs(formulas, functions, z, t).sum(1).mean()

        return self._jax.grad(cost)(parameters)
