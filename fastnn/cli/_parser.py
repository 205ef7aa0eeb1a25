"""The commands and their options, as argparse knows them."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnn import warming
from fastnn._version import __version__
from fastnn.cli._commands import run_evaluate, run_info, run_predict, run_train, run_warmup
from fastnn.cli._options import (
    EPOCHS,
    FIT_OPTIONS,
    HIDDEN_UNITS,
    KINDS,
    NETWORK_OPTIONS,
    OPTIMIZER_OPTIONS,
    add_options,
    columns,
    defaults,
    missing,
    names,
    sizes,
)
from fastnn.network import Network
from fastnn.optimizers import OPTIMIZERS

_DATA_HELP = "mnist, digits, or a file: .csv or .tsv, .npz with X and y, IDX, the book's .pkl; also with .gz"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastnn", description="Train small dense neural networks, fast.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_predict(commands)
    _add_info(commands)
    _add_warmup(commands)
    return parser


def _add_command(commands: Any, run: Callable[[argparse.Namespace], None], text: str) -> Any:
    name = run.__name__.removeprefix("run_")
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    command.set_defaults(run=run)
    return command


def _add_train(commands: Any) -> None:
    command = _add_command(commands, run_train, "train a network")
    command.add_argument("--data", default="mnist", metavar="NAME|FILE", help=f"{_DATA_HELP} (default: mnist)")
    _add_label_column(command, "0, the first")
    command.add_argument(
        "--missing",
        type=missing,
        metavar="mean|NUMBER",
        help="what takes the place of missing values, kept with the network (default: they are refused)",
    )
    command.add_argument(
        "--leave-out",
        type=columns,
        default=(),
        metavar="NAME,...",
        help="columns of a CSV file that are left out, by name or counted from 0, kept with the network: later files "
        "may have them or not",
    )
    command.add_argument("--test-data", metavar="FILE", help="a file to test on; mnist and digits bring their own")
    command.add_argument("--samples", type=int, metavar="N", help="train on the first N samples only")
    command.add_argument("--save", type=Path, metavar="FILE", help="where to write the trained network")
    command.add_argument("--quiet", action="store_true", help="print the last line only")

    group = command.add_argument_group("network")
    layers = f"units per layer, from inputs to outputs (default: inputs,{HIDDEN_UNITS},classes or targets of the data)"
    group.add_argument("--layers", type=sizes, metavar="N,N,...", help=layers)
    add_options(group, NETWORK_OPTIONS, [Network])

    group = command.add_argument_group("training")
    group.add_argument("--epochs", type=int, default=EPOCHS, help=f"passes over the data (default: {EPOCHS})")
    add_options(group, FIT_OPTIONS, [Network.fit])
    group.add_argument(
        "--no-shuffle",
        dest="shuffle",
        action="store_false",
        default=argparse.SUPPRESS,
        help="take the samples as they come",
    )
    group.add_argument(
        "--drop-last",
        action="store_true",
        default=argparse.SUPPRESS,
        help="leave out a smaller last batch of every epoch",
    )
    patience = "stop when the validation cost has not fallen for N epochs; the weights of the best epoch are kept"
    group.add_argument("--patience", type=int, metavar="N", help=patience)
    default = defaults(Network.fit)["optimizer"]
    group.add_argument("--optimizer", default=default, help=f"{', '.join(KINDS)} or auto (default: {default})")
    add_options(group, OPTIMIZER_OPTIONS, list(OPTIMIZERS.values()))
    group.add_argument("--nesterov", action="store_true", default=argparse.SUPPRESS, help="Nesterov's form of momentum")


def _add_label_column(command: Any, default: str) -> None:
    text = f"of a CSV file the column with the labels, by name or counted from 0 (default: {default})"
    command.add_argument("--label-column", metavar="NAME|NUMBER", help=text)


def _add_evaluate(commands: Any) -> None:
    command = _add_command(commands, run_evaluate, "measure cost and accuracy of a saved network")
    command.add_argument("model", metavar="MODEL", help="a file that train --save wrote")
    command.add_argument(
        "--data", required=True, metavar="NAME|FILE", help=f"{_DATA_HELP}; where there is a test part, that"
    )
    _add_label_column(command, "as in training")
    command.add_argument("--quiet", action="store_true", help="say nothing of how the file was read")


def _add_predict(commands: Any) -> None:
    command = _add_command(commands, run_predict, "print a saved network's answer for every sample, one a line")
    command.add_argument("model", metavar="MODEL", help="a file that train --save wrote")
    command.add_argument(
        "--data",
        required=True,
        metavar="NAME|FILE",
        help=f"{_DATA_HELP}; labels may be absent, of IDX the images alone are read",
    )
    _add_label_column(command, "as in training")
    command.add_argument("--quiet", action="store_true", help="say nothing of how the file was read")
    command.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")


def _add_warmup(commands: Any) -> None:
    command = _add_command(commands, run_warmup, "compile ahead what a first training would wait for")
    for name, default in defaults(warming.warmup).items():
        shown = default if isinstance(default, str) else ",".join(default)
        command.add_argument(
            f"--{name}", type=names, default=argparse.SUPPRESS, metavar="NAME,...", help=f"default: {shown}"
        )


def _add_info(commands: Any) -> None:
    command = _add_command(commands, run_info, "print what fastnn runs on, and what a saved network is")
    command.add_argument("model", nargs="?", metavar="MODEL", help="a file that train --save wrote")
