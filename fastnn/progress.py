"""The bar on the terminal. Training never ends because of it."""

import sys
from collections.abc import Callable
from typing import Any


def _is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def open_bar(wanted: bool | None, samples: int) -> "Bar | None":
    """A bar on stderr for so many samples, or None where none is to be seen.

    Parameters
    ----------
    wanted : bool or None
        None: if stderr is a terminal. Where there is no stderr, as in a service, there is no bar either way.
    samples : int
        How many there are to come.

    Examples
    --------
    >>> open_bar(False, 100) is None
    True
    """
    stream = sys.stderr
    if stream is None or getattr(stream, "closed", False):
        return None
    return Bar(samples) if (_is_terminal(stream) if wanted is None else wanted) else None


class Bar:
    """tqdm's bar, until stderr takes no more."""

    def __init__(self, samples: int) -> None:
        from tqdm import tqdm  # here: most trainings show nothing, and every tqdm leaves a thread behind

        # Seconds after which that thread looks at a bar that nobody updates; 0: no thread.
        plain = type("Plain", (tqdm,), {"monitor_interval": 0})
        self._tqdm: Any = None
        self._try(self._open, plain, samples)

    def _open(self, kind: Any, samples: int) -> None:
        self._tqdm = kind(total=samples, unit=" samples", unit_scale=True, dynamic_ncols=True)

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

    def describe(self, figures: dict[str, object]) -> None:
        """Show figures beside the bar."""
        if self._tqdm is not None:
            self._try(self._tqdm.set_postfix, figures)

    def close(self) -> None:
        """Leave it as it is, and go on to the next line."""
        if self._tqdm is not None:
            self._try(self._tqdm.close)
