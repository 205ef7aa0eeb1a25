"""The comparison with other libraries: its mathematics, its limits, and what it says of a busy machine."""

import importlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from children import run_python

from fastnn.formulas import activations, costs, optimizers, schedules
from fastnn.kernels import host

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
NEW_CASES = ["keras", "sklearn", "housing", "tabular", "policy", "embedded", "simplechains"]


@pytest.fixture
def scripts(monkeypatch):
    """Imports one of their modules by name; some of them set variables of the environment."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    variables = dict(os.environ)
    yield importlib.import_module
    os.environ.clear()
    os.environ.update(variables)
    for name, module in list(sys.modules.items()):
        if SCRIPTS in Path(getattr(module, "__file__", None) or "").parents:
            del sys.modules[name]


class Probe:
    """Tells of a quiet machine, or of a busy one until it has been run so many times."""

    def __init__(self, busy=0):
        self.left = busy

    def run(self):
        self.left -= 1
        return 1.0

    def quiet(self, *seconds):
        return self.left < 0


class Subject:
    def __init__(self, scripts, name="one", busy=1.0):
        self.name, self.taken = name, 0
        self._sample = scripts("peers.measure").Sample(0.5, busy)

    def sample(self):
        self.taken += 1
        return self._sample


# --- the mathematics ---


@pytest.mark.parametrize("case", NEW_CASES)
def test_the_formulas_that_peers_share_are_those_of_the_reference(scripts, case):
    cases, check = scripts("peers.cases"), scripts("peers.check")
    task = cases.Task(case, dtype="float64")
    assert check.error_of(scripts("peers.with_numpy").NumpyBatch(), task) < 1e-11


@pytest.mark.parametrize("case", ["A", "policy"])
def test_the_library_trains_what_its_peers_train(scripts, case):
    cases, check = scripts("peers.cases"), scripts("peers.check")
    task = cases.Task(case)
    assert check.error_of(scripts("peers.ours").FastNN(), task) < check.TOLERANCES["float32"]


def test_an_optimizer_that_is_another_one_is_found(scripts):
    cases, check = scripts("peers.cases"), scripts("peers.check")
    peer = scripts("peers.with_numpy").NumpyBatch()
    peer.adds_epsilon_first = True  # which it does not
    assert check.error_of(peer, cases.Task("H", "adam")) > check.TOLERANCES["float32"]


def test_a_case_has_its_optimizer_and_a_task_may_have_another(scripts):
    task = scripts("peers.cases").Task
    assert [task("A").optimizer, task("keras").optimizer, task("keras", "momentum").optimizer] == [
        "sgd",
        "adam",
        "momentum",
    ]


@pytest.mark.parametrize("case", NEW_CASES)
def test_there_is_something_to_learn(scripts, case):
    """Targets of a case are neither constant nor, if they are labels, of one class for the most part."""
    cases = scripts("peers.cases")
    data = cases.load_data(cases.Task(case), 500)
    assert data.T.std(0).min() > 0.1
    assert data.X.dtype == data.T.dtype == np.float32


# --- instruction sets ---


def test_nothing_is_set_without_a_limit(scripts):
    assert scripts("environment").isa_variables("native") == {}


def test_flags_that_are_set_already_stay(scripts, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--some_flag=1")
    assert scripts("environment").isa_variables("avx2")["XLA_FLAGS"] == "--some_flag=1 --xla_cpu_max_isa=AVX2"


@pytest.mark.skipif(host.WIDTH < 8 or host.ARM, reason="it has no AVX2")
def test_the_limit_holds_for_this_library(scripts):
    code = "from fastnn.kernels import host; print(host.WIDTH, host.REGISTERS, 'avx512' in host.FEATURES)"
    found = run_python("-c", code, **scripts("environment").isa_variables("avx2"))
    assert found.stdout.split() == ["8", "16", "False"], found.stderr


# --- a busy machine ---


def test_a_quiet_machine_is_measured_as_often_as_wanted(scripts):
    subject = Subject(scripts)
    timings, failures = scripts("peers.measure").measure([subject], 7, Probe(), 60)
    assert (len(timings["one"].seconds), timings["one"].disturbed, failures) == (7, [], {})


def test_a_busy_machine_is_waited_for(scripts, monkeypatch):
    measure = scripts("peers.measure")
    monkeypatch.setattr(measure, "_PAUSE", 0.0)
    timings, _ = measure.measure([Subject(scripts)], 7, Probe(busy=100), 60)
    assert len(timings["one"].disturbed) == 21
    assert len(timings["one"].seconds) == measure.ENOUGH
    assert timings["one"].is_enough


def test_no_longer_than_told(scripts, monkeypatch):
    measure = scripts("peers.measure")
    monkeypatch.setattr(measure, "_PAUSE", 0.0)
    subject = Subject(scripts, busy=0.5)  # on half a processor
    timings, _ = measure.measure([subject], 2, Probe(), 0.05)
    assert timings["one"].seconds == []
    assert subject.taken == len(timings["one"].disturbed) > 6
    assert not timings["one"].is_enough


# --- the report ---


def run_on(scripts, processor, clean, disturbed):
    report, measure, cases = scripts("peers.report"), scripts("peers.measure"), scripts("peers.cases")
    timing = measure.Timing()
    for i in range(clean + disturbed):
        timing.add(measure.Sample(0.5, 1.0), i, i < clean)
    where = {**report.machine("avx2"), "processor": processor}
    return report.Run(where, [report.Result(cases.Task("keras", isa="avx2"), {"fastnn": 0.0}, {"fastnn": timing}, {})])


def test_every_kind_of_processor_has_a_table_and_the_latest_run_counts(scripts, tmp_path):
    report, stem = scripts("peers.report"), tmp_path / "peers"
    for processor, clean in (("one", 7), ("other", 5), ("one", 4)):
        report.write(run_on(scripts, processor, clean, 2), stem)
    text = stem.with_suffix(".md").read_text()
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["## other, limited to AVX2", "## one, limited to AVX2"]
    other, one = text.split("## one")
    assert "in all, 2 of 7 repeats were disturbed" in other
    assert "in all, 2 of 6 repeats were disturbed" in one
    assert ("0.5 (0.5-0.5) |" in other, r"0.5 (0.5-0.5) \* |" in one) == (True, True)
    assert ("fewer than 5" in other, "fewer than 5" in one) == (False, True)


def test_commits_are_not_compared_by_nothing(scripts, monkeypatch, capsys):
    """An exit status of its own says that no case could be measured."""
    compare_commits = scripts("compare_commits")
    measure = scripts("peers.measure")

    def fail(*arguments):
        raise measure.WorkerError("no, not today")

    monkeypatch.setattr(compare_commits, "time_both", fail)
    here = str(SCRIPTS.parent)
    assert compare_commits.main([here, here, "--cases", "A"]) == 2
    assert "no, not today" in capsys.readouterr().out


def test_a_slowdown_is_planted_in_a_copy_of_a_folder(scripts, monkeypatch, tmp_path):
    compare_commits, timing = scripts("compare_commits"), scripts("peers.measure").Timing([1.0])
    shutil.copytree(SCRIPTS.parent / "fastnn", tmp_path / "fastnn")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    differ = []

    def compare_all(cases, folders, *_):
        old, new = ((folder / "fastnn" / "kernels" / "compile.py").read_text() for folder in folders)
        differ.append(old != new)
        return int(old != new)

    monkeypatch.setattr(compare_commits, "compare_all", compare_all)
    monkeypatch.setattr(compare_commits, "time_both", lambda *_: compare_commits.Change(timing, timing))
    monkeypatch.setattr(compare_commits, "seconds_per_turn", lambda: 1e-9)
    assert compare_commits.main(["--self-test", str(tmp_path)]) == 0
    assert differ == [False, True]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == before


def test_the_readme_has_the_tables_of_the_registries_and_of_the_reports(scripts):
    made, readme = scripts("tables"), (SCRIPTS.parent / "README.md").read_text(encoding="utf-8")
    assert made.written(readme) == readme, "run python scripts/tables.py --write README.md"
    for name in (*activations.ROWS, *costs.ROWS, *optimizers.OPTIMIZERS, *schedules.SCHEDULES):
        assert f"`{name}" in made.tables()


def test_speeds_tell_what_is_behind_and_what_is_rough(scripts, tmp_path):
    report, measure, speeds = scripts("peers.report"), scripts("peers.measure"), scripts("speeds")
    timings = {
        "fastnn": measure.Timing([0.0001234] * measure.ENOUGH),
        "jax": measure.Timing([0.00005] * (measure.ENOUGH - 1), disturbed=[1.0]),
    }
    results = [report.Result(scripts("peers.cases").Task(case), {}, timings, {}) for case in ("F", "P1")]
    report.write(report.Run(report.machine(), results), tmp_path / "peers")
    lines = speeds.tables(tmp_path).splitlines()
    assert "| F | 4-16-3 | 16 | 15,000 | 0.00005 \\* | **0.000123** | **0.41x** |" in lines
    assert "| 784-30-10 | 1 | 50 \\* | **123** | **0.41x** |" in lines
    assert lines[-1].startswith("2 of 20 repeats were disturbed")
    assert lines[-1].endswith("undisturbed ones.")
