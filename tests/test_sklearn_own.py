"""scikit-learn's own tests of its classes, run against these: its module is loaded with the import substituted."""

import importlib.util
from unittest import mock

import pytest
import sklearn.neural_network

from fastnn.sklearn import MLPClassifier, MLPRegressor

_EXCEPTIONS = {
    "test_gradient": "calls a private method with the work arrays of a training loop that is not here",
}


def _load():
    """The module of tests that is installed with scikit-learn; nothing of it is kept here."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.multiple(sklearn.neural_network, MLPClassifier=MLPClassifier, MLPRegressor=MLPRegressor):
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def global_random_seed():
    """A fixture of scikit-learn's own conftest."""
    return 42


_theirs = _load()
globals().update({name: value for name, value in vars(_theirs).items() if name.startswith("test_")})


def test_theirs_are_all_here_and_meant_for_ours():
    assert _theirs.MLPClassifier is MLPClassifier
    assert len([name for name in globals() if name.startswith("test_")]) > 40
    assert len(_EXCEPTIONS) <= 3


for _name, _reason in _EXCEPTIONS.items():
    globals()[_name] = pytest.mark.skip(reason=_reason)(getattr(_theirs, _name))
