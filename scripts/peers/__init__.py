"""The peers of the comparison: one small class each, registered here by the name the command line knows."""

from peers.base import Peer
from peers.cases import PREDICTIONS, Case
from peers.ours import FastNN, FastNNBytes
from peers.prediction import FastNNForward, JaxForward, NumpyForward, OnnxRuntime, Predictor, TorchForward
from peers.with_jax import JaxGrad, JaxScan
from peers.with_numpy import NumpyBatch, NumpySample
from peers.with_sklearn import SklearnMLP
from peers.with_tensorflow import TensorFlowGraph
from peers.with_torch import TorchCompiled, TorchEager

OURS = ("fastnn", "fastnn (uint8)")
TRAINERS: dict[str, type[Peer]] = {
    "fastnn": FastNN,
    "fastnn (uint8)": FastNNBytes,
    "numpy_sample": NumpySample,
    "numpy": NumpyBatch,
    "torch": TorchEager,
    "torch_compile": TorchCompiled,
    "jax": JaxScan,
    "jax_grad": JaxGrad,
    "sklearn": SklearnMLP,
    "tensorflow": TensorFlowGraph,
}
PREDICTORS: dict[str, type[Predictor]] = {
    "fastnn": FastNNForward,
    "numpy": NumpyForward,
    "torch": TorchForward,
    "jax": JaxForward,
    "onnxruntime": OnnxRuntime,
}
PEERS = tuple(name for name in TRAINERS | PREDICTORS if name not in OURS)
ON_REQUEST = ("tensorflow",)


def participants(case: Case) -> list[str]:
    """Who can take part in a case."""
    if case.name in PREDICTIONS:
        return list(PREDICTORS)
    return [name for name, peer in TRAINERS.items() if peer.takes(case)]


def requirements(name: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The modules that a peer imports, and the packages to install for them; of both its classes if it has two."""
    kinds = [kinds[name] for kinds in (TRAINERS, PREDICTORS) if name in kinds]
    return [(kind.modules, kind.packages) for kind in kinds]
