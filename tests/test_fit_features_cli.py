"""The options of ``fastnn train`` that stand for what ``fit`` can do."""

import numpy as np
import pytest

import fastnn
from fastnn.cli import main


@pytest.fixture
def run(tmp_path, capsys):
    """Train on the digits with these options: the network that was saved, what was printed, and complaints."""

    def train(*options):
        path = tmp_path / "net.npz"
        code = main(
            ["train", "--data", "digits", "--layers", "64,12,10", "--epochs", "3", "--save", str(path), *options]
        )
        out, err = capsys.readouterr()
        return (fastnn.load(path) if path.exists() else None), out, err, code

    return train


X, y, Xt, yt = fastnn.datasets.load_digits()


def trained(**arguments):
    net = fastnn.Network([64, 12, 10])
    net.fit(X, y, **{"epochs": 3, "validation_data": (Xt, yt), **arguments})
    return net


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--schedule", "step(every=1, factor=0.5)"], {"schedule": fastnn.schedules.StepDecay(1, 0.5)}),
        (["--clip-value", "0.01", "--clip-norm", "0.5"], {"clip_value": 0.01, "clip_norm": 0.5}),
        (["--drop-last", "--batch-size", "64"], {"drop_last": True, "batch_size": 64}),
        (["--l2", "0.1,0.001", "--l1", "1e-5"], {"l2": [0.1, 0.001], "l1": 1e-5}),
        (["--dropout", "0.2,0.5", "--max-norm", "2"], {"dropout": [0.2, 0.5], "max_norm": 2.0}),
        (["--optimizer", "rprop"], {"optimizer": "rprop", "batch_size": len(X)}),
        (["--optimizer", "lbfgs"], {"optimizer": "lbfgs", "batch_size": len(X)}),
        (
            ["--optimizer", "adamw", "--weight-decay", "0.1", "--learning-rate", "0.01"],
            {"optimizer": fastnn.AdamW(0.01, weight_decay=0.1)},
        ),
        (["--validation-split", "0.2"], {"validation_split": 0.2, "validation_data": None}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_options_are_the_arguments_of_fit(run, options, arguments):
    net, _, err, code = run(*options)
    assert (code, err) == (0, "")
    other = trained(**arguments)
    for mine, its in zip(net.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_scale_of_the_inputs_is_learned_where_it_is_wanted(run):
    scale = run("--input-scale")[0].input_scale
    assert scale is not None
    assert len(np.unique(scale)) > 10
    assert run()[0].input_scale is None


def test_patience_keeps_the_best(run):
    net, out, _, code = run("--epochs", "200", "--learning-rate", "1.5", "--patience", "2", "--validation-split", "0.2")
    assert code == 0
    assert "stopped by: callback" in out
    stop = fastnn.EarlyStopping(patience=2)
    other = trained(epochs=200, optimizer=fastnn.SGD(1.5), validation_split=0.2, validation_data=None, callbacks=[stop])
    np.testing.assert_array_equal(net.weights[0], other.weights[0])


def test_metrics_are_printed(run):
    pytest.importorskip("sklearn")
    _, out, _, code = run("--metrics", "f1_macro,roc_auc_ovr", "--initializer", "lsuv")
    assert code == 0
    assert "f1_macro  roc_auc_ovr" in out.splitlines()[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--schedule", "cosin"], "did you mean 'cosine'"),
        (["--clip-value", "0"], "clip_value must be > 0"),
        (["--validation-split", "1"], "validation_split must be > 0"),
        (["--optimizer", "lbfgs", "--learning-rate", "0.1"], "learning_rate does not go with optimizer 'lbfgs'"),
        (["--optimizer", "rprop", "--batch-size", "10"], "needs all samples in one batch"),
    ],
)
def test_wrong_options(run, options, text):
    net, _, err, code = run(*options)
    assert code == 2
    assert text in err
    assert net is None


def test_patience_needs_something_to_be_measured_on(tmp_path, capsys):
    path = tmp_path / "data.npz"
    np.savez(path, X=X[:50], y=y[:50])
    assert main(["train", "--data", str(path), "--patience", "2", "--quiet"]) == 2
    assert "pass --validation-split or --test-data" in capsys.readouterr().err


def test_a_library_that_is_missing_is_named(run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    net, _, err, code = run("--optimizer", "lbfgs")
    assert code == 1
    assert "fastnn-engine[scipy]" in err
    assert net is None
