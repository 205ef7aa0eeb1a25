"""What a training run leaves behind."""

import copy
import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

FIGURES: Mapping[str, bool] = MappingProxyType(
    {"train_cost": False, "val_cost": False, "train_accuracy": True, "val_accuracy": True}
)
"""What is measured of every training, and whether a larger value is better."""
OWN_PREFIXES = ("train_", "val_")
"""What no metric's name begins with, so that a misspelt figure is not taken for one."""
_MOST_ROWS, _ENDS = 12, 5  # of a table: a longer one shows so many epochs at either end


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
    metrics : dict of str to list of float
        The ``metrics`` that ``fit`` was asked for, by name.
    learning_rate : list of float
        Of the last step of each epoch; NaN for an optimizer that has none.
    seconds : list of float
        Wall time of each epoch's training, validation and callbacks not included.
    held_out : int
        How many samples ``validation_split`` took for validation; 0 where nothing was split.
    best_epoch : int or None
        The epoch whose weights ``EarlyStopping`` put back, from 1.
    stopped_by : str
        Why training ended: "epochs", "max_time", "callback", "interrupt", "divergence" or "error" (in a callback or a
        stream); of L-BFGS also "converged", and "line search" where no step brings the cost down any more.
    first_layer : str
        Which code ran the first layer, "dense" or "sparse" (skipping zeros), and why; "packed" where the samples' zeros
        were left out of a copy of them as well, "samples across the registers" where all layers are so small that it is
        faster so.
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
    metrics: dict[str, list[float]] = field(default_factory=dict)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    held_out: int = 0
    best_epoch: int | None = None
    stopped_by: str = "epochs"
    first_layer: str = ""
    findings: list[Finding] = field(default_factory=list)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From a pickle, which an earlier version may have written that measured less."""
        vars(self).update({**vars(History()), **state})

    @property
    def epochs(self) -> list[int]:
        """Numbers of the completed epochs, from 1."""
        return list(range(1, len(self.train_cost) + 1))

    def figure(self, name: str) -> list[float]:
        """The course of "train_cost" and so on, or of one of the ``metrics``; empty where it was not measured.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.History(metrics={"roc_auc": [0.9]}).figure("roc_auc")
        [0.9]
        """
        values: list[float] = getattr(self, name) if name in FIGURES else self.metrics.get(name, [])
        return values

    def _at_rest(self) -> "History":
        """The history as it stands now, with lists that no training goes on to fill in another thread."""
        still, figures = copy.copy(self), (*FIGURES, "learning_rate", "seconds")
        still.train_cost = list(self.train_cost)  # first: what is measured has epochs
        count = len(still.train_cost)
        for name in figures:
            setattr(still, name, getattr(self, name)[:count])
        still.metrics = {name: values[:count] for name, values in list(self.metrics.items())}
        return still

    def _columns(self) -> list[tuple[str, list[str]]]:
        """The table: of every column its head and the text of each epoch."""
        count = len(self.train_cost)

        def texts(values: list[float], pattern: str) -> list[str]:
            known = [*values, *[math.nan] * (count - len(values))]  # the last validation may not have come about
            return ["-" if math.isnan(value) else format(value, pattern) for value in known[:count]]

        return [
            ("epoch", [str(epoch) for epoch in self.epochs]),
            ("train cost", texts(self.train_cost, ".4f")),
            ("train accuracy", texts(self.train_accuracy, ".2%")),
            ("val cost", texts(self.val_cost, ".4f")),
            ("val accuracy", texts(self.val_accuracy, ".2%")),
            *((name, texts(values, ".4f")) for name, values in self.metrics.items()),
            ("seconds", texts(self.seconds, ".3f")),
        ]

    def _shown(self) -> list[int | None]:
        """Places of the epochs that a table shows; None stands for those left out."""
        count = len(self.train_cost)
        return list(range(count)) if count <= _MOST_ROWS else [*range(_ENDS), None, *range(count - _ENDS, count)]

    def _remarks(self) -> list[str]:
        """What stands under a table."""
        held_out = [f"held out for validation: {self.held_out:,} samples"] if self.held_out else []
        best = [f"weights of epoch {self.best_epoch} put back"] if self.best_epoch else []
        return [*held_out, *best, f"stopped by: {self.stopped_by}"]

    def __str__(self) -> str:
        """A table; of a long run the first and last epochs."""
        return self._at_rest()._text()

    def _text(self) -> str:
        columns = self._columns()
        widths = [max(len(head), *map(len, texts), 0) for head, texts in columns]
        rows = [
            "  ..."
            if place is None
            else "  ".join(texts[place].rjust(width) for (_, texts), width in zip(columns, widths, strict=True))
            for place in self._shown()
        ]
        head = "  ".join(name.rjust(width) for (name, _), width in zip(columns, widths, strict=True))
        return "\n".join([head, *rows, *self._remarks()])

    def _repr_html_(self) -> str:
        """The same table for a notebook."""
        return self._at_rest()._html()

    def _html(self) -> str:
        columns = self._columns()
        head = "".join(f"<th>{html.escape(name)}</th>" for name, _ in columns)
        rows = [
            f'<tr><td colspan="{len(columns)}">...</td></tr>'
            if place is None
            else "<tr>" + "".join(f"<td>{texts[place]}</td>" for _, texts in columns) + "</tr>"
            for place in self._shown()
        ]
        remarks = "<br>".join(map(html.escape, self._remarks()))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table><p>{remarks}</p>"

    def to_frame(self) -> Any:
        """The course as a pandas ``DataFrame``: a row for every epoch, a column for every figure that was measured.

        Returns
        -------
        pandas.DataFrame
            The index, named "epoch", begins with 1.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> import fastnn
        >>> history = fastnn.History(train_cost=[0.5, 0.4], train_accuracy=[0.8, 0.9], seconds=[0.1, 0.1])
        >>> history.to_frame()["train_cost"].tolist()  # doctest: +SKIP
        [0.5, 0.4]
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError('pandas is not installed: pip install "fastnn-engine[pandas]"') from error
        still = self._at_rest()
        columns = {
            **{name: still.figure(name) for name in FIGURES},
            **still.metrics,
            "learning_rate": still.learning_rate,
            "seconds": still.seconds,
        }
        index = pd.Index(still.epochs, name="epoch")
        measured = {name: pd.Series(values, index[: len(values)]) for name, values in columns.items() if values}
        return pd.DataFrame(measured, index=index)

    def plot(self) -> Any:
        """Draw the course with Matplotlib: costs on the left, accuracies and metrics on the right.

        Returns
        -------
        matplotlib.figure.Figure
            ``figure.savefig("course.png")`` writes it to a file; notebooks that show Matplotlib's figures show it.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.History(train_cost=[0.5, 0.4]).plot().savefig("course.png")  # doctest: +SKIP
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError('Matplotlib is not installed: pip install "fastnn-engine[plot]"') from error
        still = self._at_rest()
        figures = {name: still.figure(name) for name in FIGURES} | still.metrics
        costs = {name: values for name, values in figures.items() if name in ("train_cost", "val_cost")}
        figure = Figure(figsize=(9, 3.5), layout="constrained")
        shares = {name: values for name, values in figures.items() if name not in costs}
        for axes, title, shown in zip(figure.subplots(1, 2), ("cost", "accuracy"), (costs, shares), strict=True):
            for name, values in shown.items():
                if not all(map(math.isnan, values)):
                    axes.plot(range(1, len(values) + 1), values, label=name)
            axes.set(xlabel="epoch", title=title if shown is costs or not still.metrics else "accuracy and metrics")
            if axes.lines:
                axes.legend()
        return figure
