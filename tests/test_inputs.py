"""Numbers at face value, scales that are part of the network, and frames of every library by the names of columns."""

import decimal
import re

import numpy as np
import pytest
from scipy import sparse

import fastnn
from fastnn import Network, validation
from fastnn.inputs import scaling, tables

RNG = np.random.default_rng(0)
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def shown(net, X):
    """What the network's first layer sees: through an identity network."""
    return np.asarray(net.forward(X), np.float64)


def mirror(n, **arguments):
    """A network whose outputs are its inputs."""
    start = [np.eye(n)], [np.zeros(n)]
    return Network([n, n], output="identity", cost="quadratic", initializer=start, dtype="float64", **arguments)


def fitted(X, **arguments):
    """A mirror that has learned its scale from X."""
    n = X.shape[1] * (2 if arguments.get("missing") == "indicator" else 1)
    net = mirror(n, **arguments)
    net.fit(X, np.zeros((X.shape[0], n)), epochs=0)
    return net


# --- face value ---


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64, bool])
def test_numbers_count_at_face_value_whatever_their_dtype(dtype):
    X = XOR.astype(dtype)
    np.testing.assert_array_equal(shown(mirror(2), X), XOR)
    net, plain = (Network([2, 4, 1], "tanh", seed=1) for _ in range(2))
    for one, data in ((net, X), (plain, XOR.astype(np.float32))):
        one.fit(data, [0, 1, 1, 0], epochs=500, batch_size=4)
    np.testing.assert_array_equal(net.weights[0], plain.weights[0])
    np.testing.assert_array_equal(net.predict(X), [0, 1, 1, 0])


def test_bytes_in_a_sparse_matrix_too():
    X = (RNG.integers(0, 256, (20, 9)) * (RNG.random((20, 9)) < 0.3)).astype(np.uint8)
    np.testing.assert_array_equal(shown(mirror(9), sparse.csr_array(X)), X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_scale_of_255_gives_bytes_and_other_numbers_the_same_bits(dtype):
    X = np.arange(256).reshape(-1, 1)
    net = Network([1, 1], (), "identity", "quadratic", ([[[1.0]]], [[0.0]]), dtype, scale=255)
    wanted = X.astype(dtype) / np.dtype(dtype).type(255)
    for data in (X, X.astype(np.uint8), X.astype(np.float32), X.astype(np.float64)):
        np.testing.assert_array_equal(net.forward(data), wanted)


def test_bytes_with_a_scale_of_255_are_not_copied():
    X = RNG.integers(0, 256, (10, 4)).astype(np.uint8)
    net = Network([4, 2], scale=255)
    assert np.shares_memory(net._reader.features("X", X).values, X)


# --- scales ---

TABLE = np.column_stack([RNG.normal(5, 3, 50), RNG.random(50) * 1e6, np.full(50, 0.1), RNG.integers(0, 3, 50)])
QUARTILES = np.quantile(TABLE, [0.25, 0.5, 0.75], axis=0)


def by_hand(scale):
    with np.errstate(invalid="ignore", divide="ignore"):
        result = {
            "minmax": (TABLE - TABLE.min(axis=0)) / np.ptp(TABLE, axis=0),
            "standard": (TABLE - TABLE.mean(axis=0)) / TABLE.std(axis=0),
            "robust": (TABLE - QUARTILES[1]) / (QUARTILES[2] - QUARTILES[0]),
        }[scale]
    result[:, 2] = 0
    return result


@pytest.mark.parametrize("scale", scaling.SCALES)
def test_learned_scales(scale):
    net = fitted(TABLE, scale=scale)
    np.testing.assert_allclose(shown(net, TABLE), by_hand(scale), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shown(net, TABLE[7:8]), by_hand(scale)[7:8], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", scaling.SCALES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int32])
@pytest.mark.parametrize("value", [0.1, 3, 77])
def test_a_constant_column_becomes_zero(value, dtype, scale):
    X = np.full((33, 2), value, dtype)
    X[:, 1] = np.arange(33)
    net = fitted(X, scale=scale)
    assert not shown(net, X)[:, 0].any()
    X[:, 0] += 1
    assert not shown(net, X)[:, 0].any()  # nothing is known of its unit


def test_a_scale_is_learned_in_float64():
    X = (1e6 + RNG.integers(0, 2, (1000, 1))).astype(np.float32)
    assert sorted(set(shown(fitted(X, scale="minmax"), X).ravel())) == [0, 1]
    np.testing.assert_allclose(shown(fitted(X, scale="standard"), X).std(), 1, rtol=1e-12)


@pytest.mark.parametrize("blocks", [1, 7])
@pytest.mark.parametrize("scale", scaling.SCALES)
def test_a_scale_does_not_depend_on_blocks(scale, blocks, monkeypatch):
    wanted = shown(fitted(TABLE, scale=scale), TABLE)
    monkeypatch.setattr(scaling, "_BLOCK", 4 * blocks)
    np.testing.assert_allclose(shown(fitted(TABLE, scale=scale), TABLE), wanted, rtol=1e-12, atol=1e-12)


def test_most_values_alike_leave_the_range_to_go_by():
    X = np.array([[0.0]] * 9 + [[5.0]])
    np.testing.assert_array_equal(shown(fitted(X, scale="robust"), X).ravel(), [0] * 9 + [2])


def test_a_number_divides():
    np.testing.assert_allclose(shown(mirror(4, scale=4), TABLE), TABLE / 4, rtol=1e-15)


@pytest.mark.parametrize("scale", ["minmax", "standard", 3.0])
def test_sparse_matrices_are_divided_and_never_shifted(scale):
    X = RNG.normal(2, 1, (40, 5)) * (RNG.random((40, 5)) < 0.4)
    X[:, 4] = 0
    units = {"minmax": abs(X).max(axis=0), "standard": X.std(axis=0), 3.0: np.full(5, 3.0)}[scale]
    wanted = np.divide(X, units, out=np.zeros_like(X), where=units > 0)
    net = fitted(sparse.csr_matrix(X), scale=scale)
    np.testing.assert_allclose(shown(net, sparse.csr_matrix(X)), wanted, rtol=1e-12)
    np.testing.assert_allclose(shown(net, X), wanted, rtol=1e-12)  # dense later: the same numbers


def test_a_shift_and_a_sparse_matrix_do_not_go_together():
    with pytest.raises(ValueError, match=r"X must be dense.*shifts its inputs.*X.toarray\(\)"):
        fitted(TABLE, scale="standard").forward(sparse.csr_matrix(TABLE))
    with pytest.raises(ValueError, match="scale 'robust' needs dense X"):
        fitted(sparse.csr_matrix(TABLE), scale="robust")


def test_a_scale_is_learned_once_and_kept(tmp_path):
    net = fitted(TABLE, scale="standard")
    before = shown(net, TABLE)
    net.fit(TABLE * 100, np.zeros((50, 4)), epochs=0)
    np.testing.assert_array_equal(shown(net, TABLE), before)
    net.save(tmp_path / "net")
    for twin in (fastnn.load(tmp_path / "net"), net.copy()):
        assert twin.scale == "standard"
        np.testing.assert_array_equal(shown(twin, TABLE), before)


@pytest.mark.parametrize("use", ["forward", "predict", "evaluate", "gradients"])
def test_a_scale_that_is_not_learned_yet(use):
    arguments = (TABLE, np.zeros((50, 4))) if use in ("evaluate", "gradients") else (TABLE,)
    with pytest.raises(ValueError, match="scale='standard' is learned by the first fit: call fit"):
        getattr(mirror(4, scale="standard"), use)(*arguments)


def test_a_fit_that_is_refused_learns_no_scale():
    net = mirror(4, scale="standard")
    with pytest.raises(ValueError, match="batch_size"):
        net.fit(TABLE, np.zeros((50, 4)), batch_size=0)
    net.fit(TABLE * 10, np.zeros((50, 4)), epochs=0)
    np.testing.assert_allclose(shown(net, TABLE * 10), by_hand("standard"), rtol=1e-12, atol=1e-12)
    assert net.task == "regression"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scale": "standart"}, ValueError, "scale must be one of .*did you mean 'standard'"),
        ({"scale": 0}, ValueError, "scale must be > 0"),
        ({"scale": [1, 2]}, TypeError, "scale must be a number"),
        ({"missing": "median"}, ValueError, "missing must be one of"),
        ({"missing": "indicator"}, ValueError, "sizes must begin with an even number"),
        ({"task": "class"}, ValueError, "task must be one of .*did you mean 'classes'"),
        ({"task": "regression", "classes": [1, 2]}, ValueError, "classes must not be given"),
        ({"classes": [1, 2, 3]}, ValueError, "classes must be a list of 2 labels"),
        ({"classes": ["a", "a"]}, ValueError, "classes must be different"),
        (
            {"task": "multilabel", "output": "softmax", "cost": "log_likelihood"},
            ValueError,
            "independent outputs such as output='sigmoid'",
        ),
    ],
)
def test_wishes_that_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        Network([3, 2], **arguments)


# --- missing values ---

GAPS = TABLE.copy()
GAPS[3, 0] = GAPS[5, 1] = GAPS[6, 1] = np.nan


@pytest.mark.parametrize("scale", [None, "standard", "minmax", "robust", 2.0])
def test_a_missing_value_is_taken_for_the_mean(scale):
    net = fitted(GAPS, scale=scale, missing="mean")
    filled = np.where(np.isnan(GAPS), np.nanmean(GAPS, axis=0), GAPS)
    np.testing.assert_allclose(shown(net, GAPS), shown(net, filled), rtol=1e-9, atol=1e-12)
    if scale == "standard":
        assert shown(net, GAPS)[3, 0] == shown(net, GAPS)[5, 1] == 0


def test_indicators_say_where_a_value_is_missing(tmp_path):
    net = fitted(GAPS, scale="standard", missing="indicator")
    seen = shown(net, GAPS)
    np.testing.assert_array_equal(seen[:, 4:], np.isnan(GAPS))
    np.testing.assert_array_equal(seen[:, :4], shown(fitted(GAPS, scale="standard", missing="mean"), GAPS))
    net.save(tmp_path / "net")
    np.testing.assert_array_equal(shown(fastnn.load(tmp_path / "net"), GAPS), seen)
    with pytest.raises(ValueError, match=r"X must have shape \(n, 4\), got \(50, 8\); half|: half of the 8 inputs"):
        net.forward(np.zeros((50, 8)))


def test_objects_may_be_missing_too():
    X = np.array([[1, None], [3, 4]], object)
    np.testing.assert_array_equal(shown(fitted(X, missing="mean"), X), [[1, 4], [3, 4]])


def test_infinity_is_never_a_missing_value():
    X = GAPS.copy()
    X[9, 3] = np.inf
    with pytest.raises(ValueError, match=re.escape("X must be finite, got inf at [9, 3]")):
        fitted(X, missing="mean")


def test_a_column_without_a_single_value_is_nothing():
    X = np.column_stack([np.full(5, np.nan), np.arange(5.0)])
    for scale in (None, *scaling.SCALES):
        assert not shown(fitted(X, scale=scale, missing="mean"), X)[:, 0].any()


# --- frames ---

AGES = [31, 17, 55, 40]
HEIGHTS = [1.7, 1.5, 1.8, 1.6]
MEMBERS = [True, False, True, True]
WANTED = np.column_stack([AGES, HEIGHTS, MEMBERS]).astype(float)
DATA = {"age": AGES, "height": HEIGHTS, "member": MEMBERS}


def pandas_frames():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(DATA)
    return {
        "mixed": frame,
        "nullable": frame.convert_dtypes(),
        "objects": frame.astype(object),
        "decimals": pd.DataFrame({**DATA, "height": [decimal.Decimal(str(h)) for h in HEIGHTS]}),
        "categories of numbers": frame.assign(age=pd.Categorical(AGES)),
    }


def other_frames():
    pl = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    return {
        "polars": pl.DataFrame(DATA),
        "arrow": pa.table(DATA),
        "arrow in pandas": pd.DataFrame(DATA).convert_dtypes(dtype_backend="pyarrow"),
    }


@pytest.mark.parametrize("kind", ["mixed", "nullable", "objects", "decimals", "categories of numbers"])
def test_frames_of_pandas(kind):
    frame = pandas_frames()[kind]
    net = fitted(frame)
    np.testing.assert_array_equal(shown(net, frame), WANTED)
    assert net.columns == ("age", "height", "member")


@pytest.mark.parametrize("kind", ["polars", "arrow", "arrow in pandas"])
def test_frames_of_others(kind):
    frame = other_frames()[kind]
    net = fitted(frame)
    np.testing.assert_array_equal(shown(net, frame), WANTED)
    assert net.columns == ("age", "height", "member")
    assert net.forward(pandas_frames()["mixed"][["member", "age", "height"]]).tolist() == WANTED.tolist()


def test_a_frame_of_bytes_is_no_other_with_one_float_more():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": np.array([1, 2], np.uint8), "b": np.array([3, 255], np.uint8)})
    np.testing.assert_array_equal(shown(mirror(2), frame), [[1, 3], [2, 255]])
    np.testing.assert_array_equal(shown(mirror(3), frame.assign(c=0.5)), [[1, 3, 0.5], [2, 255, 0.5]])


def test_columns_in_another_order_are_put_right_and_others_refused(tmp_path):
    frame = pandas_frames()["mixed"]
    net = fitted(frame, scale="standard")
    net.save(tmp_path / "net")
    for one in (net, fastnn.load(tmp_path / "net")):
        np.testing.assert_array_equal(one.forward(frame[["member", "height", "age"]]), one.forward(frame))
        assert one.evaluate(frame[["height", "age", "member"]], np.zeros((4, 3))) == one.evaluate(
            frame, np.zeros((4, 3))
        )
        with pytest.raises(ValueError, match=r"X must have the columns of the first fit.*lacks 'age' and has 'Age'"):
            one.forward(frame.rename(columns={"age": "Age"}))
        with pytest.raises(ValueError, match="lacks 'member'"):
            one.forward(frame[["age", "height"]])
        np.testing.assert_array_equal(one.forward(frame.to_numpy(float)), one.forward(frame))  # by place


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_column_too_many_is_named_whatever_is_in_it(library):
    module = pytest.importorskip(library)
    make = module.table if library == "pyarrow" else module.DataFrame
    net = fitted(make(DATA))
    with pytest.raises(ValueError, match=r"X must have the columns of the first fit, .*, but has 'answer'$"):
        net.forward(make({**DATA, "answer": ["yes", "no", "no", "yes"]}))


def test_what_is_advised_for_one_sample_and_one_column_works():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    net = mirror(3)
    for one in ([1.0, 2.0, 3.0], pd.DataFrame([[1.0, 2, 3]], columns=list("abc")).iloc[0], pl.Series([1.0, 2.0, 3.0])):
        with pytest.raises(ValueError, match=r"for one sample pass np.atleast_2d\(X\)"):
            net.forward(one)
        assert net.forward(np.atleast_2d(one)).tolist() == [[1, 2, 3]]
    for y in (pd.DataFrame({"y": list("abca")}), pl.DataFrame({"y": list("abca")}), np.array([[0], [1], [2], [0]])):
        net = fastnn.Network([1, 3])
        with pytest.raises(ValueError, match=r"for labels in one column pass np.ravel\(y\)"):
            net.fit(np.eye(4)[:, :1], y, epochs=0)
        net.fit(np.eye(4)[:, :1], np.ravel(y), epochs=0)


def test_columns_that_pandas_numbers_have_no_names():
    pd = pytest.importorskip("pandas")
    net = fitted(pd.DataFrame(WANTED))
    assert net.columns is None
    np.testing.assert_array_equal(shown(net, pandas_frames()["mixed"]), WANTED)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"age": [31, None, 55, 40]}, ValueError, "X must be finite, got nan in column 'age', row 1; .*missing="),
        ({"age": [31, "x", 55, 40]}, TypeError, "X must hold real numbers, got 'x' in column 'age', row 1; .*dummies"),
        ({"city": list("abcd")}, TypeError, "X must hold real numbers, got 'a' in column 'city', row 0; turn text"),
        ({"height": [1.7, np.inf, 1.8, 1.6]}, ValueError, "X must be finite, got inf in column 'height', row 1$"),
        ({"day": np.zeros(4, "M8[s]")}, TypeError, "got datetime64.* in column 'day'; turn times into numbers, "),
        ({"age": ["31", "2.5", "1", "4"]}, TypeError, "got '31' in column 'age', row 0; .*pandas.to_numeric$"),
    ],
)
def test_errors_name_column_row_and_value(change, error, message):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({**DATA, **change})
    with pytest.raises(error, match=message):
        Network([frame.shape[1], 2]).fit(frame, [0, 1, 0, 1])


@pytest.mark.parametrize("kind", ["nullable", "objects", "polars"])
def test_missing_values_of_frames(kind):
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    gaps = {**DATA, "age": [31, None, 55, 40], "member": [True, None, False, True]}
    frame = {
        "nullable": lambda: pd.DataFrame(gaps).convert_dtypes(),
        "objects": lambda: pd.DataFrame(gaps, dtype=object),
        "polars": lambda: pl.DataFrame(gaps),
    }[kind]()
    np.testing.assert_allclose(shown(fitted(frame, missing="mean"), frame)[1], [42, 1.5, 2 / 3], rtol=1e-12)
    with pytest.raises(
        (TypeError, ValueError), match=r"got (nan|None|<NA>) in column '(age|member)', row 1; .*missing="
    ):
        fitted(frame)


def test_a_frame_that_is_not_in_memory():
    pl = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"X must be in memory, got a LazyFrame: pass X.collect\(\)"):
        mirror(3).forward(pl.DataFrame(DATA).lazy())


@pytest.mark.parametrize("name", ["input_shift", "input_unit", "input_fill"])
@pytest.mark.parametrize("bad", [np.zeros(3), np.full(4, np.nan), np.zeros(4, np.float32)], ids=str)
def test_a_file_whose_scale_is_not_right(name, bad, tmp_path):
    from fastnn import persistence

    fitted(GAPS, scale="standard", missing="mean").save(tmp_path / "net")
    record = persistence.read(tmp_path / "net")
    record.arrays[name] = bad
    persistence.write(tmp_path / "net", record)
    with pytest.raises(ValueError, match=name):
        fastnn.load(tmp_path / "net")


# --- nothing twice ---


def count_calls(monkeypatch, room, name):
    """The first arguments that a function of a module is called with from now on."""
    seen, function = [], getattr(room, name)
    monkeypatch.setattr(room, name, lambda first, *rest: seen.append(first) or function(first, *rest))
    return seen


def test_a_frame_is_converted_once_where_no_scale_is_to_be_learned(monkeypatch):
    pd = pytest.importorskip("pandas")
    seen = count_calls(monkeypatch, tables, "read_table")
    net = Network([2, 2], scale=3.0)
    net.fit(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), [0, 1], epochs=0)
    assert seen == ["X"]
    assert net._reader.names == ("a", "b")


def test_converted_numbers_are_looked_through_once(monkeypatch):
    net = mirror(2, scale=3.0)
    seen = count_calls(monkeypatch, validation, "check_finite")
    net.forward(np.ones((5, 2), np.float32))
    assert seen == ["X"]


@pytest.mark.parametrize("settings", [{}, {"scale": 3.0}, {"scale": "minmax"}, {"scale": "minmax", "missing": "mean"}])
def test_what_is_not_finite_is_named_whatever_becomes_of_it(settings):
    net = Network([2, 2], dtype="float32", **settings)
    X = np.ones((40, 2))  # a constant column becomes 0, but not where it is infinite
    X[:, 1] = np.arange(40)
    net.fit(X, np.arange(40) % 2, epochs=0)
    for column, bad in ((0, np.inf), (1, np.inf), *([] if "missing" in settings else [(0, np.nan), (1, np.nan)])):
        wrong = X.copy()
        wrong[3, column] = bad
        with pytest.raises(ValueError, match=f"X must be finite, got {bad}"):
            net.evaluate(wrong, np.arange(40) % 2)
    X[3, 1] = 1e300
    with pytest.raises(ValueError, match="X must fit into float32, but holds numbers beyond its range"):
        net.evaluate(X, np.arange(40) % 2)


@pytest.mark.parametrize("argument", ["y", "sample_weight"])
def test_the_index_of_samples_in_another_order_is_refused(argument):
    pd = pytest.importorskip("pandas")
    names = [f"house {i}" for i in range(20)]
    X = pd.DataFrame({"size": np.arange(20.0)}, index=names)
    given = {"y": pd.Series(np.arange(20) % 2, names), "sample_weight": pd.Series(np.ones(20), names)}
    net = fastnn.Network([1, 1])
    net.fit(X, **given, epochs=1)
    before = net.weights[0].copy()
    turned = given | {argument: given[argument].iloc[::-1]}
    wanted = rf"{argument} must have its rows in the order of X.*pass {argument}.loc\[X.index\], or {argument}.to_numpy"
    with pytest.raises(ValueError, match=wanted):
        net.fit(X, **turned, epochs=1)
    with pytest.raises(ValueError, match=wanted):
        net.evaluate(X, **turned)
    assert np.array_equal(net.weights[0], before)
    for fine in (turned[argument].to_numpy(), turned[argument].loc[X.index], turned[argument].reset_index(drop=True)):
        net.fit(X, **(given | {argument: fine}), epochs=1)
    net.fit(X.to_numpy(), **turned, epochs=1)


def of_houses(argument):
    """X with y and weights, of which one has its rows in another order."""
    pd = pytest.importorskip("pandas")
    names = [f"house {i}" for i in range(20)]
    X = pd.DataFrame({"size": np.arange(20.0)}, index=names)
    given = {"y": pd.Series(np.arange(20) % 2, names), "sample_weight": pd.Series(np.ones(20), names)}
    return X, given["y"], given["sample_weight"], given | {argument: given[argument].iloc[::-1]}


ENTRIES = {
    "validation_split": lambda X, y, sample_weight: fastnn.Network([1, 1]).fit(
        X, y, 1, sample_weight=sample_weight, validation_split=0.2
    ),
    "fit_many": lambda X, **turned: fastnn.fit_many([fastnn.Network([1, 1])], X, **turned, epochs=1),
    "fit_many by rows": lambda X, **turned: fastnn.fit_many(
        [fastnn.Network([1, 1])], X, **turned, epochs=1, rows=[np.arange(10)]
    ),
    "fit_many split": lambda X, **turned: fastnn.fit_many(
        [fastnn.Network([1, 1])], X, **turned, epochs=1, validation_split=0.2
    ),
    "fit_many and what to validate on": lambda X, y, sample_weight: fastnn.fit_many(
        [fastnn.Network([1, 1])], X.to_numpy(), np.arange(20) % 2, validation_data=(X, y, sample_weight), epochs=1
    ),
    "cross_validate": lambda X, **turned: fastnn.cross_validate(lambda: fastnn.Network([1, 1]), X, **turned, epochs=1),
    "search": lambda X, **turned: fastnn.search(
        lambda units: fastnn.Network([1, units, 1]), {"units": [2]}, X, **turned, trials=2, epochs=1
    ),
    "a stream": lambda X, **turned: fastnn.Network([1, 1]).fit(stream=[(X, *turned.values())], epochs=1),
    "a stream to validate on": lambda X, **turned: fastnn.Network([1, 1]).fit(
        X.to_numpy(), np.arange(20) % 2, 1, validation_data=lambda: iter([(X, *turned.values())])
    ),
    "validation_data": lambda X, **turned: fastnn.Network([1, 1]).fit(
        X.to_numpy(), np.arange(20) % 2, 1, validation_data=(X, *turned.values())
    ),
    "gradients": lambda X, **turned: fastnn.Network([1, 1]).gradients(X, **turned),
    "diagnose": lambda X, **turned: fastnn.Network([1, 1]).diagnose(X, **turned),
    "Ensemble.evaluate": lambda X, **turned: fastnn.Ensemble([fastnn.Network([1, 1])]).evaluate(X, **turned),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("argument", ["y", "sample_weight"])
def test_the_index_of_samples_in_another_order_is_refused_wherever_they_go_in(entry, argument):
    X, y, sample_weight, turned = of_houses(argument)
    with pytest.raises(ValueError, match=f"{argument} must have its rows in the order of X"):
        ENTRIES[entry](X, **turned)
    ENTRIES[entry](X, y=y, sample_weight=sample_weight)


def test_times_among_objects_are_refused_with_a_cure():
    pd = pytest.importorskip("pandas")
    for times in (pd.date_range("2020", periods=4, tz="UTC"), pd.period_range("2020", periods=4)):
        with pytest.raises(TypeError, match=r"in column 'day', row 0; turn times into numbers"):
            fastnn.Network([1, 1]).forward(pd.DataFrame({"day": times}))


def test_numbers_as_text_are_no_classes_by_chance():
    X = np.arange(20.0)[:, np.newaxis]
    with pytest.raises(ValueError, match=r"got 20 \(0.5, .*for example with pandas.to_numeric"):
        fastnn.Network([1, 1], output="identity", cost="quadratic").fit(X, [f"{i}.5" for i in range(20)])
