"""The costs by name. Their kernels are the rows of the same names in ``fastnn.kernels.functions``."""

from typing import NamedTuple


class Cost(NamedTuple):
    """One row of the registry.

    Attributes
    ----------
    name : str
        What users write.
    formula : str
        The cost of one sample, on outputs ``a`` and targets ``y``.
    outputs : tuple of str
        The output activations it goes with, the recommended one first.
    classifies : bool
        Whether it is a cost over classes, so that ``predict`` returns labels whatever the targets looked like.
    """

    name: str
    formula: str
    outputs: tuple[str, ...]
    classifies: bool


_ANY = ("sigmoid", "identity", "tanh", "relu")

COSTS = {
    row.name: row
    for row in (
        Cost("quadratic", "1/2 sum_j (a_j - y_j)^2", _ANY, False),
        Cost("sum_squares", "sum_j (a_j - y_j)^2", _ANY, False),
        Cost("cross_entropy", "-sum_j y_j log a_j + (1 - y_j) log(1 - a_j)", ("sigmoid",), True),
        Cost("log_likelihood", "-sum_j y_j log a_j", ("softmax",), True),
    )
}
