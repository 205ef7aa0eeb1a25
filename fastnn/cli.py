"""The command line: ``fastnn train``, ``evaluate``, ``predict`` and ``info``.

Options carry the names of the library's parameters and are passed on only where they are given, so the defaults are
the library's own. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; a failure is one line on stderr.
"""

import argparse
import contextlib
import dataclasses
import inspect
import itertools
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import datasets, persistence, validation, warming
from fastnn._version import __version__
from fastnn.callbacks import EarlyStopping
from fastnn.datasets import readers
from fastnn.formulas.activations import ROWS as ACTIVATIONS
from fastnn.formulas.costs import ROWS as COSTS
from fastnn.formulas.schedules import SCHEDULES
from fastnn.history import History
from fastnn.initializers import INITIALIZER_NAMES
from fastnn.inputs.scaling import SCALES
from fastnn.interrupts import held
from fastnn.network import Network, load
from fastnn.optimizers import LBFGS, OPTIMIZERS, Optimizer
from fastnn.training import DivergenceError

Array = NDArray[Any]
_EPOCHS = 10  # fit's own default is for patient users of a library; a command should come back soon
_HIDDEN_UNITS = 30
_MOST_CLASSES = 1000  # labels beyond it, of fewer samples, are rather quantities
_DATA_HELP = "mnist, digits, or a file: .npz with X and y, .csv or .csv.gz with the label first, IDX"


class _Failure(Exception):  # noqa: N818  (private, and never shown by name)
    """Something other than an argument is wrong; the text is what to tell the user."""


# --- options ---


class _Option(NamedTuple):
    """An option that is passed on to the library's parameter of that name."""

    name: str
    kind: Callable[[str], Any]
    help: str


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 784,30,10, got {text!r}") from None


def _names(text: str) -> str | list[str]:
    return text.split(",") if "," in text else text


def _listed_names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> float | list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, or one for each layer, got {text!r}") from None
    return found if len(found) > 1 else found[0]


def _scale(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _threads(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _listed(names: Iterable[str]) -> str:
    return " ".join(names)


_HIDDEN_NAMES = [name for name, row in ACTIVATIONS.items() if row.hidden]
_NETWORK_OPTIONS = (
    _Option("activation", _names, f"of the hidden layers, one for all or A,B,... for each: {_listed(_HIDDEN_NAMES)}"),
    _Option("output", str, f"activation of the output layer: {_listed(ACTIVATIONS)}"),
    _Option("cost", str, f"what training minimises: {_listed(COSTS)}"),
    _Option("initializer", str, f"how the weights start: {_listed(INITIALIZER_NAMES)}"),
    _Option("scale", _scale, f"how inputs are scaled: a number that divides them, or {_listed(SCALES)}"),
    _Option("dtype", str, f"of the weights and the arithmetic: {_listed(validation.DTYPES)}"),
    _Option("seed", int, "start of the random numbers"),
)
_FIT_OPTIONS = (
    _Option("batch_size", int, "samples per step"),
    _Option("schedule", str, f"how the learning rate changes, such as 'step(every=5)': {_listed(SCHEDULES)}"),
    _Option("l1", _numbers, "strength of the l1 penalty, or A,B,... for each layer"),
    _Option("l2", _numbers, "strength of the l2 penalty, or A,B,... for each layer"),
    _Option("dropout", _numbers, "share of hidden units left out of every step, or A,B,... for each layer's inputs"),
    _Option("max_norm", _numbers, "largest norm of a hidden unit's weights, or A,B,... for each layer"),
    _Option("clip_value", float, "largest that a number of the gradient may be"),
    _Option("clip_norm", float, "largest norm of the gradient"),
    _Option("class_weight", str, "balanced: all classes weigh the same"),
    _Option("validation_split", float, "share of the samples to hold out and validate on, in place of test data"),
    _Option("metrics", _listed_names, "A,B,... more figures on the validation data, by scikit-learn's names"),
    _Option("max_time", float, "stop after so many seconds"),
    _Option("threads", _threads, "threads that train together, or auto"),
)
_OPTIMIZER_OPTIONS = (
    _Option("learning_rate", float, "step size"),
    _Option("momentum", float, "how much of the last step goes into the next"),
    _Option("weight_decay", float, "strength of the decoupled decay of weights"),
)


_KINDS: dict[str, Any] = {**OPTIMIZERS, LBFGS.name: LBFGS}
"""Classes of optimizers by name."""


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Default of every parameter that has one."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _default_text(name: str, owners: Sequence[Callable[..., Any]]) -> str:
    """The default of a parameter for the help: one value, or one for each owner that has it."""
    found = [(owner.__name__.lower(), _defaults(owner)[name]) for owner in owners if name in _defaults(owner)]
    if len(found) == 1:
        none = "no limit" if name == "max_time" else "none"
        return none if found[0][1] in (None, ()) else str(found[0][1])
    return ", ".join(f"{value} for {owner}" for owner, value in found)


def _add_options(group: Any, options: Iterable[_Option], owners: Sequence[Callable[..., Any]]) -> None:
    for option in options:
        text = f"{option.help} (default: {_default_text(option.name, owners)})"
        group.add_argument(_flag(option.name), type=option.kind, default=argparse.SUPPRESS, help=text)


def _given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of the options that the user gave."""
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def _option_names(options: Iterable[_Option]) -> list[str]:
    return [option.name for option in options]


def _parser() -> argparse.ArgumentParser:
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
    name = run.__name__.removeprefix("_run_")
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    command.set_defaults(run=run)
    return command


def _add_train(commands: Any) -> None:
    command = _add_command(commands, _run_train, "train a network")
    command.add_argument("--data", default="mnist", metavar="NAME|FILE", help=f"{_DATA_HELP} (default: mnist)")
    command.add_argument("--test-data", metavar="FILE", help="a file to test on; mnist and digits bring their own")
    command.add_argument("--samples", type=int, metavar="N", help="train on the first N samples only")
    command.add_argument("--save", type=Path, metavar="FILE", help="where to write the trained network")
    command.add_argument("--quiet", action="store_true", help="print the last line only")

    group = command.add_argument_group("network")
    layers = f"units per layer, from inputs to outputs (default: inputs,{_HIDDEN_UNITS},classes of the data)"
    group.add_argument("--layers", type=_sizes, metavar="N,N,...", help=layers)
    _add_options(group, _NETWORK_OPTIONS, [Network])

    group = command.add_argument_group("training")
    group.add_argument("--epochs", type=int, default=_EPOCHS, help=f"passes over the data (default: {_EPOCHS})")
    _add_options(group, _FIT_OPTIONS, [Network.fit])
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
    default = _defaults(Network.fit)["optimizer"]
    group.add_argument("--optimizer", default=default, help=f"{', '.join(_KINDS)} or auto (default: {default})")
    _add_options(group, _OPTIMIZER_OPTIONS, list(OPTIMIZERS.values()))
    group.add_argument("--nesterov", action="store_true", default=argparse.SUPPRESS, help="Nesterov's form of momentum")


def _add_evaluate(commands: Any) -> None:
    command = _add_command(commands, _run_evaluate, "measure cost and accuracy of a saved network")
    command.add_argument("model", metavar="MODEL", help="a file that train --save wrote")
    command.add_argument(
        "--data", required=True, metavar="NAME|FILE", help=f"{_DATA_HELP}; of mnist and digits the test part"
    )


def _add_predict(commands: Any) -> None:
    command = _add_command(commands, _run_predict, "print a saved network's answer for every sample, one a line")
    command.add_argument("model", metavar="MODEL", help="a file that train --save wrote")
    command.add_argument(
        "--data",
        required=True,
        metavar="NAME|FILE",
        help=f"{_DATA_HELP}; a CSV file may come without labels, of IDX the images alone are read",
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")


def _add_warmup(commands: Any) -> None:
    command = _add_command(commands, _run_warmup, "compile ahead what a first training would wait for")
    for name, default in _defaults(warming.warmup).items():
        shown = default if isinstance(default, str) else ",".join(default)
        command.add_argument(
            f"--{name}", type=_names, default=argparse.SUPPRESS, metavar="NAME,...", help=f"default: {shown}"
        )


def _add_info(commands: Any) -> None:
    command = _add_command(commands, _run_info, "print what fastnn runs on, and what a saved network is")
    command.add_argument("model", nargs="?", metavar="MODEL", help="a file that train --save wrote")


# --- what is read ---


class _Data(NamedTuple):
    """Samples and where they came from."""

    source: str
    X: Array
    y: Array


def _is_name(data: str) -> bool:
    """Whether this is meant as the name of a data set: no such file, and nothing of a path about it."""
    is_path = Path(data).suffix or os.sep in data or (os.altsep and os.altsep in data) or Path(data).exists()
    return data in datasets._LOADERS or not is_path


def _read_file(path: str) -> _Data:
    data = _Data(path, *datasets.read(path))
    if len(data.X) == 0:
        raise _Failure(f"{path}: expected at least one sample, found none")
    return data


def _load_split(data: str) -> tuple[_Data, _Data | None]:
    """Training and test part; a file is all for training."""
    if not _is_name(data):
        return _read_file(data), None
    X, y, Xt, yt = datasets.load(data)
    return _Data(data, X, y), _Data(data, Xt, yt)


def _load_model(path: str) -> Network:
    try:
        return load(path)
    except ValueError as error:
        raise _Failure(str(error)) from error


def _load_test(data: str) -> _Data:
    train, test = _load_split(data)
    return test or train


def _load_inputs(data: str, n_in: int) -> Array:
    """Samples to predict, whose labels are not needed."""
    name = Path(data).name.lower()
    if _is_name(data):
        return datasets.load(data)[2]
    if name.endswith((".csv", ".csv.gz")):
        rows = readers.read_csv(data, label_column=None)
        return rows[:, 1:] if rows.shape[1] == n_in + 1 else rows
    if "idx" in name:
        images = readers.read_idx(data)
        return images.reshape(len(images), math.prod(images.shape[1:]))
    return _read_file(data).X


def _deduced_sizes(data: _Data) -> list[int]:
    """One hidden layer between as many inputs and outputs as the data have."""
    X, y = data.X, data.y
    if y.ndim == 2:
        n_out = y.shape[1]
    elif np.isfinite(y).all() and np.array_equal(y, np.floor(y)):
        n_out = max(int(y.max()) + 1, 2)
        if n_out > max(_MOST_CLASSES, len(y)):
            sizes = f"{X.shape[1]},{_HIDDEN_UNITS},1"
            raise _Failure(
                f"{data.source}: labels up to {y.max():g} are too many classes for {len(y):,} samples; "
                f"for quantities pass --layers {sizes} --output identity --cost quadratic"
            )
    else:
        n_out = 1
    return [X.shape[1], _HIDDEN_UNITS, n_out]


def _check_data(network: Network, *sources: _Data) -> None:
    """Refuse data that do not go with the network, before anything is trained: here the file can be named."""
    reader = network._reader
    for data in sources:
        try:
            reader = reader.settled(data.X, data.y)
            reader.read(data.X, data.y)
        except (ValueError, TypeError) as error:
            raise _Failure(f"{data.source}: {error}") from error


# --- what is written ---


def _target(path: Path) -> Path:
    """Where to write: behind a link, and never in the place of a device or a folder."""
    try:
        target = persistence.resolved(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    if target.exists() and not target.is_file():
        raise _Failure(f"cannot write {path}: it is not a regular file")
    return target


def _cannot_write(path: Path, error: OSError) -> _Failure:
    return _Failure(f"cannot write {path}: {error.strerror or error}")


def _files_of(data: str) -> list[Path]:
    """The files that are read for an argument: of IDX images their labels too."""
    path = Path(data)
    return [path, path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))]


def _check_is_no_input(option: str, path: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read, under whatever name."""
    for source in inputs:
        with contextlib.suppress(OSError):  # one that is not there is no danger to the other
            if source.samefile(path):
                raise ValueError(f"{option} {path} would replace {source}, which is read: choose another name")


def _check_writable(path: Path) -> None:
    """Find out before training, not after."""
    try:
        tempfile.TemporaryFile(dir=_target(path).parent).close()
    except OSError as error:
        raise _cannot_write(path, error) from error


def _save(network: Network, path: Path | None) -> None:
    if path is None:
        return
    try:
        network.save(_target(path))
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write_text(path: Path, text: str) -> None:
    try:
        persistence.write_atomically(_target(path), lambda file: file.write(text.encode()))
    except OSError as error:
        raise _cannot_write(path, error) from error


def _print_result(text: str) -> None:
    """Print all that a command is for."""
    if sys.stdout is None or sys.stdout.closed:
        raise _Failure("standard output is closed")
    sys.stdout.write(text)


# --- commands ---


def _optimizer(args: argparse.Namespace) -> Optimizer | LBFGS | str:
    name = validation.check_name("optimizer", args.optimizer, [*_KINDS, "auto"])
    settings = _given(args, [*_option_names(_OPTIMIZER_OPTIONS), "nesterov"])
    if name == "auto" and not settings:
        return name
    kind = _KINDS["sgd" if name == "auto" else name]
    known = {field.name for field in dataclasses.fields(kind)}
    for name in settings:
        if name not in known:
            raise ValueError(f"{name} does not go with optimizer {args.optimizer!r}")
    found: Optimizer | LBFGS = kind(**settings)
    return found


def _fit_arguments(train: _Data, test: _Data | None, optimizer: Any, args: argparse.Namespace) -> dict[str, Any]:
    """What ``Network.fit`` is called with besides X and y."""
    given = _given(args, [*_option_names(_FIT_OPTIONS), "shuffle", "drop_last"])
    if getattr(optimizer, "full_batch", False):
        given = {"batch_size": len(train.X), **given}
    if "validation_split" not in given and test is not None:
        given["validation_data"] = test.X, test.y
    if args.patience is not None:
        if given.keys().isdisjoint(("validation_split", "validation_data")):
            raise ValueError("patience needs validation data: pass --validation-split or --test-data")
        given["callbacks"] = [EarlyStopping(patience=args.patience)]
    return {"epochs": args.epochs, "optimizer": optimizer, "progress": False if args.quiet else None, **given}


def _scores(network: Network, data: _Data) -> tuple[str, str]:
    """Cost and, of classes, accuracy in words (else nothing)."""
    seen = network.evaluate(data.X, data.y)
    cost = f"cost {seen['cost']:.4g}"
    return cost, f"accuracy {100 * seen['accuracy']:.2f} %" if "accuracy" in seen else ""


def _run_train(args: argparse.Namespace) -> None:
    optimizer = _optimizer(args)
    if args.save is not None:
        read = [data for data in (args.data, args.test_data) if data is not None and not _is_name(data)]
        _check_is_no_input("--save", args.save, itertools.chain(*map(_files_of, read)))
        _check_writable(args.save)
    train, test = _load_split(args.data)
    if args.test_data is not None:
        test = _read_file(args.test_data)
    if args.samples is not None:
        count = validation.check_whole("samples", args.samples)
        train = _Data(train.source, train.X[:count], train.y[:count])
    options = _given(args, _option_names(_NETWORK_OPTIONS))
    if train.X.dtype == validation.UINT8 and "scale" not in options:
        options["scale"] = 255
        if not args.quiet:
            print("images of bytes: pixels are divided by 255")
    network = Network(args.layers or _deduced_sizes(train), **options)
    network._wording = "command"
    _check_data(network, *((train, test) if test else (train,)))
    try:
        history = _train_and_save(network, train, test, optimizer, args)
    except (KeyboardInterrupt, DivergenceError):
        _print_history(network.history, args)
        raise
    _print_history(history, args)  # after saving: whoever reads may go away
    measured = test or train
    cost, accuracy = _scores(network, measured)
    print(
        f"{'test' if test else 'training'} {accuracy or cost} ({len(measured.X):,} samples), "
        f"{sum(history.seconds):.2f} s of training"
    )


def _print_history(history: History | None, args: argparse.Namespace) -> None:
    if not args.quiet and history is not None:
        print(history)


def _train_and_save(
    network: Network, train: _Data, test: _Data | None, optimizer: Any, args: argparse.Namespace
) -> History:
    """Train, and save what came of it, also of a training that broke off; no interrupt comes in between."""
    arguments = _fit_arguments(train, test, optimizer, args)
    with held() as hold:
        try:
            with hold.released():
                history = network.fit(train.X, train.y, **arguments)
        except (KeyboardInterrupt, DivergenceError):  # the network holds the last good weights
            _save(network, args.save)
            raise
        _save(network, args.save)
    return history


def _run_evaluate(args: argparse.Namespace) -> None:
    network, data = _load_model(args.model), _load_test(args.data)
    _check_data(network, data)
    _print_result(f"{', '.join(filter(None, _scores(network, data)))} ({len(data.X):,} samples)\n")


def _run_predict(args: argparse.Namespace) -> None:
    if args.output is not None:
        read = [] if _is_name(args.data) else _files_of(args.data)
        _check_is_no_input("--output", args.output, [Path(args.model), *read])
    network = _load_model(args.model)
    X = _load_inputs(args.data, network.sizes[0])
    try:
        answers = network.predict(X)
    except ValueError as error:
        raise _Failure(f"{args.data}: {error}") from error
    # str of a NumPy number, not of a Python one: float32 is written with as many digits as it has.
    text = "".join(",".join(map(str, row)) + "\n" for row in answers.reshape(len(answers), -1))
    if args.output is None:
        _print_result(text)
    else:
        _write_text(args.output, text)


def _run_warmup(args: argparse.Namespace) -> None:
    began = time.perf_counter()
    warming.warmup(**_given(args, ["dtypes", "activations", "costs", "optimizers"]))
    _print_result(f"kernels are ready, after {time.perf_counter() - began:.1f} s\n")


def _run_info(args: argparse.Namespace) -> None:
    from fastnn.kernels.host import WIDTH
    from fastnn.kernels.store import cache_folder

    rows = {
        "fastnn": __version__,
        "vector width": f"{WIDTH} float32 or {WIDTH // 2} float64 numbers ({WIDTH * 32} bits)",
        "kernel cache": str(cache_folder()),
    }
    if args.model is not None:
        rows |= _described(args.model)
    _print_result("".join(f"{name + ':':13} {value}\n" for name, value in rows.items()))


def _described(path: str) -> dict[str, str]:
    network, header = _load_model(path), persistence.read(path).header
    layers = [f"{size} {activation}" for size, activation in zip(network.sizes[1:], network.activations, strict=True)]
    return {
        "model": path,
        "layers": " -> ".join([f"{network.sizes[0]} inputs", *layers]),
        "cost": network.cost,
        "dtype": network.dtype.name,
        "parameters": f"{network.n_parameters:,}",
        "optimizer": header["optimizer"],
        "steps taken": f"{header['steps']:,}",
    }


# --- the program ---


def _reason(error: OSError) -> str:
    if error.filename is None:
        return error.strerror or str(error)
    return f"{error.filename}: {error.strerror}"


def _complain(text: str, code: int) -> int:
    if sys.stderr is not None:  # or print would take stdout for it
        with contextlib.suppress(OSError, ValueError):  # closed, or full
            print("fastnn:", " ".join(text.splitlines()), file=sys.stderr, flush=True)
    return code


def _occupy_descriptors() -> None:
    """Open what is closed of descriptors 0 to 2, or a file would get one of them, and whatever a library complains."""
    descriptor = 0
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _flush_stdout() -> None:
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _warn(
    message: Any, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """A warning in one line; where the program stands that shows it is of no interest."""
    print("fastnn: warning:", " ".join(str(message).splitlines()), file=sys.stderr)


def _settle_stdout() -> None:
    """Drop what stdout cannot take, or Python's flush at exit would fail once more, with a traceback."""
    try:
        _flush_stdout()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``fastnn``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit code: 0 done (also if whoever read the output has gone), 1 failed (a file that is missing, broken or
        cannot be written, data that do not fit the network, training that diverged), 2 a wrong argument,
        130 interrupted.

    Raises
    ------
    SystemExit
        By argparse: after ``--help`` and ``--version``, and with 2 for arguments that it cannot read.

    Examples
    --------
    >>> from fastnn.cli import main
    >>> main(["train", "--data", "digits", "--epochs", "2", "--quiet"])
    test accuracy ... % (360 samples), ... s of training
    0
    """
    _occupy_descriptors()
    args = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            args.run(args)
        _flush_stdout()
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        _settle_stdout()
    except OSError as error:
        _settle_stdout()
        return _complain(f"error: {_reason(error)}", 1)
    # RuntimeError: no more threads to be had; ImportError: a library that an option needs
    except (_Failure, datasets.DataFileError, DivergenceError, RuntimeError, ImportError) as error:
        return _complain(f"error: {error}", 1)
    except MemoryError as error:
        return _complain(f"error: not enough memory: {error}", 1)
    except ValueError as error:
        return _complain(f"error: {error}", 2)
    return 0
