"""SIGINT at every traced line of a short fit."""

from collections.abc import Callable

import interrupting


def places(threads: int) -> int:
    """How many lines there are."""
    fit = interrupting.ShortFit(threads)
    fit()
    return interrupting.count_places(fit)


def attempts(threads: str, step: str) -> Callable[[int], tuple[dict[str, int], list[str]]]:
    """Interrupts a fit on so many threads at every ``step``-th line."""
    fit = interrupting.ShortFit(int(threads))
    fit()

    def attempt(number: int) -> tuple[dict[str, int], list[str]]:
        outcome = interrupting.interrupt_at(fit, 1 + number * int(step))
        if outcome is None:  # waiting for threads takes more or fewer lines
            return {"runs that were over before": 1}, []
        return {"lines interrupted": 1}, fit.problems(outcome)

    return attempt
