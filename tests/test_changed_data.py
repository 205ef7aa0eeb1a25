"""Data that change while a network is trained on them: kernels trust every index that was checked."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from states import same

import fastnn

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 10, 80)
FAR = 10**8
FIELDS = ["indices", "indptr", "data"]


def matrix(kind=sparse.csr_matrix, dtype=np.float32):
    return kind(sparse.random(80, 64, 0.2, format="csr", random_state=1, dtype=dtype))


def trained(X, y, *callbacks):
    net = fastnn.Network([64, 20, 10])
    net.fit(X, y, epochs=3, callbacks=callbacks)
    return net


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array, sparse.coo_array, sparse.csc_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sparse_matrix_that_a_callback_changes(kind, dtype):
    """Training goes on with what it was given."""
    X = matrix(kind, dtype)

    def change(*_):
        for name in {"indices", "indptr", "data", "row", "col"} & set(vars(X)):
            getattr(X, name)[:] = FAR

    assert same(trained(X, Y, change), trained(matrix(kind, dtype), Y))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float64])
def test_labels_that_a_callback_changes(dtype):
    X, y = RNG.random((80, 64)), Y.astype(dtype)

    def change(*_):
        y[:] = 255

    assert same(trained(X, y, change), trained(X, Y))


@pytest.mark.parametrize("name", ["indices", "indptr"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, bool])
def test_indices_that_are_no_whole_numbers(name, dtype):
    X = matrix()
    setattr(X, name, getattr(X, name).astype(dtype))
    net = fastnn.Network([64, 20, 10])
    for action in (lambda: net.fit(X, Y), lambda: net.predict(X), lambda: net.evaluate(X, Y)):
        with pytest.raises(TypeError, match=f"X.{name} must hold whole numbers, got dtype {np.dtype(dtype)}"):
            action()


def test_a_matrix_with_columns_out_of_order_is_not_changed():
    X = matrix()
    for row in range(80):
        span = slice(X.indptr[row], X.indptr[row + 1])
        X.indices[span], X.data[span] = X.indices[span][::-1].copy(), X.data[span][::-1].copy()
    X.has_sorted_indices = True  # a note that is not true
    before = [getattr(X, name).copy() for name in FIELDS]
    assert same(trained(X, Y), trained(matrix(), Y))
    assert all((getattr(X, name) == old).all() for name, old in zip(FIELDS, before, strict=True))


def test_a_warning_without_a_stream_to_warn_on():
    """A finding must not end a training in a service; nor one that Python has been told to show again."""
    code = (
        "import sys, warnings, fastnn; X, y, _, _ = fastnn.datasets.load_digits()\n"
        "warnings.simplefilter('always')\n"
        "for stream in None, sys.stderr:\n"
        "    sys.stderr = stream\n"
        "    if stream: stream.close()\n"
        "    net = fastnn.Network([64, 10])\n"
        "    net.fit(1000 * X, y, epochs=2)\n"
        "    print(len(net.history.findings) > 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(fastnn.__file__).parents[1]), "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "True\nTrue\n")
