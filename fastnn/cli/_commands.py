"""What each command does."""

import argparse
import dataclasses
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastnn import persistence, validation, warming
from fastnn._version import __version__
from fastnn.callbacks import EarlyStopping
from fastnn.cli import _data
from fastnn.cli._data import Data, Reading, is_name
from fastnn.cli._options import (
    FIT_OPTIONS,
    KINDS,
    NETWORK_OPTIONS,
    OPTIMIZER_OPTIONS,
    given,
    option_names,
)
from fastnn.cli._writing import (
    Failure,
    check_is_no_input,
    check_writable,
    csv_cell,
    files_of,
    print_result,
    save,
    say,
    write_text,
)
from fastnn.datasets import Dataset
from fastnn.history import History
from fastnn.interrupts import held
from fastnn.network import Network, load
from fastnn.optimizers import LBFGS, Optimizer
from fastnn.training import DivergenceError

_FEW = 5  # names that are shown of many


def _load_model(path: str, label_column: str | None = None) -> tuple[Network, Reading]:
    """A saved network, and how its files are read."""
    try:
        network = load(path)
    except ValueError as error:
        raise Failure(str(error)) from error
    try:
        return network, Reading.of(network, label_column)
    except (ValueError, TypeError) as error:
        raise Failure(f"cannot load {path!r}: {error}") from error


def _optimizer(args: argparse.Namespace) -> Optimizer | LBFGS | str:
    name = validation.check_name("optimizer", args.optimizer, [*KINDS, "auto"])
    settings = given(args, [*option_names(OPTIMIZER_OPTIONS), "nesterov"])
    if name == "auto" and not settings:
        return name
    kind = KINDS["sgd" if name == "auto" else name]
    known = {field.name for field in dataclasses.fields(kind)}
    for name in settings:
        if name not in known:
            raise ValueError(f"{name} does not go with optimizer {args.optimizer!r}")
    found: Optimizer | LBFGS = kind(**settings)
    return found


def _fit_arguments(train: Data, test: Data | None, optimizer: Any, args: argparse.Namespace) -> dict[str, Any]:
    """What ``Network.fit`` is called with besides X and y."""
    options = given(args, [*option_names(FIT_OPTIONS), "shuffle", "drop_last"])
    if getattr(optimizer, "full_batch", False):
        options = {"batch_size": len(train.X), **options}
    if "validation_split" not in options and test is not None:
        options["validation_data"] = test.X, test.y
    if args.patience is not None:
        if options.keys().isdisjoint(("validation_split", "validation_data")):
            raise ValueError("patience needs validation data: pass --validation-split or --test-data")
        options["callbacks"] = [EarlyStopping(patience=args.patience)]
    return {"epochs": args.epochs, "optimizer": optimizer, "progress": False if args.quiet else None, **options}


def _scores(network: Network, data: Data) -> tuple[str, str]:
    """Cost and, of classes, accuracy in words (else nothing)."""
    seen = network.evaluate(data.X, data.y)
    cost = f"cost {seen['cost']:.4g}{'' if network.target_scale is None else ' of scaled targets'}"
    return cost, f"accuracy {100 * seen['accuracy']:.2f} %" if "accuracy" in seen else ""


def run_train(args: argparse.Namespace) -> None:
    optimizer = _optimizer(args)
    if args.save is not None:
        read = [data for data in (args.data, args.test_data) if data is not None and not is_name(data)]
        check_is_no_input("--save", args.save, itertools.chain(*map(files_of, read)))
        check_writable(args.save)
    network, train, test = _prepared(args)
    try:
        history = _train_and_save(network, train, test, optimizer, args)
    except (KeyboardInterrupt, Exception):
        _print_history(network.history, args)
        raise
    _print_history(history, args)  # after saving: whoever reads may go away
    measured = test or train
    cost, accuracy = _scores(network, measured)
    print(
        f"{'test' if test else 'training'} {accuracy or cost} ({len(measured.X):,} samples), "
        f"{sum(history.seconds):.2f} s of training"
    )


def _prepared(args: argparse.Namespace) -> tuple[Network, Data, Data | None]:
    """A fresh network, and data that go with it."""
    reading = Reading.asked(args.label_column, args.missing, args.leave_out)
    loaded = _data.load(args.data, reading, "train")
    train, test = loaded.train, loaded.test
    if args.test_data is not None:
        test = _data.load_file(args.test_data, reading.after(loaded.facts), "train").train
        test = _data.in_order(test, train.columns)
    if args.samples is not None:
        count = validation.check_whole("samples", args.samples)
        train = train._replace(X=train.X[:count], y=train.y[:count])
    asked = given(args, option_names(NETWORK_OPTIONS))
    if args.missing == "mean":
        asked["missing"] = "mean"
    options = _data.network_arguments(loaded, args.layers, asked)
    if not args.quiet:
        said = _data.label_note(loaded.facts, args.label_column)
        for note in [*said, *_data.notes_on_training(loaded.facts, options, asked)]:
            print(note)
    network = Network(**options)
    network._wording = "command"
    network._reading = reading.to_header(loaded.facts)
    if test is not None:
        test = _data.in_words_of_network(test, network)
    _data.check_data(network, "train", *((train, test) if test else (train,)))
    network._reader = replace(network._reader, names=train.columns)
    return network, train, test


def _print_history(history: History | None, args: argparse.Namespace) -> None:
    if not args.quiet and history is not None and history.epochs:
        print(history)


def _train_and_save(
    network: Network, train: Data, test: Data | None, optimizer: Any, args: argparse.Namespace
) -> History:
    """Train, and save what came of it, also of a training that broke off; no interrupt comes in between."""
    arguments = _fit_arguments(train, test, optimizer, args)
    with held() as hold:
        try:
            with hold.released():
                history = network.fit(train.X, train.y, **arguments)
        except (KeyboardInterrupt, DivergenceError):  # the network holds the last good weights
            save(network, args.save)
            raise
        except Exception:  # such as no more memory: so it does here, if it has learned anything
            if network._engine.memory.steps:
                save(network, args.save)
            raise
        save(network, args.save)
    return history


def _say_notes(facts: Dataset, args: argparse.Namespace) -> None:
    if not args.quiet:
        for note in _data.notes_on_use(facts, args.command):
            say(note)


def run_evaluate(args: argparse.Namespace) -> None:
    network, reading = _load_model(args.model, args.label_column)
    loaded = _data.load(args.data, reading, "evaluate")
    data = _data.in_order(loaded.to_measure, network.columns)
    data = _data.in_words_of_network(data, network)
    _data.check_data(network, "evaluate", data)
    _say_notes(loaded.facts, args)
    print_result(f"{', '.join(filter(None, _scores(network, data)))} ({len(data.X):,} samples)\n")


def run_predict(args: argparse.Namespace) -> None:
    if args.output is not None:
        read = [] if is_name(args.data) else files_of(args.data)
        check_is_no_input("--output", args.output, [Path(args.model), *read])
    network, reading = _load_model(args.model, args.label_column)
    facts = _data.load_inputs(args.data, network, reading)
    try:
        answers = network.predict(facts.X)
    except (ValueError, TypeError) as error:
        raise Failure(f"{args.data}: {_data.in_words_of_command(str(error), 'predict')}") from error
    _say_notes(facts, args)
    # str of a NumPy number, not of a Python one: float32 is written with as many digits as it has.
    text = "".join(",".join(csv_cell(str(cell)) for cell in row) + "\n" for row in answers.reshape(len(answers), -1))
    if args.output is None:
        print_result(text)
    else:
        write_text(args.output, text)


def run_warmup(args: argparse.Namespace) -> None:
    began = time.perf_counter()
    warming.warmup(**given(args, ["dtypes", "activations", "costs", "optimizers"]))
    print_result(f"kernels are ready, after {time.perf_counter() - began:.1f} s\n")


def run_info(args: argparse.Namespace) -> None:
    from fastnn.kernels.host import lanes_of
    from fastnn.kernels.store import cache_folder

    width = lanes_of(4)
    rows = {
        "fastnn": __version__,
        "vector width": f"{width} float32 or {width // 2} float64 numbers ({width * 32} bits)",
        "kernel cache": str(cache_folder()),
    }
    if args.model is not None:
        rows |= _described(args.model)
    print_result("".join(f"{name + ':':13} {value}\n" for name, value in rows.items()))


def _described(path: str) -> dict[str, str]:
    (network, reading), header = _load_model(path), persistence.read(path).header
    reader = network._reader
    layers = [f"{size} {activation}" for size, activation in zip(network.sizes[1:], network.activations, strict=True)]
    label = network._reading.get("label_column")
    known = {
        "task": network.task,
        "scale": None if network.scale is None else str(network.scale),
        "missing": reader.wishes.missing,
        "target scale": None if network.target_scale is None else str(network.target_scale),
        "classes": None if reader.task is None else _first_of(network.classes),
        "columns": _first_of(network.columns),
        "targets": _first_of(network.targets),
        "label column": None if label is None else str(label),
        "text columns": _texts_of(reading),
        "left out": _first_of(reading.leave_out or None),
    }
    return {
        "model": path,
        "layers": " -> ".join([f"{network.sizes[0]} inputs", *layers]),
        "cost": network.cost,
        "dtype": network.dtype.name,
        "parameters": f"{network.n_parameters:,}",
        "optimizer": header["optimizer"],
        "steps taken": f"{header['steps']:,}",
        **{name: shown for name, shown in known.items() if shown is not None},
    }


def _texts_of(reading: Reading) -> str | None:
    """Columns of text, and how many texts each has."""
    known = reading.categories
    if not isinstance(known, Mapping) or not known:
        return None
    return _first_of([f"{key}: {len(texts)} values" for key, texts in known.items()])


def _first_of(names: Any) -> str | None:
    """How many there are, and the first few."""
    if names is None:
        return None
    shown = ", ".join(map(str, names[:_FEW])) + (", ..." if len(names) > _FEW else "")
    return f"{len(names):,} ({shown})"
