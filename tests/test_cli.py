"""The command line: what it prints, what it passes on, and how it ends."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from children import environment
from states import same

import fastnn
from fastnn import SGD, Adam, Network, cli
from fastnn.cli import _data
from fastnn.formulas.optimizers import OPTIMIZERS
from fastnn.training import Training

X, y, Xt, yt = fastnn.datasets.load_digits()
QUICK = ["--data", "digits", "--epochs", "2"]


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Run a command in this process."""

    def run(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse ends by itself
            code = end.code
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net"
    net = Network([64, 30, 10])
    net.fit(X, y, epochs=3)
    net.save(path)
    return path


@pytest.fixture(scope="module")
def regressor(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net"
    Network([64, 2], output="identity", cost="quadratic").save(path)
    return path


def write_csv(path, *columns):
    np.savetxt(path, np.column_stack(columns), delimiter=",", fmt="%.9g")
    return path


def write_idx(folder, images, labels):
    def write(path, array):
        header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        path.write_bytes(header + array.astype(np.uint8).tobytes())
        return path

    write(folder / "some-labels-idx1-ubyte", labels)
    return write(folder / "some-images-idx3-ubyte", images)


# --- train ---


def test_train_prints_the_history_and_the_result(run):
    code, out, err = run("train", *QUICK)
    assert (code, err) == (0, "")
    net = Network([64, 30, 10])
    history = net.fit(X, y, epochs=2, validation_data=(Xt, yt))
    *table, last = out.splitlines()
    without_seconds = [line.rpartition("  ")[0] for line in str(history).splitlines()[:-1]]
    assert [line.rpartition("  ")[0] for line in table[:-1]] == without_seconds
    assert table[-1] == "stopped by: epochs"
    accuracy = f"{100 * net.evaluate(Xt, yt)['accuracy']:.2f}"
    assert re.fullmatch(rf"test accuracy {accuracy} % \(360 samples\), \d+\.\d\d s of training", last)


def test_the_default_is_mnist_on_the_network_of_the_book(run, tmp_path):
    code, out, _ = run("train", "--samples", "200", "--epochs", "1", "--save", tmp_path / "net")
    assert code == 0
    assert "(10,000 samples)" in out.splitlines()[-1]
    X, y, _, _ = fastnn.datasets.load_mnist()
    net = Network([784, 30, 10])
    net.fit(X[:200], y[:200], epochs=1)
    assert same(fastnn.load(tmp_path / "net"), net)


def test_quiet_prints_the_last_line_only(run):
    code, out, err = run("train", *QUICK, "--quiet")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "network", "fit"),
    [
        ("", {}, {}),
        (
            "--layers 64,20,15,10 --activation tanh,relu",
            {"sizes": [64, 20, 15, 10], "activation": ["tanh", "relu"]},
            {},
        ),
        ("--layers 64,10", {"sizes": [64, 10]}, {}),
        ("--activation relu", {"activation": "relu"}, {}),
        ("--output softmax --cost log_likelihood", {"output": "softmax", "cost": "log_likelihood"}, {}),
        ("--initializer normal --seed 7", {"initializer": "normal", "seed": 7}, {}),
        ("--dtype float64", {"dtype": "float64"}, {}),
        ("--batch-size 32", {}, {"batch_size": 32}),
        ("--l1 0.001 --l2 0.0005", {}, {"l1": 0.001, "l2": 0.0005}),
        ("--no-shuffle", {}, {"shuffle": False}),
        ("--max-time 1000", {}, {"max_time": 1000.0}),
        ("--threads 2 --batch-size 100", {}, {"threads": 2, "batch_size": 100}),
        ("--threads auto", {}, {"threads": "auto"}),
        ("--learning-rate 0.1", {}, {"optimizer": SGD(0.1)}),
        ("--momentum 0.5", {}, {"optimizer": SGD(momentum=0.5)}),
        ("--learning-rate 0.1 --momentum 0.9 --nesterov", {}, {"optimizer": SGD(0.1, 0.9, nesterov=True)}),
        ("--optimizer adam", {}, {"optimizer": Adam()}),
        ("--optimizer adam --learning-rate 0.01", {}, {"optimizer": Adam(0.01)}),
    ],
)
def test_options_reach_the_library(options, network, fit, run, tmp_path):
    """The very weights that the same call in Python gives; what is not given is the library's default."""
    code, _, err = run("train", *QUICK, *options.split(), "--save", tmp_path / "net")
    assert (code, err) == (0, "")
    net = Network(**{"sizes": [64, 30, 10], **network})
    net.fit(X, y, epochs=2, **fit)
    loaded = fastnn.load(tmp_path / "net")
    assert repr(loaded) == repr(net)
    assert same(loaded, net)


def test_samples_takes_the_first_ones(run, tmp_path):
    assert run("train", *QUICK, "--samples", 100, "--save", tmp_path / "net").code == 0
    net = Network([64, 30, 10])
    net.fit(X[:100], y[:100], epochs=2)
    assert same(fastnn.load(tmp_path / "net"), net)
    assert run("train", *QUICK, "--samples", 10**9).code == 0


@pytest.mark.filterwarnings("ignore:overfitting")  # as long as it takes
def test_max_time_ends_training(run):
    code, out, _ = run("train", "--data", "digits", "--epochs", 10**6, "--max-time", 0.1)
    assert code == 0
    assert "stopped by: max_time" in out


@pytest.mark.filterwarnings("default::fastnn.TrainingWarning")
def test_a_warning_is_one_line_in_the_words_of_the_command(run, tmp_path):
    too_few_pixels = np.floor(X[:, :63] * 255)
    code, _, err = run("train", "--data", write_csv(tmp_path / "data.csv", y, too_few_pixels), "--epochs", 1)
    assert code == 0
    lines = err.splitlines()
    assert re.match(r"fastnn: warning: inputs far from unit scale: .* Change: --scale 255$", lines[0])
    assert all(line.startswith("fastnn: warning: ") for line in lines)
    code, out, err = run("train", "--data", tmp_path / "data.csv", "--epochs", 3, "--scale", 255, "--quiet")
    assert (code, err) == (0, "")
    assert re.match(r"training accuracy 9\d", out)


FILES = {
    "csv": lambda folder: write_csv(folder / "data.csv", y, X),
    "csv.gz": lambda folder: write_csv(folder / "data.csv.gz", y, X),
    "npz": lambda folder: (np.savez(folder / "data.npz", X=X, y=y), folder / "data.npz")[1],
    "npz, one-hot": lambda folder: (np.savez(folder / "data.npz", X=X, y=np.eye(10)[y]), folder / "data.npz")[1],
    "npz, labels as floats": lambda folder: (np.savez(folder / "data.npz", X=X, y=y * 1.0), folder / "data.npz")[1],
    "idx": lambda folder: write_idx(folder, X.reshape(-1, 8, 8) * 255, y),
}


@pytest.mark.parametrize("write", FILES.values(), ids=FILES.keys())
def test_files_of_ones_own(write, run, tmp_path):
    """Layers are deduced; without test data, training data are measured."""
    code, out, err = run("train", "--data", write(tmp_path), "--epochs", 3, "--save", tmp_path / "net")
    assert (code, err) == (0, "")
    assert fastnn.load(tmp_path / "net").sizes == (64, 30, 10)
    assert re.match(r"training accuracy 9\d\.\d\d % \(1,437 samples\)", out.splitlines()[-1])
    assert re.search(r"^ +1 .* - +- ", out, re.MULTILINE)  # nothing to validate on
    assert ("pixels are divided by 255" in out) == (fastnn.load(tmp_path / "net").scale == 255)


def test_test_data_of_ones_own(run, tmp_path):
    train, test = write_csv(tmp_path / "a.csv", y, X), write_csv(tmp_path / "b.csv", yt[:50], Xt[:50])
    for data in (train, "digits"):
        code, out, _ = run("train", "--data", data, "--test-data", test, "--epochs", 2)
        assert code == 0
        assert re.match(r"test accuracy \d\d\.\d\d % \(50 samples\)", out.splitlines()[-1])


def test_a_regression(run, tmp_path):
    path = write_csv(tmp_path / "data.csv", X.mean(axis=1), X)
    options = ["--output", "identity", "--cost", "quadratic", "--learning-rate", "0.01"]
    code, out, _ = run("train", "--data", path, *options, "--save", tmp_path / "net")
    assert code == 0
    assert fastnn.load(tmp_path / "net").sizes == (64, 30, 1)
    assert re.match(r"training cost [\d.e-]+ of scaled targets \(1,437 samples\), ", out.splitlines()[-1])


def test_a_folder_to_save_in_is_checked_before_training(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "run", lambda *_: pytest.fail("trained first"))
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, reason in {
        "nowhere/net": "No such file or directory",
        "file/net": "Not a directory",
        "folder": "it is not a regular file",
    }.items():
        code, out, err = run("train", *QUICK, "--save", tmp_path / path)
        assert (code, out) == (1, "")
        assert err == f"fastnn: error: cannot write {tmp_path / path}: {reason}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_failed_write_after_training(run, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    code, _, err = run("train", *QUICK, "--save", tmp_path / "net")
    assert code == 1
    assert err == f"fastnn: error: cannot write {tmp_path / 'net'}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


# --- what is read is not written over ---


@pytest.fixture
def place(tmp_path, model, monkeypatch):
    """Data, a model, and other names for them."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "d.csv", y[:50], X[:50])
    write_csv(tmp_path / "t.csv", yt[:50], Xt[:50])
    write_idx(tmp_path, X[:50].reshape(-1, 8, 8) * 255, y[:50])
    (tmp_path / "m.npz").write_bytes(model.read_bytes())
    (tmp_path / "link.csv").symlink_to("d.csv")
    (tmp_path / "linked").symlink_to(tmp_path)
    os.link(tmp_path / "d.csv", tmp_path / "hard.csv")
    return tmp_path


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize(
    "command",
    [
        "train --data d.csv --save d.csv",
        "train --data d.csv --save ./d.csv",
        "train --data d.csv --save link.csv",
        "train --data link.csv --save d.csv",
        "train --data d.csv --save hard.csv",
        "train --data d.csv --save linked/d.csv",
        "train --data d.csv --test-data t.csv --save t.csv",
        "train --data digits --test-data t.csv --save t.csv",
        "train --data some-images-idx3-ubyte --save some-images-idx3-ubyte",
        "train --data some-images-idx3-ubyte --save some-labels-idx1-ubyte",
        "predict m.npz --data t.csv --output t.csv",
        "predict m.npz --data t.csv --output m.npz",
        "predict m.npz --data digits --output linked/m.npz",
        "predict linked/m.npz --data link.csv --output hard.csv",
    ],
)
def test_what_is_read_is_not_written_over(command, run, place, monkeypatch):
    monkeypatch.setattr(Training, "run", lambda *_: pytest.fail("trained first"))
    before = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert re.fullmatch(r"fastnn: error: --(save|output) \S+ would replace \S+, which is read: .*\n", err)
    assert {path: path.read_bytes() for path in place.iterdir() if path.is_file()} == before


def test_another_file_is_written_over(run, place):
    """It is there to be replaced: the network of yesterday."""
    assert run("train", "--data", "d.csv", "--save", "m.npz", "--epochs", 1).code == 0
    assert fastnn.load("m.npz").sizes == (64, 30, 10)
    assert run("predict", "m.npz", "--data", "d.csv", "--output", "t.csv").code == 0
    assert len((place / "t.csv").read_text().splitlines()) == 50


# --- evaluate ---


def test_evaluate_a_named_set_on_its_test_part(run, model):
    expected = fastnn.load(model).evaluate(Xt, yt)
    line = f"cost {expected['cost']:.4g}, accuracy {100 * expected['accuracy']:.2f} % (360 samples)\n"
    assert run("evaluate", model, "--data", "digits") == (0, line, "")


def test_evaluate_a_file(run, model, tmp_path):
    expected = fastnn.load(model).evaluate(X, y)
    _, out, _ = run("evaluate", model, "--data", write_csv(tmp_path / "data.csv", y, X))
    assert out == f"cost {expected['cost']:.4g}, accuracy {100 * expected['accuracy']:.2f} % (1,437 samples)\n"


def test_evaluate_a_regression(run, regressor, tmp_path):
    np.savez(tmp_path / "data.npz", X=X, y=np.ones((len(X), 2)))
    code, out, _ = run("evaluate", regressor, "--data", tmp_path / "data.npz")
    assert code == 0
    assert re.fullmatch(r"cost [\d.e+-]+ \(1,437 samples\)\n", out)


# --- predict ---

INPUTS = {
    "a name": lambda folder: "digits",
    "csv with labels": lambda folder: write_csv(folder / "data.csv", yt, Xt),
    "csv without labels": lambda folder: write_csv(folder / "data.csv", Xt),
    "npz": lambda folder: (np.savez(folder / "data.npz", x=Xt, y=yt), folder / "data.npz")[1],
}


@pytest.mark.parametrize("write", INPUTS.values(), ids=INPUTS.keys())
def test_predict_prints_a_label_a_line(write, run, model, tmp_path):
    code, out, err = run("predict", model, "--data", write(tmp_path))
    assert (code, err) == (0, "")
    assert out == "".join(f"{label}\n" for label in fastnn.load(model).predict(Xt))


def test_predict_images_without_labels(run, model, tmp_path):
    path = write_idx(tmp_path, Xt.reshape(-1, 8, 8) * 255, yt)
    (tmp_path / "some-labels-idx1-ubyte").unlink()
    pixels = (Xt * 255).astype(np.uint8)
    code, out, _ = run("predict", model, "--data", path)
    assert code == 0
    assert out.split() == [str(label) for label in fastnn.load(model).predict(pixels)]


def test_predict_prints_outputs_with_all_their_digits(run, regressor):
    code, out, _ = run("predict", regressor, "--data", "digits")
    assert code == 0
    read = np.array([line.split(",") for line in out.splitlines()]).astype(np.float32)
    assert np.array_equal(read, fastnn.load(regressor).forward(Xt))
    assert max(map(len, out.splitlines())) < 40  # those of float32, no more


def test_predict_writes_labels_as_csv(run, tmp_path):
    names = ["plain", "a, b", 'an "inch"', "two\nlines", " spaces ", ""]
    X = np.eye(6, dtype=np.float32)
    net = Network([6, 6], activation="sigmoid", initializer=([20 * np.eye(6)], [np.zeros(6)]), classes=names)
    net.save(tmp_path / "net")
    np.savez(tmp_path / "data.npz", X=X)
    code, out, err = run("predict", tmp_path / "net", "--data", tmp_path / "data.npz")
    assert (code, err) == (0, "")
    assert list(csv.reader(io.StringIO(out, newline=""))) == [[name] for name in names]
    assert out.startswith("plain\n")


def test_predict_writes_a_file(run, model, tmp_path):
    _, printed, _ = run("predict", model, "--data", "digits")
    assert run("predict", model, "--data", "digits", "--output", tmp_path / "labels") == (0, "", "")
    assert (tmp_path / "labels").read_text() == printed


def test_predict_writes_all_or_nothing(run, model, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "labels"
    path.write_text("what was there before")
    monkeypatch.setattr(os, "replace", fail)
    code, out, err = run("predict", model, "--data", "digits", "--output", path)
    assert (code, out) == (1, "")
    assert err == f"fastnn: error: cannot write {path}: No space left on device\n"
    assert path.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("command", ["train", "predict"])
def test_what_is_no_regular_file_is_not_replaced(command, run, model, tmp_path):
    """A file moved to /dev/null would be there for everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    arguments = (
        ["train", *QUICK, "--save"] if command == "train" else ["predict", model, "--data", "digits", "--output"]
    )
    code, _, err = run(*arguments, pipe)
    assert code == 1
    assert err == f"fastnn: error: cannot write {pipe}: it is not a regular file\n"
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs names of descriptors")
@pytest.mark.parametrize("name", ["/dev/stdout", "log"])
def test_where_standard_output_goes_is_not_replaced(name, model, tmp_path):
    """What the file held before would be lost, and a pipe has no file to be moved into the place of."""
    log = tmp_path / "log"
    log.write_text("what was there before\n")
    command = [sys.executable, "-m", "fastnn", "predict", model, "--data", "digits", "--output", name]
    options = {"cwd": tmp_path, "env": environment(), "stderr": subprocess.PIPE, "text": True, "check": False}
    with log.open("a") as file:
        end = subprocess.run(command, stdout=file, **options)  # noqa: PLW1510  (it is among the options)
    reason = "it is the file of standard output: choose another name"
    assert (end.returncode, end.stderr) == (1, f"fastnn: error: cannot write {name}: {reason}\n")
    assert log.read_text() == "what was there before\n"
    if name == "/dev/stdout":
        end = subprocess.run(command, stdout=subprocess.PIPE, **options)  # noqa: PLW1510
        assert end.stderr == f"fastnn: error: cannot write {name}: it is not a regular file\n"


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_is_followed_not_replaced(run, model, tmp_path):
    link = tmp_path / "link"
    link.symlink_to("target")
    assert run("predict", model, "--data", "digits", "--output", link).code == 0
    assert link.is_symlink()
    assert len((tmp_path / "target").read_text().splitlines()) == 360


# --- info ---


def test_info(run):
    code, out, err = run("info")
    assert (code, err) == (0, "")
    from fastnn.kernels import store
    from fastnn.kernels.host import WIDTH

    rows = dict(re.split(r":\s+", line, maxsplit=1) for line in out.splitlines())
    assert rows["fastnn"] == fastnn.__version__
    assert rows["vector width"].startswith(f"{WIDTH} float32")
    assert rows["kernel cache"] == str(store.cache_folder())


def test_info_on_a_model(run, model):
    code, out, _ = run("info", model)
    assert code == 0
    rows = dict(re.split(r":\s+", line, maxsplit=1) for line in out.splitlines())
    assert rows["model"] == str(model)
    assert rows["layers"] == "64 inputs -> 30 sigmoid -> 10 sigmoid"
    assert rows["cost"] == "cross_entropy"
    assert rows["dtype"] == "float32"
    assert rows["parameters"] == "2,260"
    assert rows["steps taken"] == "432"  # 144 batches in each of three epochs
    assert (rows["task"], rows["classes"]) == ("classes", "10 (0, 1, 2, 3, 4, ...)")
    assert rows.keys().isdisjoint(("scale", "missing", "target scale", "columns", "targets", "label column"))


# --- how it ends ---

USAGE = {
    "no command": [""],
    "an unknown command": ["fly"],
    "an unknown option": ["train --learnrate 1"],
    "half an option": ["train --learning 1"],
    "epochs that are no number": ["train --epochs many"],
    "layers that are no numbers": ["train --layers 64,thirty,10", "784,30,10"],
    "no data": ["evaluate net"],
    "no model": ["predict --data digits"],
    "negative epochs": ["train --data digits --epochs -1", "epochs must be >= 0, got -1"],
    "an empty batch": ["train --data digits --batch-size 0", "batch_size must be >= 1, got 0"],
    "no samples": ["train --data digits --samples 0", "samples must be >= 1, got 0"],
    "an unknown activation": ["train --data digits --activation relo", "did you mean 'relu'?"],
    "text for a number in a name": ["train --data digits --activation elu(alpha='x')", "alpha of elu must be a number"],
    "too many activations": ["train --data digits --activation relu,tanh", "expected 1, got 2"],
    "an unknown cost": ["train --data digits --cost mse", "cost must be one of"],
    "a cost that does not go": ["train --data digits --output softmax", "cost='log_likelihood'"],
    "an unknown initializer": ["train --data digits --initializer zeros", "initializer must be one of"],
    "an unknown dtype": ["train --data digits --dtype float16", "dtype must be one of"],
    "a negative seed": ["train --data digits --seed -1", "seed must be >= 0"],
    "an unknown optimizer": ["train --data digits --optimizer adan", "did you mean 'adam'?"],
    "a negative rate": ["train --data digits --learning-rate -1", "learning_rate must be > 0"],
    "a rate that is no number": ["train --data digits --learning-rate nan", "learning_rate must be > 0"],
    "momentum for adam": ["train --data digits --optimizer adam --momentum 0.9", "momentum does not go with"],
    "nesterov for adam": ["train --data digits --optimizer adam --nesterov", "nesterov does not go with"],
    "nesterov without momentum": ["train --data digits --nesterov", "needs momentum > 0"],
    "no time": ["train --data digits --max-time 0", "max_time must be > 0"],
    "an unknown data set": ["train --data mnits", "did you mean 'mnist'?"],
    "a single layer": ["train --data digits --layers 64", "sizes must hold at least"],
    "layers beyond all memory": ["train --data digits --layers 64,99999999999999999999,10", "sizes must make at most"],
    "no threads": ["train --data digits --threads 0", "threads must be >= 1, got 0"],
    "too many threads": ["train --data digits --threads 3000", "threads must be <= 1024, got 3000"],
    "a comma as dtype": ["train --data digits --dtype ,", "dtype must be one of", "got ','"],
    "threads that are no number": ["train --data digits --threads all", "threads must be one of ['auto']"],
    "a negative penalty": ["train --data digits --l2 -0.1", "l2 must be >= 0"],
}


@pytest.mark.parametrize("case", USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_2(case, run):
    command, *fragments = case
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert re.match(r"fastnn( \w+)?: error: ", err.splitlines()[-1])
    assert all(fragment in err for fragment in fragments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """Files with something wrong in them, and a model under the name ``net``."""
    folder = tmp_path_factory.mktemp("broken")
    with_nan = X.copy()
    with_nan[-1, -1] = np.nan
    write_csv(folder / "nan.csv", y, with_nan)
    write_csv(folder / "narrow.csv", y, X[:, :5])
    write_csv(folder / "more-classes.csv", y + 1, X)
    (folder / "text.csv").write_text("1,2,3\n4,five,6\n" + "7,8,9\n" * 9)
    (folder / "inf.csv").write_text("0,1\ninf,2\n1,3\n")
    (folder / "nan-label.csv").write_text("0,1\nnan,2\n1,3\n")
    (folder / "names.csv").write_text("name,a\n" + "".join(f"n{i},{i % 5}\n" for i in range(1500)))
    (folder / "huge.csv").write_text("1e300,1\n0,2\n")
    for name in ("loop", "loop.csv"):
        (folder / name).symlink_to(name)
    (folder / "empty.csv").write_text("")
    np.savez(folder / "nothing.npz", X=np.empty((0, 64)), y=np.empty(0))
    (folder / "data.txt").write_text("1 2 3\n")
    (folder / "net").write_bytes(model.read_bytes())
    (folder / "half").write_bytes(model.read_bytes()[:1000])
    (folder / "foreign").write_text("hello\n")
    return folder


FAILURES = {
    "no such data": ["train --data nowhere.csv", "nowhere.csv", "No such file"],
    "no such test data": ["train --data digits --test-data nowhere.npz", "nowhere.npz", "No such file"],
    "data that are text": ["train --data text.csv", "text.csv, line 2, column 2", "'five'"],
    "no data in the file": ["train --data empty.csv", "empty.csv, line 1"],
    "no samples in the file": ["train --data nothing.npz", "nothing.npz: expected at least one sample"],
    "no known format": ["train --data data.txt", "data.txt", ".npz"],
    "a folder": ["train --data .", "."],
    "NaN": ["train --data nan.csv", "nan.csv, line 1437, column 65: expected a number, found 'nan'"],
    "NaN in the test data": ["train --data digits --test-data nan.csv", "nan.csv, line 1437, column 65: expected"],
    "another width": ["train --data digits --test-data narrow.csv", "narrow.csv: X must have shape (n, 64)"],
    "layers for other data": ["train --data digits --layers 784,30,10", "digits: X must have shape (n, 784)"],
    "too few outputs": ["train --data digits --layers 64,30,9", "digits: y must hold 9 different labels", "got 10"],
    "an unknown class": ["train --data digits --test-data more-classes.csv", "more-classes.csv: y must hold", "got 10"],
    "an infinite label": ["train --data inf.csv", "inf.csv: y must be finite, got inf at [1, 0]"],
    "a label that is NaN": ["train --data nan-label.csv", "nan-label.csv, line 2, column 1", "found 'nan'"],
    "names as labels": [
        "train --data names.csv",
        "names.csv: 1,500 different labels such as 'n0' are too many classes",
    ],
    "a label beyond all numbers": ["train --data huge.csv --target-scale none", "huge.csv: y must fit into float32"],
    "saving through links in a circle": ["train --data digits --save loop", "cannot write loop: ", "symbolic links"],
    "predicting through links in a circle": ["predict net --data digits --output loop", "cannot write loop: "],
    "data through links in a circle": ["train --data loop.csv", "loop.csv", "symbolic links"],
    "divergence": [
        "train --data digits --activation identity --output identity --cost quadratic --learning-rate 1e6",
        "infinite or NaN in epoch 1",
        "learning rate of 1e+06",
    ],
    "too much memory": ["train --data digits --layers 64,1000000000000,10", "not enough memory"],
    "evaluate without a model": ["evaluate nowhere --data digits", "nowhere", "No such file"],
    "evaluate half a model": ["evaluate half --data digits", "cannot load 'half'"],
    "evaluate no model": ["evaluate foreign --data digits", "cannot load 'foreign'"],
    "evaluate other data": ["evaluate net --data narrow.csv", "narrow.csv: X must have shape (n, 64), got (1437, 5)"],
    "predict without a model": ["predict nowhere --data digits", "nowhere", "No such file"],
    "predict other data": ["predict net --data narrow.csv", "narrow.csv: X must have shape (n, 64)"],
    "predict NaN": ["predict net --data nan.csv", "nan.csv, line 1437, column 65: expected"],
    "predict into no folder": ["predict net --data digits --output nowhere/labels", "cannot write nowhere/labels"],
    "info without a model": ["info nowhere", "nowhere", "No such file"],
    "info on no model": ["info foreign", "cannot load 'foreign'"],
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_1_and_one_line(case, run, folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    command, *fragments = case
    code, _, err = run(*command.split())
    assert code == 1
    assert err.startswith("fastnn: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert all(fragment in err for fragment in fragments)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"]], ids=str)
def test_help_and_version_are_0(arguments, run):
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert out


def test_the_help_knows_the_defaults_of_the_library(run):
    text = " ".join(run("train", "--help").out.split())
    rates = [f"{kind().learning_rate} for {name}" for name, kind in OPTIMIZERS.items()]
    assert f"(default: {', '.join(rates)})" in text
    assert "samples per step (default: 10)" in text


def test_no_more_threads(run, monkeypatch):
    def none_left(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Training, "run", none_left)
    assert run("train", *QUICK) == (1, "", "fastnn: error: can't start new thread\n")


def test_a_path_of_windows_is_no_name(monkeypatch):
    monkeypatch.setattr(os, "altsep", "/")
    monkeypatch.setattr(os, "sep", "\\")
    assert not _data.is_name("folder/data")
    assert not _data.is_name("folder\\data")
    assert _data.is_name("data")


# Which streams there are, and what happens to the output.
STREAMS = {"<&- 2>&-": (0, True), ">&- 2>&-": (1, False)}


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize("closed", STREAMS, ids=str)
def test_streams_that_are_closed(closed, model, tmp_path):
    """A file that is written must not get the number of a closed stream, and whatever is written to that."""
    code, prints = STREAMS[closed]
    fastnn_ = f"{sys.executable} -m fastnn"
    script = (
        f"({fastnn_} train --data digits --epochs 1 --save {tmp_path}/net) {closed}; echo train $?\n"
        f"({fastnn_} predict {model} --data digits --output {tmp_path}/labels) {closed}; echo predict $?\n"
        f"({fastnn_} evaluate {model} --data digits) {closed}; echo evaluate $?\n"
    )
    run = subprocess.run(
        ["sh", "-c", script], env=environment(), capture_output=True, text=True, timeout=120, check=True
    )
    lines = run.stdout.splitlines()
    assert [line for line in lines if " " in line and line.split()[-1].isdigit() and len(line.split()) == 2] == [
        "train 0",
        "predict 0",
        f"evaluate {code}",
    ]
    assert any(line.startswith("cost") for line in lines) == prints
    assert fastnn.load(tmp_path / "net").sizes == (64, 30, 10)
    assert len((tmp_path / "labels").read_text().splitlines()) == 360
    assert "Traceback" not in run.stderr


def test_a_network_that_diverged_is_saved_too(run, tmp_path):
    path = tmp_path / "net"
    command = "train --data digits --learning-rate 300 --activation relu --output identity --cost quadratic --quiet"
    status, _, err = run(*command.split(), "--save", str(path))
    assert status == 1
    assert "keeps its last finite weights" in err
    assert np.isfinite(fastnn.load(path).weights[0]).all()


@pytest.mark.parametrize("error", [MemoryError("of buffers"), RuntimeError("no threads"), OSError(5, "disk")], ids=repr)
def test_what_was_learned_is_saved_whatever_ends_training(error, run, tmp_path, monkeypatch):
    after_epochs = Training._after_epochs

    def fail(training, network, count=1):
        after_epochs(training, network, count)
        if len(training._history.train_cost) > 1:
            raise error

    monkeypatch.setattr(Training, "_after_epochs", fail)
    code, out, err = run("train", "--data", "digits", "--epochs", 50, "--patience", 50, "--save", tmp_path / "net")
    assert code == 1
    assert err.startswith("fastnn: error: ")
    assert out.endswith("stopped by: error\n")
    assert fastnn.load(tmp_path / "net").evaluate(Xt, yt)["accuracy"] > 0.5


def test_a_network_that_has_learned_nothing_replaces_none(run, tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError("of buffers")

    (tmp_path / "net").write_text("what was there before")
    monkeypatch.setattr(Training, "run", fail)
    assert run("train", *QUICK, "--save", tmp_path / "net").code == 1
    assert (tmp_path / "net").read_text() == "what was there before"


def test_an_interrupt_before_anything_happened(run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastnn.datasets, "load", interrupt)
    assert run("train") == (130, "", "fastnn: interrupted\n")


# --- as a process of its own ---

# Says when it is in the middle of training, so that the signal does not come too early.
ANNOUNCED = """
import functools, sys
from fastnn import SGD, Adam, Network, cli
fit = Network.fit
@functools.wraps(fit)
def announced(*args, **kwargs):
    return fit(*args, **kwargs, callbacks=[lambda *_: print("an epoch is done", flush=True)])
Network.fit = announced
sys.exit(cli.main(sys.argv[1:]))
"""


def process(*arguments, code=None):
    start = ["-m", "fastnn"] if code is None else ["-c", code]
    return subprocess.Popen(
        [sys.executable, *start, *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_module_is_the_command(model):
    with process("evaluate", model, "--data", "digits") as running:
        out, err = running.communicate(timeout=120)
    assert (running.returncode, err) == (0, "")
    assert out.startswith("cost ")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_is_130_and_saves_what_was_trained(tmp_path):
    arguments = ["train", "--data", "digits", "--epochs", 10**6, "--save", tmp_path / "net"]
    with process(*arguments, code=ANNOUNCED) as running:
        assert running.stdout.readline() == "an epoch is done\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert err == "fastnn: interrupted\n"
    assert out.splitlines()[-1] == "stopped by: interrupt"
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    assert fastnn.load(tmp_path / "net").evaluate(Xt, yt)["accuracy"] > 0.5


@pytest.mark.parametrize("arguments", [["info"], ["predict", "{model}", "--data", "digits"]], ids=["info", "predict"])
def test_a_reader_that_has_seen_enough(arguments, model):
    """As with ``fastnn predict ... | head -1``: no traceback, also not from Python's flush at the end."""
    with process(*(argument.format(model=model) for argument in arguments)) as running:
        running.stdout.close()
        err = running.stderr.read()
        assert running.wait(timeout=120) == 0
    assert err == ""


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_a_full_disk_behind_stdout():
    code = "import os, sys; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); from fastnn import cli; sys.exit(cli.main())"
    with process("info", code=code) as running:
        _, err = running.communicate(timeout=120)
    assert running.returncode == 1
    assert err == "fastnn: error: No space left on device\n"
