"""PyTorch: eager, as tutorials write it, and with the whole step compiled."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from peers import maths
from peers.base import Peer, batches, flat, paired
from peers.cases import Array, Data, Layers, Task


class _Torch(Peer):
    """What both share: tensors, threads and the walk over batches."""

    packages = ("torch==2.13.0",)
    modules = ("torch",)

    _parameters: list[Any]

    def prepare(self, task: Task, data: Data, layers: Layers) -> None:
        """See Peer."""
        import torch

        torch.set_num_threads(task.threads)
        self._torch, self._task = torch, task
        self._X, self._T = torch.from_numpy(data.X), torch.from_numpy(data.T)
        self._start([torch.from_numpy(array) for array in flat(layers)])

    def epoch(self, order: Array | None) -> None:
        """See Peer."""
        for x, t in batches(self._X, self._T, self._torch.from_numpy(order), self._task.batch):
            self._step(x, t)

    def weights(self) -> Layers:
        """See Peer."""
        return paired([tensor.detach().numpy() for tensor in self._parameters])

    def _start(self, parameters: list[Any]) -> None:
        raise NotImplementedError

    def _step(self, x: Any, t: Any) -> None:
        raise NotImplementedError


class TorchEager(_Torch):
    """``nn.Linear`` layers, a loss of ``nn`` and an optimizer of ``torch.optim``, in the fastest of its variants."""

    def _start(self, parameters: list[Any]) -> None:
        nn, formulas = self._torch.nn, self._task.formulas
        modules: list[Any] = []
        for W, b in paired(parameters):
            linear = nn.Linear(W.shape[1], W.shape[0])
            linear.weight, linear.bias = nn.Parameter(W), nn.Parameter(b)
            modules += [linear, _MODULES[formulas.activation](nn)]
        self._network = nn.Sequential(*modules[:-1])  # the last activation is part of the loss
        self._parameters = list(self._network.parameters())
        self._loss = _LOSSES[formulas.cost](nn)
        if formulas.cost == "log_likelihood":
            self._T = self._T.argmax(1)  # the loss is faster with labels
        self._optimizer, self.note = self._fastest_optimizer()

    def _fastest_optimizer(self) -> tuple[Any, str]:
        """One for the parameters, of the variant that was fastest on copies of them; and its name."""
        copies = [self._torch.ones_like(w, requires_grad=True) for w in self._parameters]
        for copy in copies:
            copy.grad = self._torch.full_like(copy, 1e-3)
        seconds = {name: _seconds(self._new_optimizer(copies, name).step) for name in _VARIANTS}
        best = min(seconds, key=seconds.__getitem__)
        told = ", ".join(f"{name} {1e6 * found:.0f}" for name, found in seconds.items())
        return self._new_optimizer(self._parameters, best), f"optimizer: {best}; microseconds of a step: {told}"

    def _new_optimizer(self, parameters: list[Any], variant: str) -> Any:
        optim, rate, options = self._torch.optim, maths.LEARNING_RATES[self._task.optimizer], _VARIANTS[variant]
        if self._task.optimizer == "adam":
            return optim.Adam(parameters, rate, (maths.BETA1, maths.BETA2), maths.EPSILON, **options)
        momentum = maths.MOMENTUM if self._task.optimizer == "momentum" else 0.0
        return optim.SGD(parameters, rate, momentum=momentum, **options)

    def _step(self, x: Any, t: Any) -> None:
        self._optimizer.zero_grad()
        (self._loss(self._network(x), t) / len(x)).backward()
        self._optimizer.step()


_MODULES: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda nn: nn.Sigmoid(),
    "tanh": lambda nn: nn.Tanh(),
    "relu": lambda nn: nn.ReLU(),
}
_LOSSES: dict[str, Callable[[Any], Any]] = {
    "cross_entropy": lambda nn: nn.BCEWithLogitsLoss(reduction="sum"),
    "log_likelihood": lambda nn: nn.CrossEntropyLoss(reduction="sum"),
    "quadratic": lambda nn: _half(nn.MSELoss(reduction="sum")),
}
_VARIANTS = {"fused": {"fused": True}, "foreach": {"foreach": True}, "one by one": {"foreach": False}}
_TRIED_STEPS = 50


def _half(loss: Any) -> Any:
    return lambda z, t: loss(z, t) / 2


def _seconds(step: Callable[[], Any]) -> float:
    """Of the fastest step."""
    found = []
    for _ in range(_TRIED_STEPS):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    return min(found)


class TorchCompiled(_Torch):
    """Forward pass, gradients and update in one compiled graph; needs a C++ compiler."""

    def _start(self, parameters: list[Any]) -> None:
        torch, optimizer, formulas = self._torch, self._task.optimizer, self._task.formulas
        functions = {
            **{name: getattr(torch, name) for name in ("sigmoid", "tanh", "relu")},
            "softmax": partial(torch.softmax, dim=1),
        }
        self._parameters = parameters
        self._memory = maths.fresh_memory(optimizer, parameters)
        self._count = torch.zeros((), dtype=self._X.dtype)

        def step(parameters: Any, memory: Any, count: Any, x: Any, t: Any) -> Any:
            found = maths.gradients(formulas, functions, parameters, x, t)
            return maths.step(optimizer, parameters, found, memory, count)

        # Two shapes, the full batch and the last one: a version for each, none for arbitrary shapes.
        self._compiled = torch.compile(step, dynamic=False)

    def _step(self, x: Any, t: Any) -> None:
        with self._torch.no_grad():
            self._count += 1
            self._parameters, self._memory = self._compiled(self._parameters, self._memory, self._count, x, t)
