"""The peers of the comparison: one small class each, registered here by the name the command line knows."""

from peers.base import Peer
from peers.ours import FastNN, FastNNBytes
from peers.with_jax import JaxScan
from peers.with_numpy import NumpyBatch, NumpySample
from peers.with_sklearn import SklearnMLP
from peers.with_tensorflow import TensorFlowGraph
from peers.with_torch import TorchCompiled, TorchEager

OURS: dict[str, type[Peer]] = {"fastnn": FastNN, "fastnn (uint8)": FastNNBytes}
PEERS: dict[str, type[Peer]] = {
    "numpy_sample": NumpySample,
    "numpy": NumpyBatch,
    "torch": TorchEager,
    "torch_compile": TorchCompiled,
    "jax": JaxScan,
    "sklearn": SklearnMLP,
    "tensorflow": TensorFlowGraph,
}
ON_REQUEST = {"tensorflow"}
EVERYONE = OURS | PEERS
