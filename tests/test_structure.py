"""The rooms of the library: imports go one way, kernels check nothing, and the registries agree with the kernels."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from fastnn.activations import ACTIVATIONS

import fastnn
from fastnn import costs, engine, optimizers
from fastnn.kernels import functions, update

ROOT = Path(fastnn.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
KERNELS = [path for path in TREES if path.parent.name == "kernels"]

# From the bottom to the top; whatever stands between two of these may be used by both, but must not lead upward.
CHAIN = [["kernels"], ["layout"], ["engine"], ["training"], ["network"], ["cli", "sklearn", "compat", ""]]


def room(path):
    """What a file belongs to: ``kernels``, ``network`` ...; the empty name is ``fastnn`` itself."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py").replace("__init__", "")


def rooms_imported(path):
    """The rooms that a file imports from, in functions too."""
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
                named = parts[1] if len(parts) > 1 else ""
                yield named if (ROOT / named).is_dir() or (ROOT / f"{named}.py").is_file() else ""


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


def test_kernels_import_nothing_from_outside():
    assert import_graph()["kernels"] == set()


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


@pytest.mark.parametrize("name", ["layout", "engine", "training"])
def test_input_is_checked_above_the_engine(name):
    """What arrives here was checked already; a second check would only hide where the first one is missing."""
    assert not list(raised(ROOT / f"{name}.py", {"ValueError", "TypeError"}))


def test_every_activation_has_a_kernel():
    assert sorted(functions.ACTIVATION_CODES) == sorted(ACTIVATIONS)
    assert sorted(functions.ACTIVATION_CODES.values()) == list(range(len(ACTIVATIONS)))


def test_every_cost_has_a_kernel():
    assert sorted(functions.COST_CODES) == sorted(costs.COSTS)
    assert sorted(functions.COST_CODES.values()) == list(range(len(costs.COSTS)))


@pytest.mark.parametrize("cost", costs.COSTS.values(), ids=lambda cost: cost.name)
def test_every_cost_names_output_activations_that_exist(cost):
    assert cost.outputs
    assert set(cost.outputs) <= set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_can_be_an_output(name):
    assert any(name in cost.outputs for cost in costs.COSTS.values())


OPTIMIZERS = [
    *(kind() for kind in optimizers.OPTIMIZERS.values()),
    optimizers.SGD(momentum=0.9),
    optimizers.SGD(momentum=0.9, nesterov=True),
]


def test_every_optimizer_has_a_kernel_and_the_other_way_round():
    assert sorted({optimizer.kernel for optimizer in OPTIMIZERS}) == sorted(update.OPTIMIZERS)


@pytest.mark.parametrize("kernel", update.OPTIMIZERS.values(), ids=list(update.OPTIMIZERS))
def test_there_is_room_for_the_numbers_of_a_step(kernel):
    assert update.COMMON_HYPER + kernel.numbers <= engine._HYPER_NUMBERS


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_an_optimizer_hands_over_plain_numbers(optimizer):
    assert all(isinstance(number, float) for number in optimizer.settings)
    assert optimizer.settings[0] == optimizer.learning_rate


def test_the_public_names_exist():
    assert all(hasattr(fastnn, name) for name in fastnn.__all__)
