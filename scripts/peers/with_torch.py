"""PyTorch: eager, as tutorials write it, and with the whole step compiled."""

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
    """``nn.Linear`` layers, ``BCEWithLogitsLoss`` and an optimizer of ``torch.optim``."""

    def _start(self, parameters: list[Any]) -> None:
        nn, optim = self._torch.nn, self._torch.optim
        modules: list[Any] = []
        for W, b in paired(parameters):
            linear = nn.Linear(W.shape[1], W.shape[0])
            linear.weight, linear.bias = nn.Parameter(W), nn.Parameter(b)
            modules += [linear, nn.Sigmoid()]
        self._network = nn.Sequential(*modules[:-1])  # the last sigmoid is part of the loss
        self._parameters = list(self._network.parameters())
        self._loss = nn.BCEWithLogitsLoss(reduction="sum")
        rate = maths.LEARNING_RATES[self._task.optimizer]
        if self._task.optimizer == "adam":
            self._optimizer = optim.Adam(self._parameters, rate, (maths.BETA1, maths.BETA2), maths.EPSILON)
        else:
            momentum = maths.MOMENTUM if self._task.optimizer == "momentum" else 0.0
            self._optimizer = optim.SGD(self._parameters, rate, momentum=momentum)

    def _step(self, x: Any, t: Any) -> None:
        self._optimizer.zero_grad()
        (self._loss(self._network(x), t) / len(x)).backward()
        self._optimizer.step()


class TorchCompiled(_Torch):
    """Forward pass, gradients and update in one compiled graph; needs a C++ compiler."""

    def _start(self, parameters: list[Any]) -> None:
        torch, optimizer = self._torch, self._task.optimizer
        self._parameters = parameters
        self._memory = maths.fresh_memory(optimizer, parameters)
        self._count = torch.zeros((), dtype=self._X.dtype)

        def step(parameters: Any, memory: Any, count: Any, x: Any, t: Any) -> Any:
            found = maths.gradients(torch.sigmoid, parameters, x, t)
            return maths.step(optimizer, parameters, found, memory, count)

        # Two shapes, the full batch and the last one: a version for each, none for arbitrary shapes.
        self._compiled = torch.compile(step, dynamic=False)

    def _step(self, x: Any, t: Any) -> None:
        with self._torch.no_grad():
            self._count += 1
            self._parameters, self._memory = self._compiled(self._parameters, self._memory, self._count, x, t)
