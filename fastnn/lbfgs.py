"""L-BFGS: SciPy's, on the engine's gradient over all samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import validation
from fastnn.engine import Engine
from fastnn.kernels.buffers import N_TOTALS, TOTAL_COST, TOTAL_HITS, Data

Array = NDArray[Any]


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS (Liu and Nocedal, 1989), SciPy's L-BFGS-B; needs the extra ``scipy``.

    It takes the gradient over all samples, so ``batch_size`` must be at least their number; an epoch is one of its
    iterations, with as many looks at the data as the line search needs. It has no learning rate, and begins anew in
    every ``fit``. It runs on one thread. float64 gets it further: in float32 the line search ends where rounding hides
    what is left to gain. For data that fit into a few batches it is often the fastest way to a precise minimum.

    Parameters
    ----------
    memory : int, default 10
        Pairs of steps and gradients that the curvature is learned from, >= 1.
    tolerance : float, default 1e-5
        Stop when no number in the gradient is larger, >= 0.
    improvement : float, default 1e-9
        Stop when an iteration lowers the cost by less than this share of it, >= 0.

    Raises
    ------
    ValueError, TypeError
        If a number is wrong.

    Examples
    --------
    >>> import fastnn
    >>> X, y, Xt, yt = fastnn.datasets.load_digits()
    >>> net = fastnn.Network([64, 10], output="softmax", cost="log_likelihood", dtype="float64")
    >>> history = net.fit(X, y, epochs=20, batch_size=len(X), optimizer=fastnn.LBFGS(), l2=1e-4)
    >>> history.train_cost[-1] < 0.1
    True
    """

    memory: int = 10
    tolerance: float = 1e-5
    improvement: float = 1e-9
    name: ClassVar[str] = "lbfgs"
    kernel: ClassVar[str] = "lbfgs"
    start: ClassVar[tuple[float, ...]] = ()
    full_batch: ClassVar[bool] = True
    learning_rate: ClassVar[float] = float("nan")

    def __post_init__(self) -> None:
        """Keep plain Python numbers within bounds."""
        object.__setattr__(self, "memory", validation.check_whole("memory", self.memory))
        for name in ("tolerance", "improvement"):
            object.__setattr__(self, name, validation.check_number(name, getattr(self, name), at_least=0))


class Seen(NamedTuple):
    """What one look at the data saw."""

    cost: float  # mean over the samples, without the penalty
    hits: float  # samples
    penalty: float

    @property
    def loss(self) -> float:
        """With the penalty."""
        return self.cost + self.penalty


class Objective:
    """Mean cost over all samples plus ``l2/2 ||W||^2`` of every layer, and the gradient, of one float64 vector.

    The vector holds the weights (n_in, n_out) of all layers, then the biases, then a learned scale of the inputs.

    Parameters
    ----------
    engine : Engine
        Where the accepted parameters are. What a line search tries goes into a twin: others may be reading these.
    data : Data
        The n samples, all of them.
    n : int
        Their number.
    l2 : sequence of float
        Strength of the penalty for every layer.
    between : callable, optional
        Called before every kernel call.
    """

    def __init__(
        self,
        engine: Engine,
        data: Data,
        n: int,
        l2: Sequence[float],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._trial = engine, engine.twin()
        self._data, self._n, self._between = data, n, between
        layers = range(len(engine.layers))
        self._layers = layers
        scale = engine.read_scale()
        self.shapes: list[tuple[int, ...]] = [(engine.layers[i].n_in, engine.layers[i].n_out) for i in layers]
        self.shapes += [(engine.layers[i].n_out,) for i in layers]
        self.shapes += [] if scale is None else [scale.shape]
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)])
        self._parts = [slice(*ends_) for ends_ in pairwise(ends.tolist())]
        # The l2 of every weight; biases come behind the weights and have none.
        self._l2 = np.repeat(l2, [part.stop - part.start for part in self._parts[: len(layers)]])
        self._last: tuple[bytes, Seen] = b"", Seen(0, 0, 0)

    def read(self) -> Array:
        """The accepted parameters as a vector."""
        return self._read(self._engine)

    def write(self, vector: Array) -> None:
        """Accept parameters."""
        self._write(self._engine, vector)

    def _read(self, engine: Engine, buffer: Array | None = None) -> Array:
        """An engine's parameters, or a buffer shaped like them, as a vector."""
        with engine.at_rest():
            weights, biases = engine.read_all(buffer)
            scale = engine.read_scale(buffer)
        parts = [*(W.T.ravel() for W in weights), *biases]
        return np.concatenate(parts if scale is None else [*parts, scale]).astype(np.float64)

    def split(self, vector: Array) -> list[Array]:
        """Views of a vector's parts, in their shapes."""
        return [vector[part].reshape(shape) for part, shape in zip(self._parts, self.shapes, strict=True)]

    def _write(self, engine: Engine, vector: Array) -> None:
        """Make a vector an engine's parameters."""
        arrays, count = self.split(vector), len(self._layers)
        with engine.alone:
            for i, W, b in zip(self._layers, arrays[:count], arrays[count : 2 * count], strict=True):
                engine.write(i, W.T, b)
            for scale in arrays[2 * count :]:
                engine.write_scale(scale)

    def look(self, vector: Array) -> Seen:
        """What the samples say of parameters, which are tried."""
        if self._last[0] != vector.tobytes():
            self(vector)
        return self._last[1]

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """Loss and gradient, in one pass over the samples."""
        self._write(self._trial, vector)
        totals, weights = np.zeros(N_TOTALS), vector[: self._l2.size]
        gradient = self._read(self._trial, self._trial.gradient(self._data, self._n, self._between, totals))
        gradient[: weights.size] += self._l2 * weights
        # Not a product of linear algebra, whose threads would wake up and spin beside ours.
        penalty = 0.5 * float((self._l2 * weights**2).sum())
        seen = Seen(float(totals[TOTAL_COST]) / self._n, float(totals[TOTAL_HITS]), penalty)
        self._last = vector.tobytes(), seen
        return seen.loss, gradient


def require_scipy() -> Any:
    """SciPy's minimizers."""
    try:
        import scipy.optimize
    except ImportError as error:
        raise ImportError('SciPy is not installed: pip install "fastnn-engine[scipy]"') from error
    return scipy.optimize


def minimize(
    objective: Callable[[Array], tuple[float, Array]],
    start: Array,
    method: LBFGS,
    iterations: int,
    after: Callable[[Array], None],
) -> Any:
    """Go down from ``start``; ``after(vector)`` is called after every iteration and may raise to end it.

    Returns SciPy's result, whose ``status`` is 0 where it converged, 1 after so many iterations, and 2 where the line
    search found nothing better.
    """
    options = {
        "maxcor": method.memory,
        "gtol": method.tolerance,
        "ftol": method.improvement,
        "maxiter": iterations,
        "maxfun": 100 * iterations + 100,
    }
    return require_scipy().minimize(
        objective, start, method="L-BFGS-B", jac=True, options=options, callback=lambda x: after(np.array(x))
    )
