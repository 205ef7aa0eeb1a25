"""Columns of text as categories: what becomes of them, what is refused, and how later files are read."""

import csv
import io

import numpy as np
import pytest
from files import read_text, refusal, written
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.datasets import _csv, read_csv, read_features, read_file

STONES = "carat,cut,price\n0.2,Ideal,1\n0.3,Good,2\n0.4,,3\n0.5,Ideal,4\n"


def table(text, *args, **options):
    return read_text(read_file, text, *args, name="data.csv", **{"categories": "onehot", **options})


def refused(folder, text, *args, **options):
    path = written(folder, "data.csv", text)
    return refusal(lambda path: read_file(path, *args, **{"categories": "onehot", **options}), path)


# What becomes of text


def test_every_text_becomes_a_column_where_its_column_stood():
    data = table(STONES, "price")
    assert data.columns == ("carat", "cut=", "cut=Good", "cut=Ideal")
    assert data.X.tolist() == [[0.2, 0, 0, 1], [0.3, 0, 1, 0], [0.4, 1, 0, 0], [0.5, 0, 0, 1]]
    assert data.X.dtype == np.float64
    assert data.y.tolist() == [1, 2, 3, 4]
    assert data.categories == {"cut": ("", "Good", "Ideal")}
    assert data.notes == ("1 column holds text ('cut'): each of its 3 values becomes an input of 0 or 1",)


def test_read_csv_gives_the_same():
    X, y = read_text(read_csv, STONES, "price", categories="onehot")
    assert np.array_equal(X, table(STONES, "price").X)
    assert y.tolist() == [1, 2, 3, 4]


def test_nothing_is_learned_from_numbers():
    text = "y,a,b\n1,2.5,True\n0,3,False\n"
    data, plain = table(text), table(text, categories=None)
    assert np.array_equal(data.X, plain.X)
    assert (data.categories, plain.categories) == ({}, None)
    assert data.notes == plain.notes == ()


def test_a_file_without_a_header():
    data = table("0.2,Ideal,1\n0.3,Good,2\n", -1)
    assert data.columns is None
    assert data.categories == {1: ("Good", "Ideal")}
    assert data.X.tolist() == [[0.2, 0, 1], [0.3, 1, 0]]


def test_columns_that_share_a_name_go_by_their_numbers():
    text = "y,a,a\n1,x,u\n2,z,w\n"
    data = table(text)
    assert data.categories == {0: ("x", "z"), 1: ("u", "w")}
    assert np.array_equal(table(text, categories=data.categories).X, data.X)


@pytest.mark.parametrize("field", ["", "NA", "nan", "?", "N/A", '""', '"NA"', "  "])
def test_a_missing_field_is_a_text_of_its_own(field):
    data = table(f"y,a\n1,x\n0,{field}\n1,y\n")
    assert data.categories == {"a": ("", "x", "y")}
    assert data.X.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_missing_numbers_beside_text_follow_missing(tmp_path):
    text = "y,a,b\n1,x,1\n0,y,\n1,x,3\n"
    assert refused(tmp_path, text).startswith(", line 3, column 3 ('b'): expected a number, found an empty field")
    assert table(text, missing="mean").X.tolist() == [[1, 0, 1], [0, 1, 2], [1, 0, 3]]
    assert table(text, missing=9).X[1].tolist() == [0, 1, 9]
    assert np.isnan(table(text, missing="nan").X[1, 2])


def test_text_far_below_the_lines_that_are_looked_at(monkeypatch):
    monkeypatch.setattr(_csv, "_CHUNK", 256)
    lines = [
        "y,a,b,c",
        *[f"{i % 2},{i % 3},1.5,7" for i in range(300)],
        *["1,other,1.5,7"] * 400,
        *["0,1,0.5,odd"] * 200,
    ]
    lines += ["1,1,0.5,odd"] * 200
    data = table("\n".join(lines))
    assert data.categories == {"a": ("0", "1", "2", "other"), "c": ("7", "odd")}
    assert data.columns == ("a=0", "a=1", "a=2", "a=other", "b", "c=7", "c=odd")
    assert data.X[0].tolist() == [1, 0, 0, 0, 1.5, 1, 0]
    assert data.X[-1].tolist() == [0, 1, 0, 0, 0.5, 0, 1]


def test_fields_that_are_missing_above_the_first_text(monkeypatch, tmp_path):
    monkeypatch.setattr(_csv, "_CHUNK", 256)
    empty = ["y,a,b", *["0,1,"] * 300]
    assert table("\n".join([*empty, "1,2,pool"])).categories == {"b": ("", "pool")}
    assert refused(tmp_path, "\n".join([*empty, "1,2,3"])).startswith(
        ", line 2, column 3 ('b'): expected a number, found an empty field"
    )
    assert "line 303, column 2 ('a')" in refused(tmp_path, "\n".join([*empty, "1,2,pool", "1,,pool"]))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_quoted_text(encoding):
    text = 'y;town;a\n1;"Köln; am\nRhein";1,5\n0;"say ""hi""";2,5\n1;Köln;1\n'
    data = table(text.encode(encoding))
    assert data.categories == {"town": ("Köln", "Köln; am Rhein", 'say "hi"')}
    assert data.X.tolist() == [[0, 1, 0, 1.5], [0, 0, 1, 2.5], [1, 0, 0, 1]]


FIELDS = st.text(st.sampled_from('abé ,;"\n\t1.'), min_size=1, max_size=4).filter(
    lambda text: text.strip() == text and '"' not in text[:1] + text[-1:]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FIELDS, st.integers(0, 99), st.sampled_from(["red", "blue"])), min_size=1), st.booleans())
def test_text_as_python_writes_it(rows, quotes_all):
    """Against the csv module: a column of any text, one of numbers and one of two texts."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL, lineterminator="\n")
    # The first row makes it text, however the others come out.
    rows = [("text", 1, "red"), *rows]
    writer.writerow(["any", "number", "colour", "label"])
    writer.writerows([*row, i % 2] for i, row in enumerate(rows))
    texts = [row[0].replace("\n", " ") for row in rows]
    numbers = sum(is_float(text) for text in texts)
    if numbers > 0.75 * len(texts):
        return  # damage, as other tests show
    data = table(out.getvalue(), "label", header=True)
    assert set(data.categories) == {"any", "colour"}
    known = data.categories["any"]
    assert list(known) == sorted(set(texts))
    assert [known[i] for i in data.X[:, : len(known)].argmax(axis=1)] == texts
    assert data.X[:, len(known)].tolist() == [row[1] for row in rows]
    assert (data.X[:, : len(known)].sum(axis=1) == 1).all()
    again = table(out.getvalue(), "label", header=True, categories=data.categories)
    assert np.array_equal(again.X, data.X)


def is_float(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


# Refusals


def test_text_is_refused_by_itself_with_the_cure(tmp_path):
    assert refused(tmp_path, STONES, "price", categories=None) == (
        ", line 2, column 2 ('cut'): expected a number, found 'Ideal'; categories=\"onehot\" makes a column of 0 and 1 "
        "of every text, leave_out=['cut'] leaves the column out"
    )


@pytest.mark.parametrize("place", [0, 50, 150, 399])
def test_stray_text_among_numbers_is_damage(place, tmp_path):
    fields = [str(i / 7) for i in range(400)]
    fields[place] = "x7"
    assert refused(tmp_path, "y,a\n" + "".join(f"1,{field}\n" for field in fields)) == (
        f", line {place + 2}, column 2 ('a'): expected a number, as nearly all of the column are, found 'x7'; mend the "
        "field, or leave it empty; leave_out=['a'] leaves the column out"
    )


def test_up_to_three_quarters_may_be_numbers(tmp_path):
    text = "y,a\n" + "1,7\n" * 75 + "1,many\n" * 25
    assert table(text).categories == {"a": ("7", "many")}
    assert "as nearly all of the column are" in refused(tmp_path, text + "1,7\n")


@pytest.mark.parametrize(
    ("write", "expected", "cure"),
    [
        ('"{:,}"'.format, "a number", "write numbers without"),
        ('"${:,}.50"'.format, "a number", "write numbers without"),
        ("{}%".format, "a number", "write numbers without"),
        (lambda i: f"{2000 + i % 99}-01-31", "numbers or names", "turn times into numbers"),
        (lambda i: f"{i % 24}:30", "numbers or names", "turn times into numbers"),
    ],
)
@pytest.mark.parametrize("rows", [5, 900])
def test_times_and_numbers_as_spreadsheets_show_them(write, expected, cure, rows, tmp_path):
    message = refused(tmp_path, "y,a\n" + "".join(f"{i % 2},{write(1000 + i)}\n" for i in range(rows)))
    shown = write(1000).strip('"')
    assert message.startswith(f", line 2, column 2 ('a'): expected {expected}, found '{shown}'; {cure}")
    assert message.endswith("; leave_out=['a'] leaves the column out")


def test_the_most_texts_are_255(tmp_path):
    lines = [f"{i % 2},k{i}\n" for i in range(256)]
    assert table("y,a\n" + "".join(lines[:255])).X.shape == (255, 255)
    message = refused(tmp_path, "y,a\n" + "".join(lines))
    assert message.startswith(", line 257, column 2 ('a'): expected at most 255 different texts in a column")
    assert message.endswith("leave_out=['a'] leaves the column out")


def test_all_columns_to_leave_out_are_named(tmp_path):
    lines = ["y,id,when,kind", *[f"{i % 2},n{i},2020-01-{i % 28 + 1},{'ab'[i % 2]}" for i in range(300)]]
    assert refused(tmp_path, "\n".join(lines)).endswith(
        "there are 2 such columns; leave_out=['id', 'when'] leaves them out"
    )
    assert table("\n".join(lines), leave_out=["id", "when"]).columns == ("kind=a", "kind=b")


def test_a_small_file_may_not_ask_for_much(tmp_path):
    """Refused by what it would take, before that is asked for."""
    message = refused(tmp_path, "y,a\n" + "".join(f"1,k{i % 255}\n" for i in range(60_000)))
    assert message == (
        ": expected samples that take at most 64 times the size of the text (or 64 MB), but with a column for each of "
        "255 texts they would take 116 MB; leave columns out, for example leave_out=['a'] with its 255 texts"
    )


def test_many_columns_of_text(tmp_path):
    assert refused(tmp_path, "1" + ",a" * 10_001 + "\n").endswith("at most 10,000 columns of text, found 10,001")


@pytest.mark.parametrize(
    ("categories", "error", "message"),
    [
        ("one-hot", ValueError, "did you mean 'onehot'"),
        (True, TypeError, "categories must be one of"),
        ({"a": "text"}, TypeError, r"categories\['a'\] must be a sequence of texts, got 'text'"),
        ({"a": [1]}, TypeError, "must be a sequence of texts"),
        ({"a": []}, ValueError, "1 to 255 different texts, got 0"),
        ({"a": ["x", "x"]}, ValueError, "1 to 255 different texts"),
        ({"a": [str(i) for i in range(256)]}, ValueError, "1 to 255 different texts, got 256"),
        ({-1: ["x"]}, ValueError, "number must be >= 0"),
        ({1.5: ["x"]}, TypeError, "must be a whole number"),
    ],
)
def test_categories_are_checked(categories, error, message):
    with pytest.raises(error, match=message):
        table(STONES, categories=categories)


def test_samples_to_predict_need_the_categories_of_training():
    with pytest.raises(ValueError, match="categories must be those of training"):
        read_text(read_features, STONES, 4, "price", name="data.csv", categories="onehot")


# Headers


@pytest.mark.parametrize(
    "text",
    [
        "class,cap,odour\np,x,f\ne,x,n\n",
        ",cap,odour\n0,x,f\n1,x,n\n",  # an index as pandas writes it
        '"class","cap, of it"\np,x\ne,x\n',
        "cap,odour\nx,f\n",
        "cap,odour,class\nx,,1\n,f,0\n",
        "cap,odour,,\nx,f,,\ny,n,,\n",
        "carat,cut\n0.2,Ideal\n0.3,Good\n",
    ],
)
def test_a_header_above_text(text):
    data = table(text, -1)
    assert data.columns is not None
    assert len(data.X) == text.count("\n") - 1


@pytest.mark.parametrize(
    "text",
    [
        "p,x,f\ne,x,n\np,s,f\n",  # texts of the first line that come again
        "x,x\na,b\nc,d\n",  # not all different
        "a,b,\nc,d,e\n",  # a line that lacks a field
        "0.2,Ideal\n0.3,Good\n",
        "2001,x,y\n2002,z,w\n",
    ],
)
def test_text_that_is_no_header(text):
    data = table(text)
    assert data.columns is None
    assert len(data.X) == text.count("\n")


def test_names_come_again_in_other_columns():
    assert table("cap,odour\nodour,cap\nx,y\n").columns == ("odour=cap", "odour=y")


def test_what_is_looked_for_in_a_header_tells_that_there_is_one():
    """In later files, which may be of one line: of columns that training knew, too."""
    known = {"cut": ("Good", "Ideal")}
    for text in ("cut,color\nIdeal,E\n", "cut,color\nIdeal,E\ncut,color\n"):
        data = read_text(read_features, text, 3, None, name="data.csv", categories={**known, "color": ("E",)})
        assert data.columns == ("cut=Good", "cut=Ideal", "color=E")
    bare = {0: ("Good", "Ideal"), 1: ("E", "F")}
    data = read_text(read_features, "Ideal,E\n", 4, None, name="data.csv", categories=bare)
    assert data.X.tolist() == [[0, 1, 1, 0]]
    assert table("Ideal,E\nGood,F\n", header=True, leave_out=()).columns == ("E=F",)


# Later files


def test_what_was_not_seen_is_zero_and_told():
    known = table(STONES, "price").categories
    data = table("carat,cut,price\n1,Foo,1\n2,Good,2\n3,Bar,3\n4,Foo,4\n", "price", categories=known)
    assert data.X.tolist() == [[1, 0, 0, 0], [2, 0, 1, 0], [3, 0, 0, 0], [4, 0, 0, 0]]
    assert data.notes == (
        "3 values of column 'cut' were not seen in training, such as 'Foo': none of its inputs is 1 there",
    )
    assert data.categories == known
    (note,) = table("cut,price\n,1\n", "price", categories={"cut": ["Good"]}).notes
    assert note.startswith("1 value of column 'cut' was not seen in training, such as an empty field")


def test_columns_keep_what_they_were(tmp_path):
    """Text stays text, also where it looks like numbers, and numbers stay numbers."""
    known = {"code": ("1", "2", "2b")}
    assert table("y,code\n1,1\n0,2\n1,1\n", categories=known).X.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    message = refused(tmp_path, "y,code,size\n1,1,large\n", categories=known)
    assert (
        message
        == ", line 2, column 3 ('size'): expected a number, found 'large', in a column that held numbers in training"
    )
    assert refused(tmp_path, "y,size\n1,2\n", categories=known) == (
        ": expected the column 'code', which holds text by the categories, found no such column"
    )


def test_columns_in_another_order():
    known = {"a": ("x", "y"), "b": ("u", "v")}
    first = table("l,a,b\n1,x,v\n0,y,u\n", categories=known)
    other = table("b,l,a\nv,1,x\nu,0,y\n", "l", categories=known)
    assert first.columns == ("a=x", "a=y", "b=u", "b=v")
    assert other.columns == ("b=u", "b=v", "a=x", "a=y")
    assert np.array_equal(first.X, other.X[:, [2, 3, 0, 1]])


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("carat,cut,price\n0.2,Ideal,7\n", "price"),
        ("price,carat,cut\n7,0.2,Ideal\n", "price"),
        ("carat,cut\n0.2,Ideal\n", "price"),
        ("7,0.2,Ideal\n", 0),
        ("0.2,Ideal\n", 0),
    ],
)
def test_samples_to_predict(text, label):
    known = {"cut" if isinstance(label, str) else 1: ("Good", "Ideal")}
    data = read_text(read_features, text, 3, label, name="data.csv", categories=known)
    assert data.X.tolist() == [[0.2, 0, 1]]
    assert data.y is None


# Columns that are left out


def test_columns_are_left_out_by_name_and_number():
    text = "id,y,a,b\nn1,1,2,x\nn2,0,3,z\n"
    for leave_out in (["id"], [0], ["0"], [-4], ["id", 0]):
        data = table(text, "y", leave_out=leave_out)
        assert data.columns == ("a", "b=x", "b=z")
        assert data.X.tolist() == [[2, 1, 0], [3, 0, 1]]
        assert data.left_out == ("id",)
    bare = table(text.partition("\n")[2], 1, leave_out=[0, -1], categories=None)
    assert (bare.X.tolist(), bare.left_out) == ([[2], [3]], (0, 3))


def test_what_is_left_out_may_hold_anything():
    data = table("y,a,b,c\n1,,2,2020-01-01\n0,x y,3,5%\n", leave_out=["a", "c"], categories=None)
    assert data.X.tolist() == [[2], [3]]


def test_later_files_may_lack_what_is_left_out():
    for text in ("id,y,a\n5,1,2\n", "y,a\n1,2\n"):
        assert table(text, "y", leave_out=["id"], categories={}).X.tolist() == [[2]]
        assert read_text(read_features, text, 1, "y", name="data.csv", leave_out=["id"]).X.tolist() == [[2]]
    assert read_text(read_features, "id,a\n5,2\n", 1, "y", name="data.csv", leave_out=["id"]).X.tolist() == [[2]]


@pytest.mark.parametrize("text", ["9,1,8,2\n", "9,8,2\n", "2\n"])
def test_numbers_of_columns_count_the_label(text):
    """In files to predict, too, where its column may be absent."""
    data = read_text(read_features, text, 1, 1, name="data.csv", leave_out=[0, 2])
    assert data.X.tolist() == [[2]]


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        (["price"], "expected a column to leave out 'price', found none; there are 'y', 'a', 'colour'"),
        (["color"], "found none; did you mean 'colour'?"),
        ([3], "expected columns to leave out from -3 to 2, as there are 3 columns, found 3"),
        (["y"], "expected leave_out to leave a feature, and the label, found ['y']"),
        (["a", "colour"], "expected leave_out to leave a feature"),
    ],
)
def test_refusals_of_what_is_to_be_left_out(leave_out, message, tmp_path):
    assert message in refused(tmp_path, "y,a,colour\n1,2,3\n", leave_out=leave_out)


@pytest.mark.parametrize("leave_out", ["a", [1.5], [True], 3, None])
def test_leave_out_is_checked(leave_out):
    with pytest.raises(TypeError, match="leave_out must"):
        table(STONES, leave_out=leave_out)


def test_other_formats_have_no_columns_to_leave_out(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.zeros((2, 2)), y=[0, 1])
    with pytest.raises(ValueError, match="leave_out names columns of CSV files"):
        read_file(tmp_path / "data.npz", leave_out=["a"])


# What was mended beside


def test_decimal_marks_are_compared_in_all_lines(tmp_path):
    text = "y;a;b\n" + "1;0,5;7\n" * 200
    assert len(table(text + "1;0,5;1.25\n").X) == 201  # no thousands
    assert refused(tmp_path, text + "1;0,5;1.234\n").startswith(
        ", column 3 ('b'): expected the same decimal mark in all numbers, found '1.234' here and '0,5' elsewhere"
    )
    named = "y;a;b\n" + "1;0,5;v1.234\n0;1,5;v2\n" * 100
    assert table(named).categories == {"b": ("v1.234", "v2")}


def test_a_name_is_suggested_only_if_it_is_near(tmp_path):
    assert refused(tmp_path, "carat,table,depth,x,y,z\n1,2,3,4,5,6\n", "price") == (
        ": expected a label column 'price', found none; there are 'carat', 'table', 'depth', 'x', 'y', ..."
    )
    assert refused(tmp_path, "carat,Price\n1,2\n", "price").endswith("did you mean 'Price'?")


def test_thousands_of_whole_numbers_are_quantities():
    dense = np.arange(4000) % 1500
    gaps = np.where(dense == 700, 0, dense)
    for labels, task in ((dense, "classes"), (gaps, "regression")):
        assert table("y,a\n" + "".join(f"{label},1\n" for label in labels)).task == task
