"""Looking while ``fit`` trains, as often as 1 % of the training time pays for, and warning of what is found."""

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.diagnostics import look as looking
from fastnn.diagnostics.look import FEW, Model, Sample, draw, is_wide
from fastnn.diagnostics.rules import RULES, Evidence, Findings, Settings, judge
from fastnn.history import History
from fastnn.kernels.buffers import Data
from fastnn.notices import unless_closed

Array = NDArray[Any]

_SHARE_OF_TIME = 0.01
_LIBRARY = "fastnn"


class TrainingWarning(UserWarning):
    """Something is wrong with a training that goes on; the text says what, where, and what to change.

    Examples
    --------
    >>> import warnings, fastnn
    >>> warnings.simplefilter("ignore", fastnn.TrainingWarning)  # to hear nothing of it
    """


def diagnose(model: Model, sample: Sample, settings: Settings, history: History | None) -> Findings:
    """Judge a network as it stands, by these samples; of the course of its last training, what was found then."""
    state = looking.look(model, sample)
    evidence = Evidence(model, settings, sample, state, state.weights, np.inf)
    course = [finding for finding in (history.findings if history else ()) if RULES[finding.name].kind == "course"]
    trained = history or model.engine.memory.steps > 0
    kinds = ("data", "state") if trained else ("data", "start", "state")
    return Findings((*judge(evidence, kinds, course), *course))


@dataclass
class Budget:
    """What looking may cost: seconds that training has paid in, and what the cheapest look took."""

    balance: float = 0.0
    price: float = 1e-3  # a guess, before the first look


class Watch:
    """Looks at a network while it is trained, and warns of every finding once.

    Parameters
    ----------
    model : Model
        The network.
    data : Data
        What it is trained on.
    n : int
        Number of samples.
    settings : Settings
        How it is trained.
    budget : Budget or None
        Of earlier trainings of this network, to go on with. None where there are none: then there is a look before the
        first step and one after the last, whatever they cost.
    history : History
        Of this training; findings are added to it.
    among : array (n,) int64 or None
        The samples it is trained on, where these are not all of the data.
    warns : bool, default True
        Say what is found, besides keeping it in the history.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        n: int,
        settings: Settings,
        budget: Budget | None,
        history: History,
        among: NDArray[np.int64] | None = None,
        warns: bool = True,
    ) -> None:
        self._model, self._settings, self._history = model, settings, history
        self._data, self._n, self._among, self._warns = data, n, among, warns
        self._judges = n >= FEW
        self._fresh, self.budget = budget is None and self._judges, budget or Budget()
        self._untrained = model.engine.memory.steps == 0
        self._sample: Sample | None = None
        self._start: Array | list[Array] = []  # parameters, or weights as a look sees them
        self.has_looked = False
        self._looked = 0  # epochs before the latest look

    # ``between`` is called before every piece of a look, and may raise to end it.

    def begin(self, between: Callable[[], None] = lambda: None) -> None:
        """Note where training starts."""
        if self._judges and is_wide(self._model, self._data):
            # What is to be seen of the first layer is a small part of it; the sample, which tells which, costs little.
            self._sample = draw(self._model, self._data, self._n, self._among)
            self._start = self._weights(None, between)
        elif self._judges:
            self._start = self._model.engine.params.copy()
        if self._fresh:
            self.look(between)

    def after_epochs(self, count: int, between: Callable[[], None] = lambda: None) -> None:
        """Look, if training has paid for it, with that of the latest epochs."""
        self.budget.balance += _SHARE_OF_TIME * sum(self._history.seconds[-count:])
        if self._judges and self.budget.balance >= self.budget.price:
            self.look(between)

    def finish(self, between: Callable[[], None] = lambda: None) -> None:
        """Look at what training came to."""
        if self._fresh and self._looked < len(self._history.train_cost):
            self.look(between)

    def _weights(self, params: Array | None, between: Callable[[], None]) -> list[Array]:
        """The layers' weights as a look sees them, now or in a copy of the parameters."""
        columns = self._sample.columns if self._sample else None
        return self._model.engine.read_all(params, between, columns)[0]

    def look(self, between: Callable[[], None] = lambda: None) -> None:
        """Look and warn, whatever it costs."""
        began, epochs, kinds = time.perf_counter(), len(self._history.train_cost), ["state", "course"]
        self._sample = self._sample or draw(self._model, self._data, self._n, self._among)
        if not self.has_looked:
            self.has_looked = True
            kinds += ["data"] + ["start"] * (epochs == 0 and self._untrained)
        state = looking.look(self._model, self._sample, between)
        start = self._start if isinstance(self._start, list) else self._weights(self._start, between)
        evidence = Evidence(self._model, self._settings, self._sample, state, start, epochs, self._history)
        found = judge(evidence, kinds, self._history.findings, between)
        took = time.perf_counter() - began
        self.budget.balance -= took
        self.budget.price = min(took, self.budget.price)
        self._looked = epochs
        for finding in found:
            self._history.findings.append(finding)
            if self._warns:
                warn(str(finding))


def warn(text: str) -> None:
    """Warn of a training, at the line of the nearest caller that is not part of this library."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _LIBRARY:
        level, frame = level + 1, frame.f_back
    with unless_closed():
        warnings.warn(text, TrainingWarning, stacklevel=level)
