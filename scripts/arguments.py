"""Command-line arguments that the scripts share. Needs nothing but the standard library."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

_SCRIPTS = Path(__file__).parent


def positive(text: str) -> int:
    """A type of argument: 1, 2, 3, ..."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def names_from(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A type of argument: names from a list, with commas between them."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'nothing'} is not among {', '.join(known)}")
        return names

    return parse


def add_output(parser: argparse.ArgumentParser) -> None:
    """Let a script be told where to write."""
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: scripts/figures; build with --quick")


def output_folder(options: argparse.Namespace) -> Path:
    """Where to write; a quick run, which measures little, does not touch the figures that the README shows."""
    folder = options.output or (_SCRIPTS.parent / "build" if options.quick else _SCRIPTS / "figures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
