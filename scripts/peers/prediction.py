"""Peers in prediction: what a trained network costs to use, from the library's own arrays to the library's own."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from peers.base import flat, paired
from peers.cases import Array, Layers
from peers.with_numpy import sigmoid


class Predictor(ABC):
    """One library with a network of sigmoid layers and a batch of samples, both in the form it likes best."""

    packages: ClassVar[tuple[str, ...]] = ()
    """What pip has to install."""
    modules: ClassVar[tuple[str, ...]] = ()
    """What can be imported then."""
    limited: ClassVar[bool] = True
    """Whether it can be kept to an instruction set."""

    @abstractmethod
    def prepare(self, X: Array, layers: Layers, threads: int) -> None:
        """Stand ready to predict ``X`` (n, n_in)."""

    @abstractmethod
    def forward(self) -> Any:
        """The outputs (n, n_out), finished when this returns."""

    def forwards(self, count: int) -> None:
        """Predict several times."""
        for _ in range(count):
            self.forward()


class FastNNForward(Predictor):
    """``Network.forward``, the checks of its argument included."""

    modules = ("fastnn",)

    def prepare(self, X: Array, layers: Layers, threads: int) -> None:
        """See Predictor."""
        import fastnn

        sizes = [X.shape[1], *(len(b) for _, b in layers)]
        initial = [W for W, _ in layers], [b for _, b in layers]
        self._network, self._X = fastnn.Network(sizes, initializer=initial, dtype=X.dtype.name), X

    def forward(self) -> Any:
        """See Predictor."""
        return self._network.forward(self._X)


class NumpyForward(Predictor):
    """Matrix products."""

    packages = ("numpy",)
    modules = ("numpy",)

    def prepare(self, X: Array, layers: Layers, threads: int) -> None:
        """See Predictor."""
        self._X, self._layers = X, layers

    def forward(self) -> Any:
        """See Predictor."""
        a = self._X
        for W, b in self._layers:
            a = sigmoid(a @ W.T + b)
        return a


class TorchForward(Predictor):
    """Eager, in inference mode."""

    packages = ("torch==2.13.0",)
    modules = ("torch",)

    def prepare(self, X: Array, layers: Layers, threads: int) -> None:
        """See Predictor."""
        import torch

        torch.set_num_threads(threads)
        self._torch, self._X = torch, torch.from_numpy(X)
        modules: list[Any] = []
        for W, b in paired([torch.from_numpy(array) for array in flat(layers)]):
            linear = torch.nn.Linear(W.shape[1], W.shape[0])
            linear.weight, linear.bias = torch.nn.Parameter(W), torch.nn.Parameter(b)
            modules += [linear, torch.nn.Sigmoid()]
        self._network = torch.nn.Sequential(*modules).eval()

    def forward(self) -> Any:
        """See Predictor."""
        with self._torch.inference_mode():
            return self._network(self._X)


class JaxForward(Predictor):
    """One compiled function."""

    packages = ("jax", "jaxlib")
    modules = ("jax",)

    def prepare(self, X: Array, layers: Layers, threads: int) -> None:
        """See Predictor."""
        import jax

        jax.config.update("jax_enable_x64", X.dtype == np.float64)

        def forward(parameters: Any, a: Any) -> Any:
            for W, b in paired(parameters):
                a = jax.nn.sigmoid(a @ W.T + b)
            return a

        self._forward = jax.jit(forward)
        self._X, self._parameters = jax.numpy.asarray(X), [jax.numpy.asarray(array) for array in flat(layers)]

    def forward(self) -> Any:
        """See Predictor."""
        return self._forward(self._parameters, self._X).block_until_ready()


class OnnxRuntime(Predictor):
    """The network as an ONNX graph of Gemm and Sigmoid."""

    packages = ("onnx", "onnxruntime")
    modules = ("onnx", "onnxruntime")
    limited = False

    def prepare(self, X: Array, layers: Layers, threads: int) -> None:
        """See Predictor."""
        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = _onnx_model(onnx, X.dtype, layers).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._feed = {"a0": X}

    def forward(self) -> Any:
        """See Predictor."""
        return self._session.run(None, self._feed)[0]


def _onnx_model(onnx: Any, dtype: Any, layers: Layers) -> Any:
    make, kind = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype(dtype)
    nodes, constants = [], []
    for i, (W, b) in enumerate(layers):
        constants += [onnx.numpy_helper.from_array(W, f"W{i}"), onnx.numpy_helper.from_array(b, f"b{i}")]
        nodes += [
            make.make_node("Gemm", [f"a{i}", f"W{i}", f"b{i}"], [f"z{i}"], transB=1),
            make.make_node("Sigmoid", [f"z{i}"], [f"a{i + 1}"]),
        ]
    inputs = make.make_tensor_value_info("a0", kind, ["rows", layers[0][0].shape[1]])
    outputs = make.make_tensor_value_info(f"a{len(layers)}", kind, ["rows", len(layers[-1][1])])
    graph = make.make_graph(nodes, "network", [inputs], [outputs], constants)
    # An opset that every onnxruntime of recent years knows, and the format that goes with it.
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
