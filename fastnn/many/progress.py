"""One progress bar for many networks."""

import math
from collections.abc import Sequence

from fastnn.history import History
from fastnn.many.population import Member
from fastnn.progress import open_bar


class Board:
    """Shows how many networks are done, the best so far, and the time left; reads their histories while they grow.

    Parameters
    ----------
    members : sequence of Member
        All of them.
    progress : bool or None
        Whether to show anything; None: on a terminal.
    """

    def __init__(self, members: Sequence[Member], progress: bool | None) -> None:
        self._members = members
        self._before = [member.network.history for member in members]
        self._done: set[int] = set()
        self._total = sum(member.work for member in members) or 1.0
        self._bar = open_bar(progress, self._total, bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}")

    def finish(self, place: int) -> None:
        """Note that a network is done, however that ended."""
        self._done.add(place)

    def refresh(self) -> None:
        """Show how things are."""
        if self._bar is None:
            return
        done = min(self._total, sum(self._share(i) * member.work for i, member in enumerate(self._members)))
        self._bar.show(done, f"{len(self._done)}/{len(self._members)} networks{self._best()}")

    def close(self) -> None:
        """Show the end."""
        self.refresh()
        if self._bar is not None:
            self._bar.close()

    def _history(self, place: int) -> History | None:
        """Of this training; None before it has begun."""
        history = self._members[place].network.history
        return None if history is self._before[place] else history

    def _share(self, place: int) -> float:
        history = self._history(place)
        if place in self._done:
            return 1.0
        return 0.0 if history is None else len(history.train_cost) / max(1, self._members[place].arguments["epochs"])

    def _best(self) -> str:
        histories = [history for i in range(len(self._members)) if (history := self._history(i)) is not None]
        for name, best, form in (
            ("val_accuracy", max, ".2%"),
            ("val_cost", min, ".4g"),
            ("train_accuracy", max, ".2%"),
            ("train_cost", min, ".4g"),
        ):
            latest = [figures[-1] for history in histories if (figures := getattr(history, name))]
            known = [figure for figure in latest if not math.isnan(figure)]
            if known:
                return f", best {name} {best(known):{form}}"
        return ""
