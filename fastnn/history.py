"""What a training run leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One verdict on a training: what is wrong, where, how that shows, and what to change.

    Attributes
    ----------
    name : str
        What is wrong, such as "saturated units"; always in the same words.
    layer : int or None
        In which layer, from 1 for the first layer of weights; None where it is in no one layer.
    evidence : str
        What was seen, with numbers.
    advice : str
        What to change, with the call to make.
    change : mapping of str to str or float
        The same for programs: for every argument of ``Network`` or ``fit`` the Python source of what to pass, and under
        "learning_rate" the number.

    Examples
    --------
    >>> print(Finding("dead ReLUs", 1, "30 of 32 units are 0", 'fastnn.Network(..., initializer="he")'))
    dead ReLUs in layer 1: 30 of 32 units are 0. Change: fastnn.Network(..., initializer="he")
    """

    name: str
    layer: int | None
    evidence: str
    advice: str
    change: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        place = "" if self.layer is None else f" in layer {self.layer}"
        return f"{self.name}{place}: {self.evidence}. Change: {self.advice}"


@dataclass
class History:
    """The course of one ``fit``; lists with one entry per completed epoch.

    Attributes
    ----------
    train_cost : list of float
        Mean cost per sample over the epoch, each batch measured before its step; without l1 and l2.
    train_accuracy : list of float
        Share of samples whose largest output was the right one, measured likewise; NaN for regression.
    val_cost, val_accuracy : list of float
        The same on the validation data after the epoch; empty without validation data.
    seconds : list of float
        Wall time of each epoch's training, validation and callbacks not included.
    stopped_by : str
        Why training ended: "epochs", "max_time", "callback", "interrupt", "divergence" or "error" (in a callback).
    first_layer : str
        Which code ran the first layer, "dense" or "sparse" (skipping zeros), and why.
    findings : list of Finding
        What was found wrong with the training and warned of, in the order it was found.

    Examples
    --------
    >>> import fastnn
    >>> history = fastnn.History(train_cost=[0.5], train_accuracy=[0.9], seconds=[0.06])
    >>> history.epochs
    [1]
    >>> print(history)
    epoch  train cost  train accuracy  val cost  val accuracy  seconds
        1      0.5000          90.00%         -             -    0.060
    stopped by: epochs
    """

    train_cost: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_cost: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    stopped_by: str = "epochs"
    first_layer: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def epochs(self) -> list[int]:
        """Numbers of the completed epochs, from 1."""
        return list(range(1, len(self.train_cost) + 1))

    def _row(self, epoch: int) -> str:
        def cost(values: list[float]) -> str:
            return f"{values[epoch]:.4f}" if epoch < len(values) else "-"

        def share(values: list[float]) -> str:
            known = epoch < len(values) and values[epoch] == values[epoch]
            return f"{values[epoch]:.2%}" if known else "-"

        return (
            f"{epoch + 1:5d}  {cost(self.train_cost):>10}  {share(self.train_accuracy):>14}  "
            f"{cost(self.val_cost):>8}  {share(self.val_accuracy):>12}  {self.seconds[epoch]:7.3f}"
        )

    def __str__(self) -> str:
        """A table; of a long run the first and last epochs."""
        count = len(self.train_cost)
        shown = range(count) if count <= 12 else [*range(5), -1, *range(count - 5, count)]
        rows = ["  ..." if epoch < 0 else self._row(epoch) for epoch in shown]
        head = "epoch  train cost  train accuracy  val cost  val accuracy  seconds"
        return "\n".join([head, *rows, f"stopped by: {self.stopped_by}"])
