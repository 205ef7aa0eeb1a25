"""The rooms of the library: imports go one way, kernels check nothing, and the registries agree with the kernels."""

import ast
import pydoc
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import datasets, functions, sklearn, streams
from fastnn.compat import musings, nielsen, notebook
from fastnn.formulas import activations, costs, expressions, optimizers
from fastnn.kernels import buffers, elementary

ROOT = Path(fastnn.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
KERNELS = [path for path in TREES if path.parent.name == "kernels"]

# From the bottom to the top; whatever stands between two of these may be used by both, but must not lead upward.
CHAIN = [
    ["formulas"],
    ["kernels"],
    ["layout"],
    ["program"],
    ["engine"],
    ["training"],
    ["network"],
    ["cli", "sklearn", "compat", "many", ""],
]
# All that kernels know of the rest: the language of formulas, and the version.
BELOW_KERNELS = {"fastnn.formulas.expressions", "fastnn._version"}


def room(path):
    """What a file belongs to: ``kernels``, ``network`` ...; the empty name is ``fastnn`` itself."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py").replace("__init__", "")


def modules_imported(path):
    """The modules of the library that a file imports from, in functions too."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "fastnn":
                yield ".".join(next(parts[:end] for end in range(len(parts), 0, -1) if is_module(parts[:end])))


def is_module(parts):
    file = ROOT.joinpath(*parts[1:])
    return file.is_dir() or file.with_name(f"{file.name}.py").is_file()


def rooms_imported(path):
    """The rooms that a file imports from."""
    return ["".join(module.split(".")[1:2]) for module in modules_imported(path)]


def import_graph():
    graph = {room(path): set() for path in TREES}
    for path in TREES:
        graph[room(path)] |= set(rooms_imported(path)) - {room(path)}
    return graph


def reachable(graph, start):
    found, pending = set(), [start]
    while pending:
        new = graph[pending.pop()] - found
        found |= new
        pending += new
    return found


def test_the_graph_sees_imports():
    graph = import_graph()
    assert {"training", "engine", "validation", "persistence"} <= graph["network"]
    assert "kernels" in graph["engine"]


def test_no_import_goes_in_a_circle():
    list(TopologicalSorter(import_graph()).static_order())  # raises CycleError


@pytest.mark.parametrize("level", range(len(CHAIN) - 1))
def test_imports_go_downward(level):
    above = {name for names in CHAIN[level + 1 :] for name in names}
    graph = import_graph()
    for name in CHAIN[level]:
        assert not reachable(graph, name) & above


def test_kernels_import_nothing_from_outside_but_the_language_of_formulas():
    imported = {module for path in KERNELS for module in modules_imported(path)}
    assert {module for module in imported if not module.startswith("fastnn.kernels")} == BELOW_KERNELS


def test_the_language_of_formulas_stands_by_itself():
    """Kernels import it: so what it imported would be below them too."""
    assert not list(modules_imported(ROOT / "formulas" / "expressions.py"))
    assert not list(modules_imported(ROOT / "_version.py"))


def raised(path, kinds):
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = getattr(node.exc.func, "id", "")
            if kinds is None or name in kinds:
                yield name


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.name)
def test_kernels_check_nothing(path):
    if path.name == "host.py":
        pytest.skip("reads the environment when it is imported; no kernel code")
    assert not [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Raise | ast.Assert)]


@pytest.mark.parametrize("name", ["layout", "program", "engine", "training"])
def test_input_is_checked_above_the_engine(name):
    """What arrives here was checked already; a second check would only hide where the first one is missing."""
    assert not list(raised(ROOT / f"{name}.py", {"ValueError", "TypeError"}))


# --- the registries and the kernels ---


def test_every_operation_has_vector_code_and_the_other_way_round():
    # Numbers, variables and powers are no functions: powers become products, roots or exp(log).
    assert set(expressions.OPERATIONS) == set(elementary.OPERATIONS)


@pytest.mark.parametrize("cost", costs.ROWS.values(), ids=lambda cost: cost.name)
def test_every_cost_names_output_activations_that_exist(cost):
    assert cost.outputs
    assert set(cost.outputs) <= set(activations.ROWS)
    for output in cost.outputs:
        assert costs.resolve(cost.name).goes_with(activations.resolve(output))


@pytest.mark.parametrize("name", activations.ROWS)
def test_every_activation_can_be_an_output(name):
    activation = activations.resolve(name)
    assert any(costs.resolve(cost).goes_with(activation) for cost in costs.ROWS)


OPTIMIZERS = [
    *(kind() for kind in optimizers.OPTIMIZERS.values()),
    optimizers.SGD(momentum=0.9),
    optimizers.SGD(momentum=0.9, nesterov=True),
    *(
        optimizers.RMSprop(momentum=momentum, centered=centered)
        for momentum, centered in [(0.9, False), (0, True), (0.9, True)]
    ),
]


def test_there_is_room_for_all_the_numbers_that_users_may_have():
    assert optimizers._MOST_NUMBERS + 1 <= buffers.MOST_NUMBERS  # and one of an average


def test_every_optimizer_has_equations_and_the_other_way_round():
    assert sorted({optimizer.kernel for optimizer in OPTIMIZERS}) == sorted(optimizers.RULES)


@pytest.mark.parametrize("name", optimizers.RULES)
def test_there_is_room_for_the_numbers_of_a_step(name):
    rule = optimizers.rule(name)
    assert len(rule.numbers) <= buffers.MOST_NUMBERS
    assert rule.numbers[0] == "rate"
    assert set(rule.weights_only) < set(rule.numbers)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_an_optimizer_hands_over_a_table_of_numbers(optimizer):
    table = optimizer.numbers([1, 2, 1000])
    assert table.shape == (3, len(optimizer.rule.numbers))
    assert table.dtype == np.float64
    assert np.isfinite(table).all()
    np.testing.assert_array_equal(table[:, 0], optimizer.learning_rate)


# --- every row trains ---


def train(activation="relu", output="identity", cost="quadratic", optimizer=None):
    """Weights after some epochs, and the first and the last cost."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 5))
    n_out = len(costs.resolve(cost).units) or 3
    Y = np.eye(n_out)[rng.integers(0, n_out, 64)]  # such targets every cost allows
    net = fastnn.Network([5, 8, n_out], activation, output, cost, seed=0)
    full = optimizer is not None and optimizer.full_batch
    history = net.fit(X, Y, 30, 64 if full else 16, optimizer or fastnn.SGD(0.05), progress=False)
    assert all(np.isfinite(weights).all() for weights in net.weights)
    return history.train_cost


@pytest.mark.parametrize("name", [name for name, row in activations.ROWS.items() if row.hidden])
def test_every_activation_trains(name):
    cost = train(activation=name)
    assert cost[-1] < cost[0]


@pytest.mark.parametrize(
    ("cost", "output"), [(row.name, output) for row in costs.ROWS.values() for output in row.outputs]
)
def test_every_cost_trains(cost, output):
    found = train(output=output, cost=cost)
    assert found[-1] < found[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_every_optimizer_trains(optimizer):
    slow = replace(optimizer, learning_rate=min(optimizer.learning_rate, 0.02))
    found = train("tanh", optimizer=slow)
    assert found[-1] < found[0]


def test_the_public_names_exist():
    assert all(hasattr(fastnn, name) for name in fastnn.__all__)


PUBLIC = [
    *(getattr(fastnn, name) for name in fastnn.__all__),
    *(getattr(room, name) for room in (datasets, functions, sklearn) for name in room.__all__),
    *(streams.Stream, streams.arrays, streams.dask, streams.parquet),
    *(nielsen.Network, musings.NN, notebook.FeedForwardNeuralNetwork),
]


@pytest.mark.parametrize("shown", [part for part in PUBLIC if callable(part)], ids=lambda part: part.__name__)
def test_help_shows_types_by_their_short_names(shown):
    text = pydoc.plain(pydoc.render_doc(shown))
    assert "numpy._typing" not in text
    assert "numpy.ndarray[" not in text
