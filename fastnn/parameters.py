"""How users see a network's weights and biases, and the gradients by them."""

from collections.abc import Iterator, MutableSequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastnn import validation
from fastnn.engine import Engine

Array = NDArray[Any]


class _ByLayer(NamedTuple):
    """Arrays of all layers."""

    weights: list[Array]
    biases: list[Array]


class Gradients(_ByLayer):
    """What ``Network.gradients`` gives: unpacks into ``dW, db``, and knows the gradient of a learned scale.

    Attributes
    ----------
    weights, biases : list of array
        For every layer dC/dW (n_out, n_in) and dC/db (n_out,).
    input_scale : array (n_in,) or None
        The gradient by ``Network.input_scale``; None where that is not learned.
    """

    input_scale: Array | None

    def __new__(cls, weights: list[Array], biases: list[Array], input_scale: Array | None = None) -> "Gradients":
        """A pair, which knows more than it unpacks into."""
        found = super().__new__(cls, weights, biases)
        found.input_scale = input_scale
        return found


class LayerArrays(MutableSequence[Array]):
    """The weights or the biases of all layers, as a list of arrays.

    Reading gives a copy that cannot be written to; assign to change a layer: ``net.weights[0] = W``.
    """

    def __init__(self, engine: Engine, biases: bool) -> None:
        self._engine, self._biases = engine, biases

    def __len__(self) -> int:
        return len(self._engine.layers)

    def __getitem__(self, index: Any) -> Any:
        """Layer ``index``, or a list of layers for a slice: as they are at one moment, also while a ``fit`` runs."""
        if isinstance(index, slice):
            with self._engine.at_rest():
                return [self[i] for i in range(*index.indices(len(self)))]
        array = self._engine.read(range(len(self))[index])[self._biases]
        array.flags.writeable = False  # writing to a copy would be lost without a word
        return array

    def __iter__(self) -> Iterator[Array]:
        """All layers as they are at one moment."""
        return iter(self[:])

    def __setitem__(self, index: Any, value: Any) -> None:
        """Change layer ``index``; a slice takes as many arrays as it has layers."""
        if isinstance(index, slice):
            layers = range(*index.indices(len(self)))
            checked = validation.check_layers(self._name, value, [self.shapes[i] for i in layers], self._engine.dtype)
        else:
            layers = range(len(self))[index : index + 1 or None]
            name = f"{self._name}[{layers[0]}]" if len(layers) else self._name
            checked = [validation.check_parameter(name, value, self.shapes[index], self._engine.dtype)]
        with self._engine.alone:
            for i, array in zip(layers, checked, strict=True):
                self._engine.write(i, *((None, array) if self._biases else (array, None)))

    def __delitem__(self, index: Any) -> None:
        raise TypeError("a network's layers cannot be deleted")

    def insert(self, index: int, value: Any) -> None:
        """Not possible: the number of layers is fixed."""
        raise TypeError("a network's layers cannot be inserted")

    @property
    def _name(self) -> str:
        return "biases" if self._biases else "weights"

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of every layer's array."""
        return [(layer.n_out,) if self._biases else (layer.n_out, layer.n_in) for layer in self._engine.layers]

    def __repr__(self) -> str:
        return f"<{self._name} of {len(self)} layers: {', '.join(map(str, self.shapes))}>"
