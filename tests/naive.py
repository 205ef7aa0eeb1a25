"""The reference every kernel is held against: float64 NumPy, slow and obvious.

Arrays are sample-major: `X` is (n, in), the targets `T` are (n, out). `weights[l]` is (out, in) and
`biases[l]` is (out,), so that one layer is Z = A_prev @ W.T + b and A = f(Z). Whatever comes in is converted
to float64 first.
"""

import dataclasses
import math
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


def cdf(Z: Array) -> Array:
    """The normal distribution's share below z."""
    return float64([(1 + math.erf(z / math.sqrt(2))) / 2 for z in Z.ravel()]).reshape(Z.shape)


def pdf(Z: Array) -> Array:
    return np.exp(-(Z**2) / 2) / math.sqrt(2 * math.pi)


def gelu_inner(Z: Array) -> tuple[Array, Array]:
    """tanh(u) with u = sqrt(2/pi) (z + 0.044715 z^3), and du/dz."""
    root = math.sqrt(2 / math.pi)
    return np.tanh(root * (Z + 0.044715 * Z**3)), root * (1 + 3 * 0.044715 * Z**2)


def gelu_tanh_slope(Z: Array) -> Array:
    t, du = gelu_inner(Z)
    return (1 + t) / 2 + Z / 2 * (1 - t**2) * du


def mish_slope(Z: Array) -> Array:
    t = np.tanh(np.logaddexp(0, Z))
    return t + Z * (1 - t**2) * sigmoid(Z)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

# f(z) and f'(z) of the others, by how a network is told to use them; for numbers of ordinary size.
FURTHER_ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "leaky_relu": (lambda Z: np.where(Z > 0, Z, Z / 100), lambda Z: np.where(Z > 0, 1, 1 / 100)),
    "leaky_relu(slope=0.3)": (lambda Z: np.where(Z > 0, Z, 0.3 * Z), lambda Z: np.where(Z > 0, 1, 0.3)),
    "elu": (lambda Z: np.where(Z > 0, Z, np.expm1(Z)), lambda Z: np.where(Z > 0, 1, np.exp(Z))),
    "elu(alpha=0.5)": (lambda Z: np.where(Z > 0, Z, np.expm1(Z) / 2), lambda Z: np.where(Z > 0, 1, np.exp(Z) / 2)),
    "selu": (
        lambda Z: SELU_SCALE * np.where(Z > 0, Z, SELU_ALPHA * np.expm1(Z)),
        lambda Z: SELU_SCALE * np.where(Z > 0, 1, SELU_ALPHA * np.exp(Z)),
    ),
    "gelu": (lambda Z: Z * cdf(Z), lambda Z: cdf(Z) + Z * pdf(Z)),
    "gelu_tanh": (lambda Z: Z / 2 * (1 + gelu_inner(Z)[0]), gelu_tanh_slope),
    "silu": (lambda Z: Z * sigmoid(Z), lambda Z: sigmoid(Z) * (1 + Z * (1 - sigmoid(Z)))),
    "mish": (lambda Z: Z * np.tanh(np.logaddexp(0, Z)), mish_slope),
    "softplus": (lambda Z: np.logaddexp(0, Z), sigmoid),
    "softsign": (lambda Z: Z / (1 + np.abs(Z)), lambda Z: 1 / (1 + np.abs(Z)) ** 2),
    "hard_sigmoid": (lambda Z: np.clip((Z + 3) / 6, 0, 1), lambda Z: np.where(np.abs(Z) < 3, 1 / 6, 0)),
}


def activate(name: str, Z: Array) -> Array:
    """f(Z) of any activation."""
    return float64(ACTIVATIONS[name](Z) if name in ACTIVATIONS else FURTHER_ACTIVATIONS[name][0](Z))


def slope(name: str, Z: Array, A: Array) -> Array:
    """f'(Z) of any activation but softmax."""
    return float64(DERIVATIVES[name](A) if name in DERIVATIVES else FURTHER_ACTIVATIONS[name][1](Z))


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


# --- The other costs: of one output each, and their slopes ---

QUANTILES = np.array([0.1, 0.5, 0.9])
# c(a, t) and dc/da, with any output activation but softmax. Those of above are here as well, for further outputs.
FURTHER_COSTS_OF_A: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "quadratic": (lambda A, T: (A - T) ** 2 / 2, lambda A, T: A - T),
    "sum_squares": (lambda A, T: (A - T) ** 2, lambda A, T: 2 * (A - T)),
    "absolute": (lambda A, T: np.abs(A - T), lambda A, T: np.sign(A - T)),
    "huber": (
        lambda A, T: np.where(np.abs(A - T) < 1, (A - T) ** 2 / 2, np.abs(A - T) - 1 / 2),
        lambda A, T: np.clip(A - T, -1, 1),
    ),
    "huber(delta=0.3)": (
        lambda A, T: np.where(np.abs(A - T) < 0.3, (A - T) ** 2 / 2, 0.3 * np.abs(A - T) - 0.045),
        lambda A, T: np.clip(A - T, -0.3, 0.3),
    ),
    "log_cosh": (lambda A, T: np.log(np.cosh(A - T)), lambda A, T: np.tanh(A - T)),
    "pinball": (
        lambda A, T: np.where(T > A, QUANTILES * (T - A), (1 - QUANTILES) * (A - T)),
        lambda A, T: np.where(T > A, -QUANTILES, 1 - QUANTILES),
    ),
}


def focal_slope(P: Array, T: Array, gamma: float) -> Array:
    """The derivative by p of -t (1 - p)^gamma log p."""
    return T * (gamma * (1 - P) ** (gamma - 1) * np.log(P) - (1 - P) ** gamma / P)


def focal(gamma: float) -> tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]:
    """-t (1 - p)^gamma log p - (1 - t) p^gamma log(1 - p) with p = sigmoid(z)."""

    def value(Z: Array, T: Array) -> Array:
        P = sigmoid(Z)
        return -T * (1 - P) ** gamma * np.log(P) - (1 - T) * P**gamma * np.log(1 - P)

    def by_z(Z: Array, T: Array) -> Array:
        P = sigmoid(Z)
        return (focal_slope(P, T, gamma) - focal_slope(1 - P, 1 - T, gamma)) * P * (1 - P)

    return value, by_z


def smoothed_cross_entropy(Z: Array, T: Array) -> Array:
    P, T = sigmoid(Z), 0.8 * T + 0.1
    return -T * np.log(P) - (1 - T) * np.log(1 - P)


# c(z, t) and dc/dz, by the output activation that they go with.
FURTHER_COSTS_OF_Z: dict[tuple[str, str], tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    ("poisson", "identity"): (lambda Z, T: np.exp(Z) - T * Z, lambda Z, T: np.exp(Z) - T),
    ("cross_entropy(smoothing=0.2)", "sigmoid"): (
        smoothed_cross_entropy,
        lambda Z, T: sigmoid(Z) - (0.8 * T + 0.1),
    ),
    ("focal", "sigmoid"): focal(2.0),
    ("focal(gamma=0.5)", "sigmoid"): focal(0.5),
    ("hinge", "identity"): (
        lambda Z, T: np.maximum(0, 1 - (2 * T - 1) * Z),
        lambda Z, T: np.where((2 * T - 1) * Z < 1, 1 - 2 * T, 0),
    ),
}


def smoothed(T: Array) -> Array:
    return 0.8 * T + 0.2 / T.shape[1]


# c(a, t) and dc/da of one softmax output.
FURTHER_COSTS_OF_SOFTMAX: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "log_likelihood(smoothing=0.2)": (lambda A, T: -smoothed(T) * np.log(A), lambda A, T: -smoothed(T) / A),
    "focal": (lambda A, T: -T * (1 - A) ** 2 * np.log(A), lambda A, T: focal_slope(A, T, 2.0)),
    "focal(gamma=0.5)": (lambda A, T: -T * (1 - A) ** 0.5 * np.log(A), lambda A, T: focal_slope(A, T, 0.5)),
}


def costs_of_samples(name: str, output: str, Z: Array, A: Array, T: Array) -> Array:
    """The cost of each sample, of any cost with any output activation."""
    if name in COSTS and (name, output) in OUTPUT_DELTAS:
        return COSTS[name](Z, A, T)
    if output == "softmax":
        return float64(FURTHER_COSTS_OF_SOFTMAX[name][0](A, float64(T)).sum(axis=1))
    if (name, output) in FURTHER_COSTS_OF_Z:
        return float64(FURTHER_COSTS_OF_Z[name, output][0](Z, float64(T)).sum(axis=1))
    return float64(FURTHER_COSTS_OF_A[name][0](A, float64(T)).sum(axis=1))


def output_delta(name: str, output: str, Z: Array, A: Array, T: Array) -> Array:
    """dC/dZ at the output; for softmax, where every output depends on every z, a_j (g_j - sum_k a_k g_k)."""
    if (name, output) in OUTPUT_DELTAS:
        return OUTPUT_DELTAS[name, output](A, T)
    if output == "softmax":
        G = FURTHER_COSTS_OF_SOFTMAX[name][1](A, float64(T))
        return float64(A * (G - (A * G).sum(axis=1, keepdims=True)))
    if (name, output) in FURTHER_COSTS_OF_Z:
        return float64(FURTHER_COSTS_OF_Z[name, output][1](Z, float64(T)))
    return FURTHER_COSTS_OF_A[name][1](A, float64(T)) * slope(output, Z, A)


# --- A network: its outputs, its cost and its gradients ---


def forward(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike], activations: Sequence[str], X: ArrayLike
) -> tuple[list[Array], list[Array]]:
    """Return every layer's Z, and every layer's A with A[0] = X before them."""
    Zs: list[Array] = []
    As = [float64(X)]
    for W, b, name in zip(weights, biases, activations, strict=True):
        Zs.append(As[-1] @ float64(W).T + float64(b))
        As.append(activate(name, Zs[-1]))
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
    costs = costs_of_samples(cost, activations[-1], Zs[-1], As[-1], float64(T))
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
    Zs, As = forward(weights, biases, activations, X)
    n = len(As[0])
    delta = output_delta(cost, activations[-1], Zs[-1], As[-1], float64(T))
    if sample_weight is not None:
        delta = float64(sample_weight)[:, np.newaxis] * delta
    dW: list[Array] = []
    db: list[Array] = []
    for layer in reversed(range(len(weights))):
        A_prev = As[layer]
        dW.insert(0, delta.T @ A_prev / n)
        db.insert(0, delta.sum(axis=0) / n)
        if layer > 0:
            delta = (delta @ float64(weights[layer])) * slope(activations[layer - 1], Zs[layer - 1], A_prev)
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


# All others as plain transcriptions: ``(optimizer, g, p, t, memory) -> p``, where ``optimizer`` holds the numbers, t
# counts from 1, and memory is a dict that begins empty.
Memory = dict[str, Any]


def plain_sgd(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    v = memory["v"] = o.momentum * memory.get("v", 0) + g
    return p - o.learning_rate * (g + o.momentum * v if o.nesterov else v)


def moments(o: Any, g: Array, memory: Memory) -> tuple[Array, Array]:
    m = memory["m"] = o.beta1 * memory.get("m", 0) + (1 - o.beta1) * g
    v = memory["v"] = o.beta2 * memory.get("v", 0) + (1 - o.beta2) * g**2
    return m, v


def plain_adam(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    m, v = moments(o, g, memory)
    return p - o.learning_rate * (m / (1 - o.beta1**t)) / (np.sqrt(v / (1 - o.beta2**t)) + o.epsilon)


def plain_adamw(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    return plain_adam(o, g, p * (1 - o.learning_rate * o.weight_decay), t, memory)


def plain_nadam(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    m, v = moments(o, g, memory)
    mu, mu_next = (o.beta1 * (1 - 0.5 * 0.96 ** (k * o.momentum_decay)) for k in (t, t + 1))
    product = memory["product"] = memory.get("product", 1) * mu
    ahead = g * (1 - mu) / (1 - product) + m * mu_next / (1 - product * mu_next)
    return p - o.learning_rate * ahead / (np.sqrt(v / (1 - o.beta2**t)) + o.epsilon)


def plain_rmsprop(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    v = memory["v"] = o.alpha * memory.get("v", 0) + (1 - o.alpha) * g**2
    c = memory["c"] = o.alpha * memory.get("c", 0) + (1 - o.alpha) * g
    b = memory["b"] = o.momentum * memory.get("b", 0) + g / (np.sqrt(v - c**2 * o.centered) + o.epsilon)
    return p - o.learning_rate * b


def plain_adagrad(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    total = memory["s"] = memory.get("s", o.initial_accumulator) + g**2
    return p - o.learning_rate / (1 + (t - 1) * o.rate_decay) * g / (np.sqrt(total) + o.epsilon)


def plain_lion(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    m = memory.get("m", 0)
    memory["m"] = o.beta2 * m + (1 - o.beta2) * g
    return p * (1 - o.learning_rate * o.weight_decay) - o.learning_rate * np.sign(o.beta1 * m + (1 - o.beta1) * g)


def plain_rprop(o: Any, g: Array, p: Array, t: int, memory: Memory) -> Array:
    size = memory.get("size", np.full_like(p, o.learning_rate))
    sign = np.sign(g * memory.get("g", 0))
    size = memory["size"] = np.clip(
        size * np.choose(sign.astype(int) + 1, [o.decrease, 1, o.increase]), o.smallest, o.largest
    )
    g = memory["g"] = np.where(sign < 0, 0, g)
    return p - np.sign(g) * size


class Plain:
    """An optimizer by its transcription; biases do not decay."""

    def __init__(self, optimizer: Any, step: Callable[..., Array], weights: int) -> None:
        self.optimizer, self.plain_step = optimizer, step
        self.weights = weights  # the first so many parameters are weights
        undecayed = {"weight_decay": 0.0} if hasattr(optimizer, "weight_decay") else {}
        self.for_biases = dataclasses.replace(optimizer, **undecayed)

    def init(self, params: Sequence[Array]) -> None:
        self.t = 0
        self.memory: list[Memory] = [{} for _ in params]

    def step(self, params: Sequence[Array], grads: Sequence[Array]) -> list[Array]:
        self.t += 1
        owners = [self.optimizer if i < self.weights else self.for_biases for i in range(len(params))]
        return [
            self.plain_step(owner, g, p, self.t, memory)
            for owner, g, p, memory in zip(owners, grads, params, self.memory, strict=True)
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
