"""The activations by name. Their kernels are the rows of the same names in ``fastnn.kernels.functions``."""

from typing import NamedTuple


class Activation(NamedTuple):
    """One row of the registry.

    Attributes
    ----------
    name : str
        What users write.
    formula : str
        The function.
    derivative : str
        Its derivative, written on the output ``a``.
    hidden : bool
        Whether hidden layers can use it; softmax works on a whole row and is for the output alone.
    """

    name: str
    formula: str
    derivative: str
    hidden: bool = True


ACTIVATIONS = {
    row.name: row
    for row in (
        Activation("identity", "z", "1"),
        Activation("sigmoid", "1 / (1 + exp(-z))", "a (1 - a)"),
        Activation("tanh", "tanh(z)", "1 - a^2"),
        Activation("relu", "max(z, 0)", "1 where a > 0, else 0"),
        Activation("softmax", "exp(z_j) / sum_k exp(z_k)", "a_j (1[j = k] - a_k)", hidden=False),
    )
}
