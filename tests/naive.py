"""The reference every kernel is held against: float64 NumPy, slow and obvious.

Arrays are sample-major: `X` is (n, in), the targets `T` are (n, out). `weights[l]` is (out, in) and
`biases[l]` is (out,), so that one layer is Z = A_prev @ W.T + b and A = f(Z). Whatever comes in is converted
to float64 first.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def float64(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


# --- Activations, f(Z) ---


def sigmoid(Z: ArrayLike) -> Array:
    """1 / (1 + exp(-z)), written for z < 0 as exp(z) / (1 + exp(z)), so that exp never overflows."""
    Z = float64(Z)
    E = np.exp(-np.abs(Z))
    return np.where(Z >= 0, 1 / (1 + E), E / (1 + E))


def tanh(Z: ArrayLike) -> Array:
    return np.tanh(float64(Z))


def relu(Z: ArrayLike) -> Array:
    return np.maximum(float64(Z), 0.0)


def identity(Z: ArrayLike) -> Array:
    return float64(Z).copy()


def below_maximum(Z: Array) -> Array:
    """Return z - max(z) per row, but never below -800, where exp is 0 already: so it cannot overflow."""
    return float64(2 * np.maximum(Z / 2 - Z.max(axis=-1, keepdims=True) / 2, -400.0))


def softmax(Z: ArrayLike) -> Array:
    """exp(z_j) / sum_k exp(z_k) per row, numerator and denominator divided by exp(max z)."""
    E = np.exp(below_maximum(float64(Z)))
    return float64(E / E.sum(axis=-1, keepdims=True))


ACTIVATIONS: dict[str, Callable[[ArrayLike], Array]] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "identity": identity,
    "softmax": softmax,
}

# f'(z), written on the activation's output a = f(z). Softmax has no such form: its derivative is a matrix.
DERIVATIVES: dict[str, Callable[[ArrayLike], Array]] = {
    "sigmoid": lambda A: float64(A) * (1 - float64(A)),
    "tanh": lambda A: 1 - float64(A) ** 2,
    "relu": lambda A: float64(float64(A) > 0),
    "identity": lambda A: np.ones_like(float64(A)),
}


# --- Costs of each sample, C(Z, A, T) -> (n,) ---


def quadratic(Z: ArrayLike, A: ArrayLike, T: ArrayLike) -> Array:
    """1/2 ||a - t||^2."""
    return float64(((float64(A) - float64(T)) ** 2).sum(axis=1) / 2)


def sum_squares(Z: ArrayLike, A: ArrayLike, T: ArrayLike) -> Array:
    """||a - t||^2."""
    return float64(((float64(A) - float64(T)) ** 2).sum(axis=1))


def cross_entropy(Z: ArrayLike, A: ArrayLike, T: ArrayLike) -> Array:
    """-sum_j [t log(a) + (1 - t) log(1 - a)] with a = sigmoid(z), computed from z.

    That is max(z, 0) - t z + log(1 + exp(-|z|)). The first two terms are (1 - t) z for z > 0, else -t z.
    """
    Z, T = float64(Z), float64(T)
    return float64((np.where(Z > 0, 1 - T, -T) * Z + np.log1p(np.exp(-np.abs(Z)))).sum(axis=1))


def log_likelihood(Z: ArrayLike, A: ArrayLike, T: ArrayLike) -> Array:
    """-sum_j t_j log(a_j) with a = softmax(z), computed from z.

    With m = max(z), -log(a_j) = logsumexp(z) - z_j = (m - z_j) + log(1 + sum_k exp(z_k - m)), the sum over
    all outputs but the largest: two terms that are never negative. The gap m - z_j is taken where t_j != 0.
    """
    Z, T = float64(Z), float64(T)
    M = Z.max(axis=1, keepdims=True)
    E = np.exp(below_maximum(Z))
    E[np.arange(len(Z)), Z.argmax(axis=1)] = 0.0
    gap = M - np.where(T == 0, M, Z)
    return float64((T * (gap + np.log1p(E.sum(axis=1, keepdims=True)))).sum(axis=1))


COSTS: dict[str, Callable[[ArrayLike, ArrayLike, ArrayLike], Array]] = {
    "quadratic": quadratic,
    "sum_squares": sum_squares,
    "cross_entropy": cross_entropy,
    "log_likelihood": log_likelihood,
}


# --- dC/dZ at the output, for every valid (cost, output activation) ---


def quadratic_delta(output: str) -> Callable[[ArrayLike, ArrayLike], Array]:
    """(a - t) f'(z)."""
    return lambda A, T: (float64(A) - float64(T)) * DERIVATIVES[output](A)


def sum_squares_delta(output: str) -> Callable[[ArrayLike, ArrayLike], Array]:
    """2 (a - t) f'(z)."""
    return lambda A, T: 2 * (float64(A) - float64(T)) * DERIVATIVES[output](A)


def cross_entropy_delta(A: ArrayLike, T: ArrayLike) -> Array:
    """Return a - t: the sigmoid's derivative cancels."""
    return float64(A) - float64(T)


def log_likelihood_delta(A: ArrayLike, T: ArrayLike) -> Array:
    """Return a sum(t) - t, which is a - t where the targets sum to one."""
    return float64(float64(A) * float64(T).sum(axis=1, keepdims=True) - float64(T))


OUTPUT_DELTAS: dict[tuple[str, str], Callable[[ArrayLike, ArrayLike], Array]] = {
    ("quadratic", "sigmoid"): quadratic_delta("sigmoid"),
    ("quadratic", "tanh"): quadratic_delta("tanh"),
    ("quadratic", "relu"): quadratic_delta("relu"),
    ("quadratic", "identity"): quadratic_delta("identity"),
    ("sum_squares", "sigmoid"): sum_squares_delta("sigmoid"),
    ("sum_squares", "tanh"): sum_squares_delta("tanh"),
    ("sum_squares", "relu"): sum_squares_delta("relu"),
    ("sum_squares", "identity"): sum_squares_delta("identity"),
    ("cross_entropy", "sigmoid"): cross_entropy_delta,
    ("log_likelihood", "softmax"): log_likelihood_delta,
}


# --- A network: its outputs, its cost and its gradients ---


def forward(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike], activations: Sequence[str], X: ArrayLike
) -> tuple[list[Array], list[Array]]:
    """Return every layer's Z, and every layer's A with A[0] = X before them."""
    Zs: list[Array] = []
    As = [float64(X)]
    for W, b, name in zip(weights, biases, activations, strict=True):
        Zs.append(As[-1] @ float64(W).T + float64(b))
        As.append(ACTIVATIONS[name](Zs[-1]))
    return Zs, As


def sample_costs(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activations: Sequence[str],
    cost: str,
    X: ArrayLike,
    T: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Return w_i c_i for each sample, shape (n,)."""
    Zs, As = forward(weights, biases, activations, X)
    costs = COSTS[cost](Zs[-1], As[-1], T)
    return costs if sample_weight is None else float64(sample_weight) * costs


def cost(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activations: Sequence[str],
    cost: str,
    X: ArrayLike,
    T: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return (1/n) sum_i w_i c_i, without l1 and l2."""
    return float(np.mean(sample_costs(weights, biases, activations, cost, X, T, sample_weight)))


def gradients(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activations: Sequence[str],
    cost: str,
    X: ArrayLike,
    T: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> tuple[list[Array], list[Array]]:
    """Return the gradients of the mean cost: dW (out, in) and db (out,) of every layer, without l1 and l2."""
    _, As = forward(weights, biases, activations, X)
    n = len(As[0])
    delta = OUTPUT_DELTAS[cost, activations[-1]](As[-1], T)
    if sample_weight is not None:
        delta = float64(sample_weight)[:, np.newaxis] * delta
    dW: list[Array] = []
    db: list[Array] = []
    for layer in reversed(range(len(weights))):
        A_prev = As[layer]
        dW.insert(0, delta.T @ A_prev / n)
        db.insert(0, delta.sum(axis=0) / n)
        if layer > 0:
            delta = (delta @ float64(weights[layer])) * DERIVATIVES[activations[layer - 1]](A_prev)
    return dW, db


def numerical_gradients(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activations: Sequence[str],
    cost: str,
    X: ArrayLike,
    T: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> tuple[list[Array], list[Array]]:
    """Return what `gradients` does, by central differences: (C(w + h) - C(w - h)) / 2h, one w at a time."""
    Ws, bs = [float64(W).copy() for W in weights], [float64(b).copy() for b in biases]

    def mean_cost() -> float:
        return float(np.mean(sample_costs(Ws, bs, activations, cost, X, T, sample_weight)))

    def differences(parameter: Array) -> Array:
        slopes = np.empty_like(parameter)
        for i in np.ndindex(parameter.shape):
            w = float(parameter[i])
            h = 1e-6 * max(1.0, abs(w))
            parameter[i] = w + h
            above = mean_cost()
            parameter[i] = w - h
            below = mean_cost()
            parameter[i] = w
            slopes[i] = (above - below) / ((w + h) - (w - h))
        return slopes

    return [differences(W) for W in Ws], [differences(b) for b in bs]


# --- Optimizers ---


class Optimizer(Protocol):
    def init(self, params: Sequence[Array]) -> None:
        """Forget the past: set the state for these parameters to zero."""

    def step(self, params: Sequence[Array], grads: Sequence[Array]) -> list[Array]:
        """Return the parameters after one step; `params` itself is left alone."""


class SGD:
    """v <- momentum v + g, and then w <- w - learning_rate v.

    With nesterov, w <- w - learning_rate (g + momentum v). Before the first step v = 0.
    """

    def __init__(self, learning_rate: float, momentum: float = 0.0, nesterov: bool = False) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov

    def init(self, params: Sequence[Array]) -> None:
        self.v = [np.zeros_like(w) for w in params]

    def step(self, params: Sequence[Array], grads: Sequence[Array]) -> list[Array]:
        self.v = [self.momentum * v + g for v, g in zip(self.v, grads, strict=True)]
        ahead = [g + self.momentum * v for v, g in zip(self.v, grads, strict=True)]
        directions = ahead if self.nesterov else self.v
        return [w - self.learning_rate * d for w, d in zip(params, directions, strict=True)]


class Adam:
    """m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2, and then in step t = 1, 2, ...

    w <- w - learning_rate mhat / (sqrt(vhat) + epsilon), mhat = m / (1 - beta1^t), vhat = v / (1 - beta2^t).
    """

    def __init__(
        self, learning_rate: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon

    def init(self, params: Sequence[Array]) -> None:
        self.t = 0
        self.m = [np.zeros_like(w) for w in params]
        self.v = [np.zeros_like(w) for w in params]

    def step(self, params: Sequence[Array], grads: Sequence[Array]) -> list[Array]:
        self.t += 1
        self.m = [self.beta1 * m + (1 - self.beta1) * g for m, g in zip(self.m, grads, strict=True)]
        self.v = [self.beta2 * v + (1 - self.beta2) * g**2 for v, g in zip(self.v, grads, strict=True)]
        mhat = [m / (1 - self.beta1**self.t) for m in self.m]
        vhat = [v / (1 - self.beta2**self.t) for v in self.v]
        return [
            w - self.learning_rate * m / (np.sqrt(v) + self.epsilon) for w, m, v in zip(params, mhat, vhat, strict=True)
        ]


# --- Training ---


def train(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activations: Sequence[str],
    cost: str,
    optimizer: Optimizer,
    X: ArrayLike,
    T: ArrayLike,
    batch_size: int,
    orders: Sequence[NDArray[np.intp]],
    l1: float = 0.0,
    l2: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[list[Array], list[Array], list[float]]:
    """Train one epoch for each order of the samples, with a fresh optimizer; the arguments are left alone.

    A batch is the next `batch_size` samples of the order. The last one may be smaller: its gradient is the
    mean over its own samples. Weights, not biases, get l2 w + l1 sign(w) added to theirs before the step.

    Returns the new weights, the new biases, and for each epoch the mean over its samples of w_i c_i, each
    taken just before the update by the sample's own batch, without l1 and l2.
    """
    X, T = float64(X), float64(T)
    w = np.ones(len(X)) if sample_weight is None else float64(sample_weight)
    Ws, bs = [float64(W).copy() for W in weights], [float64(b).copy() for b in biases]
    optimizer.init(Ws + bs)
    epoch_costs = []
    for order in orders:
        total = 0.0
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            total += sample_costs(Ws, bs, activations, cost, X[batch], T[batch], w[batch]).sum()
            dW, db = gradients(Ws, bs, activations, cost, X[batch], T[batch], w[batch])
            dW = [g + l2 * W + l1 * np.sign(W) for g, W in zip(dW, Ws, strict=True)]
            params = optimizer.step(Ws + bs, dW + db)
            Ws, bs = params[: len(Ws)], params[len(Ws) :]
        epoch_costs.append(float(total / len(order)))
    return Ws, bs, epoch_costs


# --- Sigmoid layers one sample at a time, in columns ---


def column_gradients(
    weights: Sequence[Array], biases: Sequence[Array], cost: str, x: Array, t: Array
) -> tuple[list[Array], list[Array]]:
    """Return dC/dW (out, in) and dC/db (out, 1) of every layer for one sample: x is (in, 1), t is (out, 1).

    Speeds are compared with this too, so it uses np.dot, which is several times faster than @ for a column by a row.
    """
    outputs = [x]
    for W, b in zip(weights, biases, strict=True):
        outputs.append(sigmoid(np.dot(W, outputs[-1]) + b))
    delta = OUTPUT_DELTAS[cost, "sigmoid"](outputs[-1], t)
    dW, db = [np.dot(delta, outputs[-2].T)], [delta]
    for layer in range(len(weights) - 1, 0, -1):
        delta = np.dot(weights[layer].T, delta) * DERIVATIVES["sigmoid"](outputs[layer])
        dW.insert(0, np.dot(delta, outputs[layer - 1].T))
        db.insert(0, delta)
    return dW, db


def train_in_columns(
    weights: Sequence[Array],
    biases: Sequence[Array],
    cost: str,
    batches: Iterable[Sequence[tuple[Array, Array]]],
    learning_rate: float,
    l2: float = 0.0,
) -> tuple[list[Array], list[Array]]:
    """Take one step along the mean gradient of each batch of pairs (x, t), its samples added up one by one."""
    Ws, bs = list(weights), list(biases)
    for batch in batches:
        dW, db = [np.zeros(W.shape) for W in Ws], [np.zeros(b.shape) for b in bs]
        for x, t in batch:
            for totals, gradient in zip((dW, db), column_gradients(Ws, bs, cost, x, t), strict=True):
                totals[:] = [total + g for total, g in zip(totals, gradient, strict=True)]
        step = learning_rate / len(batch)
        Ws = [(1 - learning_rate * l2) * W - step * g for W, g in zip(Ws, dW, strict=True)]
        bs = [b - step * g for b, g in zip(bs, db, strict=True)]
    return Ws, bs


def permutation(draws: Iterable[float]) -> list[int]:
    """0 ... n - 1, each put to a place up to its own that a number in [0, 1) draws; what was there moves to the end."""
    order: list[int] = []
    for i, draw in enumerate(draws):
        order.append(i)
        place = int(draw * (i + 1))
        order[i], order[place] = order[place], i
    return order


def shuffled_batches(pairs: list[Any], batch_size: int, epochs: int = 1) -> Iterator[list[Any]]:
    """Shuffle the list itself by Python's global generator before every epoch, and yield its batches."""
    for _ in range(epochs):
        random.shuffle(pairs)
        for start in range(0, len(pairs), batch_size):
            yield pairs[start : start + batch_size]


def notebook_train(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    learning_rate: float,
    batch_size: int,
    orders: Sequence[NDArray[np.intp]],
) -> tuple[list[Array], list[Array], float]:
    """Train the notebook's network one epoch for each order, and return weights (in, out), biases and summed cost.

    It shuffles what it has shuffled before, and its batches are those of `numpy.array_split`: where `batch_size` does
    not divide the samples, the first ones are larger by one.
    """
    X, Y = float64(X), float64(Y)
    Ws, bs = [float64(W).copy() for W in weights], [float64(b).copy() for b in biases]
    for order in orders:
        X, Y = X[order], Y[order]
        count = len(X) // batch_size
        for x, y in zip(np.array_split(X, count), np.array_split(Y, count), strict=True):
            As = [x]
            for W, b in zip(Ws, bs, strict=True):
                As.append(sigmoid(As[-1] @ W + b))
            delta = 2 * (As[-1] - y) * As[-1] * (1 - As[-1])
            for layer in reversed(range(len(Ws))):
                W = Ws[layer].copy()
                Ws[layer] -= learning_rate * As[layer].T @ delta / len(x)
                bs[layer] -= learning_rate * delta.mean(axis=0)
                delta = delta @ W.T * As[layer] * (1 - As[layer])
    A = X
    for W, b in zip(Ws, bs, strict=True):
        A = sigmoid(A @ W + b)
    return Ws, bs, float(np.square(A - Y).sum())


def one_hot(labels: ArrayLike, n_out: int) -> Array:
    """Return (n, n_out) targets: 1 at the label's place; for one output, the label itself as a column."""
    labels = np.asarray(labels)
    if n_out == 1:
        return float64(labels).reshape(-1, 1)
    T = np.zeros((len(labels), n_out))
    for i, label in enumerate(labels):
        T[i, int(label)] = 1.0
    return T
