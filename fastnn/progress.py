"""The bar on the terminal. Training never ends because of it."""

from collections.abc import Callable
from typing import Any

from fastnn.notices import is_open, is_terminal

_OF_SAMPLES = {"unit": " samples", "unit_scale": True}


def open_bar(wanted: bool | None, total: float | None, **form: Any) -> "Bar | None":
    """A bar on stderr for so many samples, or None where none is to be seen.

    Parameters
    ----------
    wanted : bool or None
        None: if stderr is a terminal. Where there is no stderr, as in a service, there is no bar either way.
    total : float or None
        How many there are to come; None where nobody knows.
    **form
        What tqdm is told of how the bar looks, where it does not count samples.

    Examples
    --------
    >>> open_bar(False, 100) is None
    True
    """
    if not is_open():
        return None
    return Bar(total, form or _OF_SAMPLES) if (is_terminal() if wanted is None else wanted) else None


class Bar:
    """tqdm's bar, until stderr takes no more."""

    def __init__(self, total: float | None, form: dict[str, Any]) -> None:
        from tqdm import tqdm  # here: most trainings show nothing, and every tqdm leaves a thread behind

        # Seconds after which that thread looks at a bar that nobody updates; 0: no thread.
        plain = type("Plain", (tqdm,), {"monitor_interval": 0})
        self._tqdm: Any = None
        self._try(self._open, plain, total, form)

    def _open(self, kind: Any, total: float | None, form: dict[str, Any]) -> None:
        self._tqdm = kind(total=total, dynamic_ncols=True, **form)

    def _try(self, action: Callable[..., object], *arguments: object) -> None:
        try:
            action(*arguments)
        except (OSError, ValueError):  # closed meanwhile, or a full disk, or nobody reads any more
            if self._tqdm is not None:
                self._tqdm.disable = True  # or it would try again when it is forgotten
            self._tqdm = None

    def update(self, samples: int) -> None:
        """Go on by so many samples."""
        if self._tqdm is not None:
            self._try(self._tqdm.update, samples)

    def show(self, done: float, text: str) -> None:
        """Go to where so many are done, with a text beside the bar."""
        if self._tqdm is not None:
            self._tqdm.n = done
            self._try(self._tqdm.set_postfix_str, text)

    def describe(self, figures: dict[str, object]) -> None:
        """Show figures beside the bar."""
        if self._tqdm is not None:
            self._try(self._tqdm.set_postfix, figures)

    def close(self) -> None:
        """Leave it as it is, and go on to the next line."""
        if self._tqdm is not None:
            self._try(self._tqdm.close)
