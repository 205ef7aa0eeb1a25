"""Tables as people have them: what `read_file` and `read_csv` find out about a text file by looking."""

import csv
import io

import numpy as np
import pytest
from files import read_text, refusal, written
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.datasets import DataFileError, Dataset, _csv, read_csv, read_features, read_file


def table(text, *args, **options):
    return read_text(read_file, text, *args, name="data.csv", **options)


# Headers


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("0,1,2\n5,6,7\n8,9,1\n", ("1", "2")),
        ("label,0,1\n5,6,7\n8,9,1\n", ("0", "1")),
        ("label,0,1,2\ncat,6,7,8\ndog,9,1,8\n", ("0", "1", "2")),
        ('"0","1","2"\n"5","6","7"\n', ("1", "2")),
        ("label,x,y\n1,2,3\n", ("x", "y")),
        ("# label,x,y\n1,2,3\n", ("x", "y")),
        ("150,4,setosa\n1,2,3\n", ("4", "setosa")),
        ("label,2019,2020\n1,2,3\n", ("2019", "2020")),
        ("label,x,y\n1,NA,3\n2,4,3\n", ("x", "y")),
        ("label,x,y\n1,True,3\n2,False,3\n", ("x", "y")),
    ],
)
def test_a_header_is_seen(text, columns):
    data = table(text, missing=0.0)
    assert data.columns == columns
    assert len(data.X) == len(text.strip().split("\n")) - 1
    assert data.X.shape[1] == len(columns)


@pytest.mark.parametrize(
    "text",
    [
        "0,1\n1,0\n1,1\n",  # exclusive or
        "0,1,1\n1,0,1\n",
        "1,2,3\n4,5,6\n",
        "0,1,3\n4,5,6\n",
        "0.0,1.0,2.0\n4,5,6\n",
        "cat,0,1\ndog,1,0\ncat,1,1\n",
        "5.1,3.5,setosa\n4.9,3.0,setosa\n",
    ],
)
def test_numbers_that_are_no_header(text):
    label_column = -1 if "setosa" in text else 0
    data = table(text, label_column)
    assert data.columns is None
    assert len(data.X) == len(text.strip().split("\n"))


@pytest.mark.parametrize("label_column", [0, 1, -1, None])
@pytest.mark.parametrize(
    ("text", "rows"), [("0,1,2\n5,6,7\n", 1), ("label,0,1\n5,6,7\n", 1), ("5,6,7\n0,1,2\n", 2), ("a,b,c\n5,6,7\n", 1)]
)
def test_the_rule_for_headers_is_one_for_every_label_column(text, rows, label_column):
    found = read_text(read_csv, text, label_column)
    assert len(found if label_column is None else found[0]) == rows
    assert len(read_text(read_features, text, 2, label_column, name="data.csv").X) == rows


def test_a_header_of_numbers_is_told():
    assert table("0,1,2\n5,6,7\n").notes == ("the first line is taken for the names of the columns: 0, 1, 2",)
    assert table("a,b,c\n5,6,7\n").notes == ()
    assert "names of the columns: l, 0, 1, 2, ..." in table("l,0,1,2,3\n5,6,7,8,9\n").notes[0]


def test_header_as_said():
    assert len(table("0,1,2\n5,6,7\n", header=False).X) == 2
    data = table("9,8,7\n5,6,7\n", "8", header=True)
    assert (data.columns, data.label, data.X.tolist()) == (("9", "7"), "8", [[5, 7]])


@pytest.mark.parametrize(("header", "error"), [(1, TypeError), ("yes", TypeError)])
def test_header_is_checked(header, error):
    with pytest.raises(error, match="header must be True or False"):
        table("1,2\n", header=header)


def test_a_header_of_another_length(tmp_path):
    path = written(tmp_path, "data.csv", "\n\na,b\n1,2,3\n")
    assert refusal(read_file, path) == ", line 3: expected 3 names, as many as fields below, found 2"


# Index columns

# Lines of a frame as pandas writes it without its index.
LINES = ["label,a,b", "3,0.5,1", "1,1.5,2", "3,2.5,3", "2,3.5,4"]


def with_index(name, values, lines=LINES):
    return "".join(f"{value},{line}\n" for value, line in zip([name, *values], lines, strict=True))


@pytest.mark.parametrize(("name", "note"), [("", "without a name"), ("Unnamed: 0", "called 'Unnamed: 0'")])
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [17, 3, 5, 9], [-1, 0, 1, 2], ["r", "s", "t", "u"]])
@pytest.mark.parametrize("label_column", [0, "label", -3])
def test_an_index_is_left_out(name, note, order, label_column):
    data = table(with_index(name, order), label_column)
    assert data.columns == ("a", "b")
    assert data.label == "label"
    assert data.X.tolist() == [[0.5, 1], [1.5, 2], [2.5, 3], [3.5, 4]]
    assert data.y.tolist() == [3, 1, 3, 2]
    assert data.notes == (f"the first column, {note}, numbers or names the lines and is left out",)


def test_what_pandas_writes_is_read():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"label": [1, 0, 1], "town": ["Bonn", "Rome", "Bonn"], "a": [0.5, None, 2]})
    frame = pandas.get_dummies(frame).sample(frac=1, random_state=0)
    once = frame.to_csv()
    twice = pandas.read_csv(io.StringIO(once)).to_csv(index=False)
    for text in (once, twice, frame.to_csv(index=False)):
        data = table(text, "label", missing="nan")
        assert np.array_equal(data.X, frame.drop(columns="label").astype(float).values, equal_nan=True)
        assert data.columns == ("a", "town_Bonn", "town_Rome")
        assert data.y.tolist() == frame["label"].tolist()


@pytest.mark.parametrize("index", [True, False])
def test_a_frame_without_names(index):
    lines = ["0,1,2", "1,5.0,6.0", "0,7.0,8.0"]
    data = table(with_index("", [0, 1], lines) if index else "\n".join(lines))
    assert (data.X.tolist(), data.y.tolist()) == ([[5, 6], [7, 8]], [1, 0])


@pytest.mark.parametrize("text", [",a,b\n1,2,3\n1,5,6\n", ",a,b\n0.5,2,3\n1.5,5,6\n"])
def test_a_label_without_a_name_is_no_index(text):
    assert table(text).X.shape == (2, 2)


def test_a_first_column_with_a_name_is_no_index():
    assert table("i,a,b\n0,2,3\n1,5,6\n").X.shape == (2, 2)


# The label's column


@pytest.mark.parametrize(
    ("label_column", "name"), [(0, "a"), ("b", "b"), ("c", "c"), (-1, "c"), ("1", "b"), ("-1", "c")]
)
def test_label_column_by_name_and_number(label_column, name):
    data = table("a,b,c\n1,2,3\n4,5,6\n", label_column)
    assert data.label == name
    assert data.y.tolist() == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}[name]
    assert data.columns == tuple(sorted({"a", "b", "c"} - {name}))


def test_a_name_of_digits_goes_before_a_number():
    assert table("label,1,0\n5,6,7\n4,6,8\n", "0").y.tolist() == [7, 8]


def test_the_label_s_number_where_there_are_no_names():
    assert table("1,2,3\n4,5,6\n", -1).label == 2
    assert table("1,2,3\n4,5,6\n", "2").y.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("text", "label_column", "message"),
    [
        ("lable,b,c\n1,2,3\n", "label", ": expected a label column 'label', found none; did you mean 'lable'?"),
        (
            "1,2,3\n",
            "label",
            ": expected a header with the label column 'label', found none; give the column's number, from 0",
        ),
        ("1,2,3\n", "7", ": expected a label column from -3 to 2, as there are 3 columns, found 7"),
        (",a,b\n0,2,3\n1,2,3\n", 2, ": expected a label column from -2 to 1, as there are 2 columns, found 2"),
    ],
)
def test_label_column_refusals(text, label_column, message, tmp_path):
    assert refusal(read_file, written(tmp_path, "data.csv", text), label_column) == message


@pytest.mark.parametrize("label_column", [1.0, True, b"a", [0]])
def test_label_column_of_a_wrong_type(label_column):
    with pytest.raises(TypeError, match="label_column must be a whole number"):
        table("1,2\n", label_column)


def test_another_column_that_is_called_a_label():
    data = table("size,weight,label\n1,2,3\n4,5,6\n")
    assert data.notes == ("labels are read from column 1 ('size'); for those in 'label' say label_column='label'",)
    assert table("y,weight,label\n1,2,3\n").notes == table("size,label\n1,3\n", "label").notes == ()


# Labels and tasks


def test_labels_of_text():
    data = table("5.1,3.5,Iris-setosa\n4.9,3.0,Iris-virginica\n4.7,3.2,Iris-setosa\n", -1)
    assert data.y.tolist() == ["Iris-setosa", "Iris-virginica", "Iris-setosa"]
    assert data.classes.tolist() == ["Iris-setosa", "Iris-virginica"]
    assert data.task == "classes"
    _, y = read_text(read_csv, "kind,a\nyes,1\n no ,2\n")
    assert y.tolist() == ["yes", "no"]
    assert y.dtype.kind == "U"


def test_a_class_may_be_called_none():
    assert table("kind,a\nnone,1\nscratch,2\n").classes.tolist() == ["none", "scratch"]


def test_labels_of_truth():
    assert table("label,a\nTrue,1\nFalse,2\n").classes.tolist() == ["False", "True"]


def test_a_stray_label_is_damage(tmp_path):
    lines = ["label,a", *["1,2"] * 50, "x7,2", "", *["0,2"] * 50]
    message = refusal(read_file, written(tmp_path, "data.csv", "\n".join(lines)))
    assert message == ", line 52, column 1 ('label'): expected a number, as nearly all labels are, found 'x7'"


def test_text_among_the_features_names_column_line_and_cure(tmp_path):
    path = written(tmp_path, "data.csv", "label,size,town\n1,2,\n2,3,Bonn\n")
    assert refusal(read_file, path).startswith(", line 2, column 3 ('town'): expected a number, found an empty field")
    assert refusal(lambda path: read_file(path, missing="mean"), path) == (
        ", line 3, column 3 ('town'): expected a number, found 'Bonn'; if this column holds the labels, say "
        "label_column='town', else categories=\"onehot\" makes a column of 0 and 1 of every text, leave_out=['town'] "
        "leaves the column out"
    )
    message = refusal(lambda path: read_file(path, "size", missing="mean"), path)
    assert message.endswith(
        "found 'Bonn'; categories=\"onehot\" makes a column of 0 and 1 of every text, leave_out=['town'] leaves the "
        "column out"
    )


@pytest.mark.parametrize(
    ("field", "cure"),
    [
        ("62%", "write numbers without"),
        ('"1,234"', "write numbers without"),
        ("$12.50", "write numbers without"),
        ("1 234", "write numbers without"),
        ("2020-01-31", "turn times into numbers"),
        ("31.01.2020", "turn times into numbers"),
        ("1/31/20 12:30", "turn times into numbers"),
        ("-", "leave the field empty"),
        ("#DIV/0!", "leave the field empty"),
        ("E", 'categories="onehot" makes a column'),
    ],
)
def test_a_feature_as_spreadsheets_show_it_is_refused_with_a_cure(field, cure, tmp_path):
    path = written(tmp_path, "data.csv", f"size,label\n1,2\n{field},3\n")
    message = refusal(read_file, path, "label")
    assert message.startswith(f", line 3, column 1 ('size'): expected a number, found '{field.strip(chr(34))}'; {cure}")


@pytest.mark.parametrize(
    ("write", "cure"),
    [
        ('"{:,}"'.format, "write numbers without"),
        ('"${:,}.50"'.format, "write numbers without"),
        ("{}%".format, "write numbers without"),
        (lambda price: str(np.datetime64(price, "D")), "turn times into numbers"),
    ],
)
def test_labels_as_spreadsheets_show_numbers_are_no_classes(write, cure, tmp_path):
    lines = ["price,a", *(f"{write(1000 + 7 * i)},{i}" for i in range(50))]
    message = refusal(read_file, written(tmp_path, "data.csv", "\n".join(lines)))
    shown = write(1000).strip('"')
    assert message.startswith(f", line 2, column 1 ('price'): expected a number, found '{shown}'; {cure}")
    few = ["price,a", *(f"{write(1000 + 7 * (i % 5))},{i}" for i in range(50))]
    assert len(read_file(written(tmp_path, "few.csv", "\n".join(few))).classes) == 5


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize(("mark", "decimal"), [(".", ","), (",", ".")])
@pytest.mark.parametrize("label_column", ["size", "price", "rate"])
def test_marks_of_thousands_are_not_taken_for_decimals(separator, mark, decimal, label_column, tmp_path):
    def text(*rows):
        return "".join(separator.join(row) + "\n" for row in (("size", "price", "rate"), *rows))

    mixed = text(("7", "326", f"0{decimal}5"), ("8", f"1{mark}234", f"1{decimal}25"), ("7", f"12{mark}345", "2"))
    message = refusal(read_file, written(tmp_path, "mixed.csv", mixed), label_column)
    assert message == (
        f", column 2 ('price'): expected the same decimal mark in all numbers, found '1{mark}234' here and "
        f"'0{decimal}5' elsewhere; write numbers without separators of thousands, %, and signs of currency"
    )
    for other in (f"0{mark}234", f"1{mark}25", f"1{decimal}234"):  # which are no thousands
        fine = text(("7", "326", f"0{decimal}5"), ("8", other, f"1{decimal}25"), ("7", f"12{mark}5", "2"))
        data = read_file(written(tmp_path, "fine.csv", fine), "size")
        assert data.X.tolist() == [[326, 0.5], [float(other.replace(",", ".")), 1.25], [12.5, 2]]


def price_list(n):
    return np.random.default_rng(0).choice(10**6, n, replace=False)


def test_many_whole_numbers_are_a_regression():
    prices = price_list(100)
    data = table("price,a\n" + "".join(f"{price},{i}\n" for i, price in enumerate(prices)))
    assert data.task == "regression"
    assert data.classes is None
    assert np.array_equal(data.y, prices)
    assert data.notes == (
        "column 1 ('price') holds 100 different whole numbers among 100 samples: taken for the targets of a "
        "regression, not for classes",
    )


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([10, 20, 30, 10], "regression"),  # three of four
        ([10, 20, 10, 20], "classes"),
        ([0, 1, 2, 3], "classes"),  # few, and as classes are numbered
        ([-1, 1, -1, 1], "classes"),
        ([-1, 1, 2, 3], "regression"),
        ([5, 5.0, 6, 6], "classes"),
        ([0.5, 1, 1, 1], "regression"),
        (["a", "b", "c", "d"], "classes"),
    ],
)
def test_tasks(labels, task):
    data = table("".join(f"{label},7\n" for label in labels))
    assert data.task == task
    assert (data.classes is None) == (task == "regression")
    assert len(data.notes) == (task == "regression")


def test_a_fraction_is_named():
    notes = table("y,a\n1,2\n2.25,3\n").notes
    assert notes == ("column 1 ('y') holds fractions such as 2.25: taken for the targets of a regression",)


# Spellings


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n", "\n\n", "\r\n\r\n", "\n \n", "\n,,\n"])
@pytest.mark.parametrize("label_column", [0, 1, None])
def test_line_ends_and_blank_lines(end, label_column):
    lines = ["1,0.5,3", "0,1.5,4", "1,2.5,-5"]
    expected = read_text(read_csv, "\n".join(lines), label_column)
    for text in (end.join(lines), end + end.join(lines) + end, end.join(["label,a,b", *lines])):
        found = read_text(read_csv, text, label_column)
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("text", ["5\n\n6\n7\n", "\n\n5\n6\n \n7", "x\n5\n\n6\n7"])
def test_blank_lines_of_a_single_column(text):
    assert read_text(read_csv, text, None).tolist() == [[5], [6], [7]]


def test_few_long_lines():
    """So long that not all of them are looked at beforehand."""
    rows = np.arange(10) * 7 % 3
    data = table("".join(f"{row}," + ",".join(["1000000"] * 60_000) + "\n" for row in rows))
    assert data.X.shape == (10, 60_000)
    assert (data.X == 10**6).all()
    assert np.array_equal(data.y, rows)


def test_lines_of_separators_are_told():
    data = table("1,2,3\n,,\n4,5,6\n\n , ,\n")
    assert data.X.tolist() == [[2, 3], [5, 6]]
    assert data.notes == ("2 lines that hold separators alone are left out",)


@pytest.mark.parametrize("tail", [",", ",,,"])
def test_trailing_commas(tail):
    lines = ["label,a,b", "1,0.5,3", "0,1.5,4"]
    for header in (lines[0], lines[0] + tail):
        data = table("\n".join([header, *(line + tail for line in lines[1:])]))
        assert data.X.tolist() == [[0.5, 3], [1.5, 4]]
        assert data.y.tolist() == [1, 0]
        assert data.columns == ("a", "b")
    assert table("\n".join(line + tail for line in lines[1:]), -1).y.tolist() == [3, 4]


def test_a_column_that_is_empty_for_a_while_is_not_lost(tmp_path):
    path = written(tmp_path, "data.csv", "1,2,\n" * 150 + "1,2,3\n")
    assert refusal(read_file, path) == ", line 151, column 3: expected an empty field, as on the first lines, found '3'"


def test_a_column_with_a_name_is_not_left_out(tmp_path):
    path = written(tmp_path, "data.csv", "l,a,b\n1,2,\n3,4,\n")
    assert ", line 2, column 3 ('b'): expected a number, found an empty field" in refusal(read_file, path)


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_separators_are_found(mark, name):
    data = table("label,a,b\n1,0.5,3\n0,1.5,-4e2\n".replace(",", mark))
    assert data.X.tolist() == [[0.5, 3], [1.5, -400]]
    assert data.notes == (f"the fields are separated by {name}",)
    with_commas = table(f"label{mark}a{mark}b\n1{mark}0,5{mark}3\n0{mark}1,5{mark}4,25\n")
    assert with_commas.X.tolist() == [[0.5, 3], [1.5, 4.25]]
    targets = table(f"1,5{mark}2,5\n2,5{mark}3,5\n")
    assert (targets.X.tolist(), targets.y.tolist()) == ([[2.5], [3.5]], [1.5, 2.5])


def test_commas_stay_commas():
    assert table("1,2\n3,\n", missing=0.0).X.tolist() == [[2], [0]]
    assert table("kind,a,b\nx;y,1,2\nx;z,3,4\n").y.tolist() == ["x;y", "x;z"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(encoding):
    data = table("gr\u00f6\u00dfe;\u540d\r\n1,5;a\u00df\r\n2,5;\u540d\r\n".encode(encoding), -1)
    assert data.columns == ("gr\u00f6\u00dfe",)
    assert data.label == "\u540d"
    assert data.y.tolist() == ["a\u00df", "\u540d"]
    assert data.X.tolist() == [[1.5], [2.5]]


def test_an_encoding_of_before_unicode():
    data = table("gr\u00f6\u00dfe,sch\u00f6n\n1,ja\n2,n\u00f6\n".encode("latin-1"), -1)
    assert data.columns == ("gr\u00f6\u00dfe",)
    assert data.y.tolist() == ["ja", "n\u00f6"]


def test_utf_16_cut_short(tmp_path):
    path = written(tmp_path, "data.csv", "1,2\n3,4\n".encode("utf-16")[:-1])
    assert refusal(read_file, path).startswith(": expected undamaged text in UTF-16: ")


# Quotes


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.text("ab \",;'\u00e9", min_size=1, max_size=6), st.integers(-5, 2000), st.floats(-1e3, 1e3)),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(",;\t"),
)
def test_what_python_writes_is_read(rows, quoting, mark):
    rows = [(f"x{text}x", whole, real) for text, whole, real in rows]
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting, delimiter=mark)
    writer.writerow(["ki,nd", 'a "b"', "c"])
    writer.writerows(rows)
    data = table(out.getvalue())
    assert data.y.tolist() == [text for text, _, _ in rows]
    assert data.X.tolist() == [[whole, real] for _, whole, real in rows]
    assert (data.label, data.columns) == ("ki,nd", ('a "b"', "c"))


def test_quotes_around_numbers_and_lines_within_quotes(tmp_path):
    data = table('"label", "a", "b"\n"1", "0.5", "-3"\n"0","1.5",\t4\n')
    assert (data.X.tolist(), data.y.tolist()) == ([[0.5, -3], [1.5, 4]], [1, 0])
    text = 'kind,a\n"two\nlines",1\n"",2\n'
    assert ", line 4, column 1 ('kind'): expected a label" in refusal(read_file, written(tmp_path, "data.csv", text))
    assert table(text.replace('""', "one")).y.tolist() == ["two lines", "one"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n5" pipe,1\n6" pipe,2\n', 2),
        ('a,b\nx,1\ny"z,2\n', 3),
        ('a,b\n"x,1\ny,2\n', 2),
        ('a,b\n"x"y,1\ny,2\n', 2),
        ('"a,b\n1,2\n', 1),
    ],
)
def test_quotes_that_are_none(text, line, tmp_path):
    message = refusal(read_file, written(tmp_path, "data.csv", text))
    assert message == f", line {line}: expected quotes around whole fields, found one in a field or never closed"


# Missing values

WITH_GAPS = "label,a,b\n1,,3\n0,4,NA\n1,NaN,5\n0,8,null\n"


def test_missing_values_are_filled():
    mean = table(WITH_GAPS, missing="mean")
    assert mean.X.tolist() == [[6, 3], [4, 4], [6, 5], [8, 4]]
    assert mean.notes == ("4 missing values are filled with their column's mean",)
    number = table(WITH_GAPS, missing=-1)
    assert number.X.tolist() == [[-1, 3], [4, -1], [-1, 5], [8, -1]]
    assert number.notes == ("4 missing values are filled with -1",)
    left = table(WITH_GAPS, missing="nan")
    assert np.isnan(left.X).tolist() == [[True, False], [False, True], [True, False], [False, True]]
    assert left.notes == ("4 missing values are left NaN",)
    assert table("1,2\n3,4\n", missing="mean").notes == ()


@pytest.mark.parametrize("word", ["", " ", "NA", "nan", "NaN", "n/a", "#N/A", "<NA>", "NULL", "None", "?"])
def test_words_for_a_missing_value(word, tmp_path):
    text = f"1,2,3\n0,{word},5\n"
    assert table(text, missing=7).X.tolist() == [[2, 3], [7, 5]]
    assert refusal(read_file, written(tmp_path, "data.csv", text)).startswith(", line 2, column 2: expected a number")


def test_a_missing_label_is_never_filled(tmp_path):
    path = written(tmp_path, "data.csv", "l,a\n1,2\n,3\n")
    for missing in ("mean", 0, "nan"):
        message = refusal(lambda path, missing=missing: read_file(path, missing=missing), path)
        assert (
            message == ", line 3, column 1 ('l'): expected a label, found an empty field; leave out samples without one"
        )


def test_a_column_of_nothing_has_no_mean(tmp_path):
    path = written(tmp_path, "data.csv", "l,a,b\n1,,2\n1,,3\n")
    message = refusal(lambda path: read_file(path, missing="mean"), path)
    assert message == ": expected a value in column 2 ('a') to take the mean of, found none"


@pytest.mark.parametrize(
    ("missing", "error", "message"),
    [
        ("median", ValueError, "did you mean 'mean'"),
        ([1], TypeError, "missing must be a number"),
        (np.inf, ValueError, "missing must be finite"),
    ],
)
def test_missing_is_checked(missing, error, message):
    with pytest.raises(error, match=message):
        table("1,2\n", missing=missing)


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("TRUE", "FALSE"), (" true ", '"false"')])
def test_truths_among_the_features(yes, no):
    data = table(f"label,a,town_Bonn,town_Rome\n1,0.5,{yes},{no}\n0,1,{no},{yes}\n")
    assert data.columns == ("a", "town_Bonn", "town_Rome")
    assert data.X.tolist() == [[0.5, 1, 0], [1, 0, 1]]


# Numbers


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.from_regex(r"\A-?[0-9]{1,9}\.?[0-9]{0,8}\Z"), st.from_regex(r"\A-?[0-9]{0,3}\.[0-9]{1,14}\Z")),
        min_size=1,
        max_size=8,
    )
)
def test_decimals_are_python_s_to_the_last_bit(rows):
    found = read_text(read_csv, "\n".join(map(",".join, rows)), None, header=False)
    expected = np.array(rows, np.float64)
    assert found.tobytes() == expected.tobytes()


@settings(deadline=None)
@given(st.text("0123.-,\n", max_size=30))
def test_the_fast_ways_refuse_what_python_refuses(text):
    """Whatever they cannot read they leave to the slow way."""
    block = text.encode() + b"\n"
    fields = block[:-1].replace(b"\n", b",").split(b",")
    for parse in (_csv._pixels, _csv._decimals):
        values = parse(block, len(fields))
        if values is not None:
            assert values.astype(np.float64).tobytes() == np.array([float(field) for field in fields]).tobytes()


def test_pixels_take_the_fast_way():
    values = _csv._pixels(b"0,7,10,255,99,100\n001,30,5,6,7,8\n", 12)
    assert values.tolist() == [0, 7, 10, 255, 99, 100, 1, 30, 5, 6, 7, 8]
    assert _csv._pixels(b"1000,1\n", 2) is _csv._pixels(b"1,,2\n", 3) is _csv._pixels(b",1\n", 2) is None
    assert _csv._decimals(b"1.5,-2,.25\n", 3).tolist() == [1.5, -2, 0.25]
    assert _csv._decimals(b"1.5,1e3\n", 2) is _csv._decimals(b"1..5,1\n", 2) is _csv._decimals(b"1-5,1\n", 2) is None


def test_the_scale_of_images():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 64))

    def scale(X):
        return table("\n".join(",".join(map(str, row)) for row in np.column_stack([np.zeros(len(X), int), X]))).scale

    assert scale(pixels) == 255
    assert scale(pixels[:, :63]) is None  # too few for an image
    assert scale(pixels // 3) is None  # nothing bright
    assert scale(pixels - 1) is None
    assert scale(pixels + 1) is None
    assert scale(pixels / 2) is None
    assert table(",".join(["9"] + ["200"] * 64)).notes == (
        "the samples look like images with pixels from 0 to 255: scale=255 suits",
    )


# To predict


@pytest.mark.parametrize("label_column", [0, 2, "b"])
def test_samples_without_labels(label_column):
    with_labels, without = "a,b,c\n1,2,3\n4,5,6\n", "a,c\n1,3\n4,6\n"
    expected = table(with_labels, label_column)
    data = read_text(read_features, with_labels, 2, label_column, name="data.csv")
    assert np.array_equal(data.X, expected.X)
    assert (data.y, data.task, data.columns) == (None, None, expected.columns)
    data = read_text(read_features, without, 2, label_column, name="data.csv")
    assert data.X.tolist() == [[1, 3], [4, 6]]
    assert data.columns == ("a", "c")


def test_labels_that_are_not_needed_may_be_missing():
    assert read_text(read_features, "l,a\n?,1\n,2\n", 1, name="data.csv").X.tolist() == [[1], [2]]


def test_a_label_s_name_goes_before_the_number_of_columns():
    """A file of two features and the label is no file of three features."""
    assert read_text(read_features, "a,b,label\n1,2,3\n", 3, "label", name="data.csv").columns == ("a", "b")
    assert read_text(read_features, "a,b,c\n1,2,3\n", 2, "label", name="data.csv").columns == ("a", "b", "c")


def test_labels_alone_are_no_samples(tmp_path):
    path = written(tmp_path, "data.csv", "label\n1\n2\n")
    expected = ": expected a label and at least one feature, found a single column"
    assert refusal(lambda path: read_features(path, 3, "label"), path) == expected


def test_samples_of_another_width_come_whole():
    assert read_text(read_features, "1,2,3,4\n", 2, name="data.csv").X.shape == (1, 4)


def test_a_data_set_says_what_it_holds():
    data = table("label,a\n1,2\n0,3\n")
    assert isinstance(data, Dataset)
    with pytest.raises(AttributeError):
        data.X = None


def test_a_long_label_does_not_make_all_long(tmp_path):
    path = written(tmp_path, "data.csv", "l,a\n" + "x,1\n" * 1000 + "y" * 5000 + ",1\n")
    with pytest.raises(DataFileError, match=r"line 1002, column 1 \('l'\): expected a label, found one of 5,000 char"):
        read_file(path)
