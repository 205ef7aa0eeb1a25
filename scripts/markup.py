"""Markdown for the README and the reports."""

from collections.abc import Iterable, Sequence


def row(cells: Iterable[str]) -> str:
    """A row of a table; a bar within a cell is no border."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def head(titles: Sequence[str]) -> str:
    """The head of a table, for rows that are printed one by one."""
    return f"{row(titles)}\n{row(['---'] * len(titles))}"


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    return "\n".join([head(list(titles)), *map(row, rows)])
