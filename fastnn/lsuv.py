"""Where training starts by a look at the data: layer-sequential unit variance (Mishkin and Matas, 2016)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.engine import Engine
from fastnn.formulas import numeric
from fastnn.formulas.activations import Activation
from fastnn.samples import dense_rows
from fastnn.training import Samples

Array = NDArray[Any]
_SAMPLES = 1024
_NUMBERS = 1 << 22  # inputs that are looked at at most
_FLAT = 1e-12  # a variance below it is that of a layer which says nothing


def scale_layers(engine: Engine, activations: Sequence[Activation], samples: Samples) -> None:
    """Divide every layer's weights so that its weighted inputs have variance 1 over up to 1024 samples.

    Layer by layer, each with what those before it give by then. One division is all it takes, for biases move the mean
    and not the variance.
    """
    A = engine.scale_inputs(_inputs(samples, engine.layers[0].n_in))
    with engine.alone:  # a network whose layers are scaled in part is nobody's to see
        for i, activation in enumerate(activations):
            W, b = (values.astype(np.float64) for values in engine.read(i))
            # Sums in a fixed order: the bits must not depend on the threads of linear algebra.
            product = np.einsum("ni,oi->no", A, W)
            deviation = float((product + b).std())
            if deviation > _FLAT:
                W, product = W / deviation, product / deviation
                engine.write(i, W, None)
            A = numeric.activate(activation, product + b)


def _inputs(samples: Samples, n_in: int) -> Array:
    """Some samples, spread over all, as a dense matrix in float64."""
    data, order = samples.data, samples.order()
    count = max(1, min(_SAMPLES, _NUMBERS // n_in))
    rows = order[:: -(-samples.n // count)]
    return dense_rows(data, rows, n_in, np.float64)
