"""The README's tables: of activations, costs, optimizers and schedules, from the registries; of speeds, from reports.

``python scripts/tables.py`` prints them; with ``--write README.md`` they replace what stands in that file between the
lines ``<!-- tables -->`` and ``<!-- end of tables -->``, and the like.
"""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import speeds
from markup import table

from fastnn.formulas import activations, costs, optimizers, schedules
from fastnn.formulas.specs import Parameter


def code(text: str) -> str:
    """Text as it stands."""
    return f"`{text}`"


def spec(name: str, parameters: Mapping[str, Parameter]) -> str:
    """A name with its parameters and their defaults."""
    given = [f"{key}={list(p.default) if isinstance(p.default, tuple) else p.default}" for key, p in parameters.items()]
    return f"{name}({', '.join(given)})" if given else name


def call(kind: type[Any]) -> str:
    """A class with its arguments and their defaults."""
    return f"{kind.__name__}({', '.join(f'{field.name}={field.default!r}' for field in fields(kind))})"


def first_line(kind: type[Any]) -> str:
    """The first sentence of a docstring, over as many lines as it takes."""
    return " ".join(str(kind.__doc__).split("\n\n")[0].split()).replace("``", "`")


def tables() -> str:
    """All of them, one below the other."""
    found = {name: activations.resolve(name) for name in activations.ROWS}
    parts = [
        table(
            ["activation", "formula", "", "initializer"],
            (
                [
                    code(spec(name, activations.ROWS[name].parameters)),
                    code(row.text),
                    row.summary,
                    code(row.initializer),
                ]
                for name, row in found.items()
            ),
        ),
        table(
            ["cost", "of one output", "", "outputs"],
            (
                [
                    code(spec(name, row.parameters)),
                    code(costs.resolve(name).text),
                    row.summary,
                    ", ".join(map(code, row.outputs)),
                ]
                for name, row in costs.ROWS.items()
            ),
        ),
        table(
            ["optimizer", "", "as text"],
            ([code(call(kind)), first_line(kind), code(name)] for name, kind in optimizers.OPTIMIZERS.items()),
        ),
        table(
            ["schedule", "", "as text"],
            ([code(call(kind)), first_line(kind), code(name)] for name, kind in schedules.SCHEDULES.items()),
        ),
    ]
    return "\n\n".join(parts)


def report(name: str) -> str:
    """What another script found."""
    return (speeds.FIGURES / name).read_text(encoding="utf-8").strip()


SECTIONS = {
    "tables": tables,
    "estimators": partial(report, "sklearn.md"),
    "speeds": speeds.tables,
    "threads": partial(report, "threads.md"),
}
"""What makes the text between a section's lines."""


def written(document: str) -> str:
    """A document with the tables as they are now between their lines."""
    for name, make in SECTIONS.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, _, rest = document.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"the document must have the lines {begin} and {end}")
        document = f"{before}{begin}\n{make()}\n{end}{after}"
    return document


def main() -> None:
    """Print the tables or put them in a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put them in this document")
    path = parser.parse_args().write
    if path is None:
        print("\n\n".join(make() for make in SECTIONS.values()))
    else:
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
