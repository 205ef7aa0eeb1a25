"""What is used where nobody says: found by measurement, not by habit."""

from fastnn.optimizers import SGD, Adam

BOUNDED = ("sigmoid", "softmax", "tanh")
"""Output activations whose errors, and so whose steps, are bounded whatever the targets."""


def default_optimizer(output: str) -> SGD | Adam:
    """The optimizer ``"auto"`` for a network with this output activation.

    ``SGD(0.5)`` where outputs are bounded, as those of classifiers are; else ``Adam(0.003)``.

    Notes
    -----
    Measured with everything else at its default (30 hidden units, batches of 10, 30 epochs), inputs and quantities
    standardised, on a quarter of the data held out: iris, wine, breast cancer, digits, credit, churn, penguins, cells
    and attrition for classes (with sigmoid and softmax outputs; mean accuracy), diabetes, linnerud, diamonds, ames,
    boston, mpg, concrete and wage for quantities (identity and quadratic cost; mean R^2, "-" where a training
    diverged), each for sigmoid, tanh and relu in the hidden layer:

    =============  ==================  =====================
    optimizer      classes             quantities
    =============  ==================  =====================
    SGD(0.5)       0.907 0.910 0.911   -     -     -
    SGD(0.1)       0.913 0.906 0.907   0.626 0.647 -
    SGD(0.03)      0.906 0.900 0.905   0.636 0.649 0.664
    Adam(0.001)    0.895 0.899 0.901   0.637 0.634 0.642
    Adam(0.003)    0.905 0.907 0.905   0.662 0.654 0.673
    Adam(0.01)     0.911 0.906 0.910   0.658 0.662 0.645
    Adam(0.03)     0.907 0.903 0.905   0.630 0.631 -
    =============  ==================  =====================

    Plain SGD is the fastest step there is, so it stays where it is as good as any. No rate of it serves all the
    quantities: 0.1 is too high for a relu network with 300 inputs, 0.01 too low for small data.

    Examples
    --------
    >>> default_optimizer("softmax"), default_optimizer("identity")
    (SGD(learning_rate=0.5, momentum=0.0, nesterov=False), Adam(learning_rate=0.003, ...))
    """
    return SGD(0.5) if output in BOUNDED else Adam(0.003)
