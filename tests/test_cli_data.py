"""The command line on tables of one's own: which column is learned, what it is taken for, and what is kept of it."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.cli import main

N = 120
RANDOM = np.random.default_rng(1)
AGE, BALANCE = RANDOM.integers(18, 80, N), RANDOM.normal(2000, 800, N).round(2)
CHURN = np.where(AGE / 40 + BALANCE / 2000 < 2.3, "yes", "no")
COLUMNS = {"age": AGE, "balance": BALANCE, "churn": CHURN}


def write(path, columns, header=True):
    """A CSV file of these columns by name."""
    lines = [",".join(columns)] if header else []
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def with_gaps():
    return {**COLUMNS, "age": np.where(np.arange(N) % 7 == 0, "", AGE.astype(str))}


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run a command in the folder of the files: exit code, what was printed, complaints."""
    monkeypatch.chdir(tmp_path)

    def run(command):
        try:
            code = main(command.split())
        except SystemExit as end:  # argparse ends by itself
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def churn(run, tmp_path):
    """A model of the customers."""
    write(tmp_path / "customers.csv", COLUMNS)
    code, _, err = run("train --data customers.csv --label-column churn --scale standard --save churn.npz")
    assert (code, err) == (0, "")
    return fastnn.load("churn.npz")


def accuracy(out):
    return float(re.search(r"accuracy ([\d.]+) %", out)[1])


# --- the label's column ---


def test_the_commands_of_the_readme(run, churn, tmp_path):
    write(tmp_path / "new.csv", {"age": AGE, "balance": BALANCE})
    assert run("predict churn.npz --data new.csv --output answers.txt") == (0, "", "")
    answers = (tmp_path / "answers.txt").read_text().split()
    assert churn.sizes == (2, 30, 2)
    assert churn.classes.tolist() == ["no", "yes"]
    assert churn.columns == ("age", "balance")
    assert answers == churn.predict(np.column_stack([AGE, BALANCE])).tolist()
    assert np.mean(np.array(answers) == CHURN) > 0.8


def test_the_label_column_is_kept(run, churn, tmp_path):
    """Evaluate and predict leave it where it is in each file; so does a network that went through the library."""
    _, expected, _ = run("evaluate churn.npz --data customers.csv")
    assert accuracy(expected) > 80
    write(tmp_path / "moved.csv", {name: COLUMNS[name] for name in ("churn", "balance", "age")})
    churn.copy().save("again.npz")
    for model in ("churn.npz", "again.npz"):
        assert run(f"evaluate {model} --data moved.csv") == (0, expected, "")
        code, out, _ = run(f"predict {model} --data moved.csv")
        assert (code, out.split()) == (0, churn.predict(np.column_stack([AGE, BALANCE])).tolist())
    assert re.search(r"^label column: churn$", run("info churn.npz")[1], re.MULTILINE)


@pytest.mark.parametrize("column", ["2", "-1", "churn"])
def test_a_column_by_number_or_name(column, run, churn):
    code, _, err = run(f"train --data customers.csv --label-column={column} --scale standard --save other.npz")
    assert (code, err) == (0, "")
    other = fastnn.load("other.npz")
    assert np.array_equal(other.weights[0], churn.weights[0])
    assert other.classes.tolist() == ["no", "yes"]


def test_files_without_a_header_have_the_label_where_training_had_it(run, churn, tmp_path):
    write(tmp_path / "bare.csv", COLUMNS, header=False)
    _, expected, _ = run("evaluate churn.npz --data customers.csv")
    code, _, err = run("evaluate churn.npz --data bare.csv")
    assert code == 1
    assert "bare.csv: expected a header with the label column 'churn'" in err
    assert run("evaluate churn.npz --data bare.csv --label-column 2") == (0, expected, "")
    assert (
        run("train --data customers.csv --label-column 2 --scale standard --save two.npz --test-data bare.csv")[0] == 0
    )
    assert run("evaluate two.npz --data bare.csv") == (0, expected, "")
    assert run("predict two.npz --data bare.csv") == run("predict churn.npz --data customers.csv")


def test_an_unknown_label_column(run, churn):
    code, _, err = run("train --data customers.csv --label-column chrn")
    assert code == 1
    assert "did you mean 'churn'?" in err


# --- columns by name ---


def test_columns_in_another_order_are_put_right(run, churn, tmp_path):
    write(tmp_path / "turned.csv", {"balance": BALANCE, "age": AGE})
    assert run("predict churn.npz --data turned.csv") == run("predict churn.npz --data customers.csv")
    write(tmp_path / "test.csv", {name: COLUMNS[name] for name in ("balance", "churn", "age")})
    options = "--label-column churn --scale standard --quiet"
    out = run(f"train --data customers.csv --test-data test.csv {options}")[1]
    assert accuracy(out) == accuracy(run(f"train --data customers.csv {options}")[1])


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_other_columns_are_refused(command, run, churn, tmp_path):
    write(tmp_path / "other.csv", {"years": AGE, "balance": BALANCE, "churn": CHURN})
    code, out, err = run(f"{command} churn.npz --data other.csv")
    assert (code, out) == (1, "")
    assert "other.csv: X must have the columns" in err
    assert "lacks 'age' and has 'years'" in err


# --- missing values ---


def test_missing_values_are_refused_with_a_cure_that_exists(run, churn, tmp_path):
    write(tmp_path / "gaps.csv", with_gaps())
    code, _, err = run("train --data gaps.csv --label-column churn")
    assert code == 1
    assert "gaps.csv, line 2, column 1 ('age'): expected a number, found an empty field; --missing mean or" in err
    code, _, err = run("evaluate churn.npz --data gaps.csv")
    assert code == 1
    assert "found an empty field; fastnn train --missing mean or" in err
    np.savez(tmp_path / "gaps.npz", X=np.column_stack([np.where(AGE > 40, np.nan, AGE), BALANCE]), y=CHURN)
    for command, cure in (("train", "pass --missing mean"), ("evaluate churn.npz", "pass fastnn train --missing mean")):
        code, _, err = run(f"{command} --data gaps.npz")
        assert code == 1
        assert "gaps.npz: X must be finite, got nan at" in err
        assert err.endswith(cure + "\n")


def test_missing_values_become_the_mean_of_training(run, tmp_path):
    write(tmp_path / "gaps.csv", with_gaps())
    code, out, err = run("train --data gaps.csv --label-column churn --missing mean --scale standard --save net.npz")
    assert (code, err) == (0, "")
    assert "18 missing values are filled with their column's mean" in out.splitlines()
    write(tmp_path / "one.csv", {"age": [""], "balance": [1500]})
    net = fastnn.load("net.npz")
    mean = AGE[np.arange(N) % 7 != 0].mean()
    # The library's own answer to a missing value, and to the mean of what training saw.
    assert np.allclose(net.forward([[np.nan, 1500.0]]), net.forward([[mean, 1500.0]]), atol=1e-6)
    answer, note = f"{net.predict([[mean, 1500.0]])[0]}\n", "1 missing values are filled with their column's mean"
    assert run("predict net.npz --data one.csv") == (0, answer, f"fastnn: {note} in training\n")
    assert run("predict net.npz --data one.csv --quiet") == (0, answer, "")


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_missing_values_become_a_number(kind, run, tmp_path):
    """Kept with the network; the same weights as of a file that has the number in their place."""
    gone = np.arange(N) % 7 == 0
    filled = np.where(gone, 30, AGE)
    if kind == "csv":
        write(tmp_path / "gaps.csv", with_gaps())
        write(tmp_path / "full.csv", {**COLUMNS, "age": filled})
    else:
        np.savez(tmp_path / "gaps.npz", X=np.column_stack([np.where(gone, np.nan, AGE), BALANCE]), y=CHURN)
        np.savez(tmp_path / "full.npz", X=np.column_stack([filled, BALANCE]), y=CHURN)
    options = "--label-column churn --scale standard --quiet"
    assert run(f"train --data gaps.{kind} {options} --missing 30 --save gaps")[0] == 0
    assert run(f"train --data full.{kind} {options} --save full")[0] == 0
    assert np.array_equal(fastnn.load("gaps").weights[0], fastnn.load("full").weights[0])
    for command in ("evaluate", "predict"):
        code, out, err = run(f"{command} gaps --data gaps.{kind}")
        assert (code, err) == (0, "fastnn: 18 missing values are filled with 30.0\n" if kind == "csv" else "")
        assert run(f"{command} full --data full.{kind}") == (0, out, "")
    assert run(f"evaluate full --data gaps.{kind}")[0] == 1


@pytest.mark.parametrize("value", ["median", "nan", "inf"])
def test_missing_must_be_mean_or_a_number(value, run):
    code, _, err = run(f"train --data digits --missing {value}")
    assert code == 2
    assert f"expected mean or a number, got '{value}'" in err


# --- text ---

PLAN = np.array(["basic", "plus", "pro"])[np.arange(N) % 3]
CITY = np.where(np.arange(N) % 5 == 0, "", np.where(AGE > 50, "Bonn", "Ulm, at the Danube"))


def with_text():
    quoted = [f'"{city}"' if "," in city else city for city in CITY]
    return {"plan": PLAN, "age": AGE, "city": quoted, "balance": BALANCE, "churn": CHURN}


@pytest.fixture
def told(run, tmp_path):
    """What training on customers of whom text is known said; the model is told.npz."""
    write(tmp_path / "text.csv", with_text())
    code, out, err = run("train --data text.csv --label-column churn --scale standard --save told.npz")
    assert (code, err) == (0, "")
    return out.splitlines()


def test_text_becomes_inputs_and_says_so(run, told):
    assert told[0] == "2 columns hold text ('plan', 'city'): each of their 6 values becomes an input of 0 or 1"
    net = fastnn.load("told.npz")
    city = ("city=", "city=Bonn", "city=Ulm, at the Danube")
    assert net.columns == ("plan=basic", "plan=plus", "plan=pro", "age", *city, "balance")
    X = np.column_stack(
        [PLAN[:, None] == ["basic", "plus", "pro"], AGE, CITY[:, None] == ["", "Bonn", "Ulm, at the Danube"], BALANCE]
    )
    expected = net.evaluate(X.astype(float), CHURN)
    _, out, err = run("evaluate told.npz --data text.csv")
    assert (accuracy(out), err) == (pytest.approx(100 * expected["accuracy"], abs=0.01), "")
    shown = run("info told.npz")[1]
    assert re.search(r"^text columns: 2 \(plan: 3 values, city: 3 values\)$", shown, re.MULTILINE)


def test_later_files_are_read_as_training_was(run, told, tmp_path):
    """Columns in another order, without labels, of one line, and through a network that went through the library."""
    columns = with_text()
    expected = run("predict told.npz --data text.csv")[1].split()
    write(tmp_path / "turned.csv", {name: columns[name] for name in ("city", "balance", "plan", "age")})
    fastnn.load("told.npz").copy().save("again.npz")
    for model in ("told.npz", "again.npz"):
        assert run(f"predict {model} --data turned.csv")[1].split() == expected
    write(tmp_path / "one.csv", {name: values[:1] for name, values in columns.items() if name != "churn"})
    assert run("predict told.npz --data one.csv") == (0, expected[0] + "\n", "")
    options = "--label-column churn --scale standard --epochs 1"
    write(tmp_path / "few.csv", {name: values[3:5] for name, values in columns.items()})  # not all of the texts
    assert "(2 samples)" in run(f"train --data text.csv --test-data few.csv {options}")[1]


def test_the_readme_on_text(run, tmp_path):
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    lines = re.search(r"```\n(customer,.*?)```", readme, re.DOTALL)[1].splitlines()
    train, predict = re.findall(r"^fastnn ((?:train --data customers|predict churn).*)$", readme, re.MULTILINE)
    (tmp_path / "customers.csv").write_text("\n".join(lines))
    (tmp_path / "new.csv").write_text("\n".join(line.rpartition(",")[0].partition(",")[2] for line in lines))
    code, out, _ = run(train)
    assert code == 0
    assert out.startswith("2 columns hold text ('plan', 'city'): each of their 5 values becomes")
    assert run(predict) == (0, "", "")
    assert set((tmp_path / "answers.txt").read_text().split()) <= {"yes", "no"}


def test_text_that_training_did_not_see(run, told, tmp_path):
    new = {**with_text(), "plan": np.where(np.arange(N) < 3, "gold", PLAN)}
    write(tmp_path / "new.csv", new)
    note = "3 values of column 'plan' were not seen in training, such as 'gold': none of its inputs is 1 there"
    for command in ("predict", "evaluate"):
        code, out, err = run(f"{command} told.npz --data new.csv")
        assert (code, err) == (0, f"fastnn: {note}\n")
        assert run(f"{command} told.npz --data new.csv --quiet") == (0, out, "")
    write(tmp_path / "new.csv", {**new, "age": np.where(AGE > 60, "old", AGE.astype(str))})
    code, _, err = run("predict told.npz --data new.csv")
    assert code == 1
    assert "column 2 ('age'): expected a number, found 'old', in a column that held numbers in training" in err


def test_files_without_a_header_hold_text_too(run, tmp_path):
    columns = with_text()
    write(tmp_path / "bare.csv", columns, header=False)
    assert run("train --data bare.csv --label-column=-1 --scale standard --save bare.npz")[0] == 0
    _, expected, _ = run("predict bare.npz --data bare.csv")
    del columns["churn"]
    write(tmp_path / "new.csv", columns, header=False)
    assert run("predict bare.npz --data new.csv") == (0, expected, "")


def test_columns_are_left_out_of_later_files_too(run, told, tmp_path):
    names = [f"customer {i}" for i in range(N)]
    days = [f"2020-01-{i % 28 + 1}" for i in range(N)]
    write(tmp_path / "more.csv", {"name": names, **with_text(), "since": days})
    options = "--label-column churn --scale standard"
    code, _, err = run(f"train --data more.csv {options}")
    assert code == 1
    assert "turn times into numbers" in err
    assert err.endswith("; --leave-out since leaves the column out\n")
    assert run(f"train --data more.csv {options} --leave-out since,0 --save less.npz")[0] == 0
    less = fastnn.load("less.npz")
    assert np.array_equal(less.weights[0], fastnn.load("told.npz").weights[0])
    expected = run("evaluate told.npz --data text.csv")
    assert run("evaluate less.npz --data more.csv") == run("evaluate less.npz --data text.csv") == expected
    assert re.search(r"^left out: +2 \(name, since\)$", run("info less.npz")[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (
            "train --data text.csv --leave-out plans",
            1,
            "expected a column to leave out 'plans', found none; did you mean 'plan'?",
        ),
        ("train --data digits --leave-out plan", 2, "leave_out goes with CSV files"),
        ("train --data text.csv --label-column price", 1, "there are 'plan', 'age', 'city', 'balance', 'churn'"),
    ],
)
def test_columns_that_are_not_there(command, code, message, run, told):
    found, _, err = run(command)
    assert found == code
    assert message in err


def test_networks_that_know_no_text_say_how_to_go_on(run, told, churn):
    """Those of earlier versions, and of the library."""
    net = fastnn.load("told.npz")
    net._reading = {"label_column": "churn", "number": None, "missing": None}
    net.save("before.npz")
    code, _, err = run("evaluate before.npz --data text.csv")
    assert code == 1
    assert "expected a number, found 'basic'; fastnn train makes a column of 0 and 1 of every text" in err
    assert err.endswith("fastnn train --leave-out plan leaves the column out\n")
    assert run("evaluate churn.npz --data customers.csv")[0] == 0


def test_where_labels_come_from_is_said_unless_it_was_given(run, told):
    options = "--data text.csv --scale standard --epochs 1"
    line = "labels are read from the first column, 'plan'; --label-column names another, such as churn"
    assert run(f"train {options}")[1].splitlines()[0] == line
    assert "labels are read" not in "".join(told)
    assert (
        run(f"train {options} --label-column 0")[1].splitlines()[0].startswith("2 columns hold text ('city', 'churn')")
    )


# --- what is learned ---


def test_fractions_make_a_regression(run, tmp_path):
    write(tmp_path / "data.csv", {"load": AGE / 64, "age": AGE, "balance": BALANCE})
    code, out, err = run("train --data data.csv --scale standard --save net --epochs 40")
    assert (code, err) == (0, "")
    notes = [line for line in out.splitlines() if "taken for the targets of a regression" in line]
    assert len(notes) == 1
    net = fastnn.load("net")
    assert (net.sizes, net.activations[-1], net.cost, net.task) == ((2, 30, 1), "identity", "quadratic", "regression")
    answers = np.array(run("predict net --data data.csv")[1].split(), float)
    assert np.corrcoef(answers, AGE / 64)[0, 1] > 0.9


@pytest.mark.parametrize("size", [2e5, 1e-6])
def test_targets_of_any_size_are_scaled_and_that_is_said(size, run, tmp_path):
    write(tmp_path / "prices.csv", {"price": size * (1 + AGE / 80), "age": AGE, "balance": BALANCE})
    code, out, err = run("train --data prices.csv --scale standard --save net --epochs 40")
    assert (code, err) == (0, "")
    assert "targets are brought to a mean of 0 and a standard deviation of 1" in out
    assert "of scaled targets" in out.splitlines()[-1]
    assert fastnn.load("net").target_scale == "standard"
    answers = np.array(run("predict net --data prices.csv")[1].split(), float)
    assert np.corrcoef(answers, AGE)[0, 1] > 0.95
    assert abs(answers / (size * (1 + AGE / 80)) - 1).mean() < 0.1
    assert " of scaled targets (120 samples)" in run("evaluate net --data prices.csv")[1]


@pytest.mark.filterwarnings("default::fastnn.TrainingWarning")
def test_targets_that_are_to_stay_as_they_are(run, tmp_path):
    write(tmp_path / "prices.csv", {"price": 2e5 * (1 + AGE / 80), "age": AGE, "balance": BALANCE})
    options = "--data prices.csv --scale standard --save net --epochs 5"
    code, out, err = run(f"train {options} --target-scale none")
    assert "Change: --target-scale standard" in err
    assert (code, fastnn.load("net").target_scale) == (0, None)
    assert "scaled targets" not in out
    assert "brought to" not in out
    code, out, _ = run(f"train {options} --target-scale 100000")
    assert (code, fastnn.load("net").target_scale) == (0, 1e5)
    assert "brought to" not in out
    code, _, err = run(f"train {options} --target-scale huge")
    assert code == 2
    assert "target_scale must be one of" in err


def test_counts_on_the_scale_of_logarithms_are_not_scaled(run, tmp_path):
    write(tmp_path / "counts.csv", {"count": AGE / 16, "age": AGE, "balance": BALANCE})
    code, out, _ = run("train --data counts.csv --cost poisson --scale standard --save net --epochs 1")
    assert (code, fastnn.load("net").target_scale) == (0, None)
    assert "scaled" not in out


def test_info_tells_how_data_are_read(run, tmp_path):
    columns = {f"c{i}": RANDOM.normal(size=N) for i in range(6)} | {"age": np.where(AGE > 75, "", AGE.astype(str))}
    write(tmp_path / "data.csv", {**columns, "price": 1000.5 * np.arange(N)})
    options = "--label-column price --scale robust --missing mean --epochs 1 --save net"
    assert run(f"train --data data.csv {options}")[0] == 0
    rows = dict(re.split(r":\s+", line, maxsplit=1) for line in run("info net")[1].splitlines())
    expected = {
        "task": "regression",
        "scale": "robust",
        "missing": "mean",
        "target scale": "standard",
        "columns": "7 (c0, c1, c2, c3, c4, ...)",
        "label column": "price",
    }
    assert expected.items() <= rows.items()
    assert rows.keys().isdisjoint(("classes", "targets"))
    fastnn.Network([2, 2], task="classes", classes=["no", "yes"]).save("new")
    assert re.search(r"^task: +classes$", run("info new")[1], re.MULTILINE)


def test_info_names_the_targets_of_a_frame(run):
    pd = pytest.importorskip("pandas")
    net = fastnn.Network([1, 2], output="identity", cost="quadratic")
    net.fit([[1.0], [2.0]], pd.DataFrame({"width": [0.5, 1.0], "height": [2.5, 3.0]}), epochs=0)
    net.save("two")
    assert re.search(r"^targets: +2 \(width, height\)$", run("info two")[1], re.MULTILINE)


def test_whole_numbers_of_many_values_make_a_regression(run, tmp_path):
    write(tmp_path / "prices.csv", {"price": 1000 * np.arange(N), "age": AGE})
    code, out, _ = run("train --data prices.csv --scale standard --save net --epochs 1")
    assert code == 0
    assert "120 different whole numbers among 120 samples: taken for the targets of a regression" in out
    assert fastnn.load("net").sizes == (1, 30, 1)


def test_scattered_whole_numbers_make_a_regression(run, tmp_path):
    """Prices of which some come again and again, as in every list of houses."""
    prices = np.sort(np.tile(1000 * np.arange(110), 4))
    write(tmp_path / "prices.csv", {"price": prices, "size": prices // 500 + np.arange(440) % 3})
    code, out, _ = run("train --data prices.csv --scale standard --save net --epochs 1")
    assert code == 0
    assert "110 different whole numbers among 440 samples: taken for the targets of a regression" in out
    code, out, _ = run("train --data prices.csv --scale standard --save net --epochs 1 --task classes")
    assert code == 0
    assert "regression" not in out
    net = fastnn.load("net")
    assert (net.task, net.sizes) == ("classes", (1, 30, 110))
    assert net.classes.tolist() == np.unique(prices).tolist()


def test_many_numbered_classes_may_be_quantities(run, tmp_path):
    write(tmp_path / "rings.csv", {"rings": np.arange(300) % 30, "size": np.arange(300) % 30 + RANDOM.normal(size=300)})
    code, out, err = run("train --data rings.csv --scale standard --save net --epochs 1")
    assert (code, fastnn.load("net").task) == (0, "classes")
    assert "30 different whole numbers such as 29 are taken for classes (--task regression takes them for quant" in out
    code, out, err = run("train --data rings.csv --scale standard --save net --task regression --epochs 1")
    assert code == 0
    assert "taken for classes" not in out
    net = fastnn.load("net")
    assert (net.task, net.sizes, net.target_scale) == ("regression", (1, 30, 1), "standard")
    assert run("evaluate net --data rings.csv")[0] == 0
    code, _, err = run("train --data rings.csv --task quantities")
    assert code == 2
    assert "task must be one of" in err


def test_text_is_no_quantity(run, tmp_path):
    write(tmp_path / "customers.csv", COLUMNS)
    code, _, err = run("train --data customers.csv --label-column churn --task regression")
    assert code == 1
    assert "y must hold real numbers for task 'regression', got text such as" in err


def test_several_outputs_make_classes_of_whole_numbers(run, tmp_path):
    """Who says that there is an output for each of them knows better than the reader."""
    write(tmp_path / "data.csv", {"label": np.arange(12), "age": AGE[:12]})
    code, out, err = run("train --data data.csv --layers 1,5,12 --scale standard --epochs 1 --save net")
    assert (code, err) == (0, "")
    assert "regression" not in out
    assert fastnn.load("net").task == "classes"


@pytest.mark.parametrize(
    ("options", "output", "cost"),
    [
        ("--cost cross_entropy", "sigmoid", "cross_entropy"),
        ("--output sigmoid", "sigmoid", "quadratic"),
        ("--output tanh --cost quadratic", "tanh", "quadratic"),
    ],
)
def test_what_is_given_stays_in_a_regression(options, output, cost, run, tmp_path):
    write(tmp_path / "data.csv", {"share": AGE / 100, "age": AGE, "balance": BALANCE})
    code, _, err = run(f"train --data data.csv --scale standard --epochs 1 --save net {options}")
    assert (code, err) == (0, "")
    net = fastnn.load("net")
    assert (net.sizes[-1], net.activations[-1], net.cost) == (1, output, cost)


def test_rows_of_targets(run, tmp_path):
    """Quantities make a regression; probabilities of classes, zeros and ones do not."""
    X = np.column_stack([AGE, BALANCE])
    targets = {
        "regression": np.column_stack([AGE / 10, BALANCE / 1000, AGE / 7]),
        "classes": np.tile([0.25, 0.5, 0.25], (N, 1)),
        "multilabel": np.column_stack([AGE > 40, AGE > 50, BALANCE > 2000]).astype(int),
    }
    for task, y in targets.items():
        np.savez(tmp_path / "data.npz", X=X, y=y)
        assert run("train --data data.npz --scale standard --epochs 1 --save net")[0] == 0
        net = fastnn.load("net")
        assert (net.task, net.sizes) == (task, (2, 30, 3))
        assert net.activations[-1] == ("identity" if task == "regression" else "sigmoid")


@pytest.mark.parametrize("labels", [[1, 2, 3], [-5, 0, 7], ["red", "green", "blue"]], ids=str)
def test_answers_come_in_the_labels_of_the_file(labels, run, tmp_path):
    y = np.array(labels)[np.digitize(AGE, [40, 60])]
    write(tmp_path / "data.csv", {"kind": y, "age": AGE, "balance": BALANCE})
    code, _, err = run("train --data data.csv --scale standard --epochs 100 --save net --quiet")
    assert (code, err) == (0, "")
    assert fastnn.load("net").sizes == (2, 30, 3)
    answers = run("predict net --data data.csv")[1].split()
    assert np.mean(np.array(answers) == y.astype(str)) > 0.9


def test_classes_that_the_first_samples_lack(run, tmp_path):
    order = np.argsort(CHURN)  # all of one class first
    write(tmp_path / "data.csv", {name: column[order] for name, column in COLUMNS.items()})
    code, _, err = run("train --data data.csv --label-column churn --samples 5 --scale standard --save net --epochs 1")
    assert (code, err) == (0, "")
    assert fastnn.load("net").classes.tolist() == ["no", "yes"]


def test_text_that_looks_like_numbers(run, tmp_path):
    """Of labels 1, 2 and 2a a file may hold the first two alone."""
    y = np.array(["1", "2", "2a"])[np.digitize(AGE, [40, 60])]
    columns = {"kind": y, "age": AGE, "balance": BALANCE}
    write(tmp_path / "data.csv", columns)
    write(tmp_path / "young.csv", {name: column[AGE < 60] for name, column in columns.items()})
    assert run("train --data data.csv --test-data young.csv --scale standard --epochs 100 --save net --quiet")[0] == 0
    code, out, _ = run("evaluate net --data young.csv")
    assert code == 0
    assert accuracy(out) > 90


# --- images ---


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_images_scale_by_themselves_and_say_so(kind, run, tmp_path):
    X, y, Xt, yt = fastnn.datasets.load_digits("uint8")
    X, Xt = X * 15, Xt * 15
    if kind == "csv":
        with gzip.open(tmp_path / "data.csv.gz", "wt") as file:
            np.savetxt(file, np.column_stack([y, X]), delimiter=",", fmt="%d")
        name = "data.csv.gz"
    else:
        name = "data.npz"
        np.savez(tmp_path / name, x_train=X, y_train=y, x_test=Xt.reshape(-1, 8, 8), y_test=yt)
    code, out, err = run(f"train --data {name} --epochs 3 --save net")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "the samples look like images: pixels are divided by 255"
    assert fastnn.load("net").scale == 255
    assert accuracy(out.splitlines()[-1]) > 80
    assert (out.splitlines()[-1].startswith("test accuracy") and "(360 samples)" in out) == (kind == "npz")
    code, out, _ = run(f"train --data {name} --epochs 1 --scale minmax --save net")
    assert code == 0
    assert "255" not in out
    assert fastnn.load("net").scale == "minmax"


def test_bytes_that_are_no_images_are_taken_at_face_value(run, tmp_path):
    np.savez(tmp_path / "data.npz", X=np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.uint8), y=[0, 1, 1, 0])
    assert run("train --data data.npz --epochs 1 --save net")[0] == 0
    assert fastnn.load("net").scale is None


# --- notes ---


def test_notes_are_lines_of_their_own_unless_quiet(run, tmp_path):
    columns = {"": np.arange(N), "age": AGE, "label": (AGE > 40).astype(int)}
    write(tmp_path / "data.csv", columns)
    options = "--data data.csv --label-column age --scale standard --epochs 1"
    _, out, _ = run(f"train {options}")
    assert "the first column, without a name, numbers or names the lines and is left out" in out.splitlines()
    assert len(run(f"train {options} --quiet --save net")[1].splitlines()) == 1
    for command in ("evaluate", "predict"):
        code, _, err = run(f"{command} net --data data.csv")
        assert code == 0
        assert err == "fastnn: the first column, without a name, numbers or names the lines and is left out\n"
        assert run(f"{command} net --data data.csv --quiet")[2] == ""
    _, out, _ = run("train --data data.csv --scale standard --epochs 1")
    assert "say --label-column 'label'" in out


DAMAGED = [
    [],
    {"label_column": 1.5},
    {"missing": "none"},
    {"number": "x"},
    {"categories": {"a": ["x"]}},
    {"categories": "onehot"},
    {"categories": [["a"]]},
    {"categories": [["a", "x"]]},
    {"categories": [["a", [1]]]},
    {"categories": [["a", []]]},
    {"categories": [[["a"], ["x"]]]},
    {"categories": [["a", ["x"]], ["a", ["y"]]]},
    {"leave_out": "a"},
    {"leave_out": [None]},
]


@pytest.mark.parametrize("reading", DAMAGED, ids=str)
def test_damaged_notes_on_reading_are_refused(reading, run, tmp_path):
    net = fastnn.Network([2, 2])
    net._reading = reading
    net.save(tmp_path / "net")
    write(tmp_path / "data.csv", {"label": [0, 1], "a": [1, 2], "b": [2, 1]})
    code, out, err = run("evaluate net --data data.csv")
    assert (code, out) == (1, "")
    assert err.startswith("fastnn: error: cannot load 'net': ")
