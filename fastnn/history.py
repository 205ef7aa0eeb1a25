"""What a training run leaves behind."""

from dataclasses import dataclass, field


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
