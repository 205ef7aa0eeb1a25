"""A saved network is whole, safe to open, and goes on training bit for bit."""

import copy
import errno
import io
import json
import os
import pickle
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from children import environment
from states import same, state

import fastnn
from fastnn import SGD, Adam, Network, persistence
from fastnn.formulas import activations, costs, ops
from fastnn.kernels.host import WIDTH, WIDTHS

X, y, Xt, yt = fastnn.datasets.load_digits()

OPTIMIZERS = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.9, nesterov=True),
    Adam(0.01),
]


@pytest.fixture
def saved(tmp_path):
    """A trained network with an optimizer's memory, and its file."""
    net = Network([3, 4, 2], seed=5)
    net.fit(X[:50, 10:13], y[:50] % 2, epochs=2, optimizer=SGD(0.1, momentum=0.9))
    path = tmp_path / "net.npz"
    net.save(path)
    return net, path


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# --- what comes back ---


@pytest.mark.filterwarnings("ignore:dead ReLUs")  # momentum of 0.9 makes a rate of 0.1 ten times as fast
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_goes_on_bit_for_bit(optimizer, dtype, tmp_path):
    net = Network([64, 17, 33, 10], activation=["tanh", "relu"], dtype=dtype, seed=4)
    net.fit(X[:500], y[:500], epochs=2, optimizer=optimizer)
    net.save(tmp_path / "net")
    loaded = fastnn.load(tmp_path / "net")
    assert same(loaded, net)
    assert repr(loaded) == repr(net)
    assert loaded.history is None
    again = [one.fit(X[:500], y[:500], epochs=2, optimizer=optimizer, l2=1e-4) for one in (net, loaded)]
    assert same(loaded, net)
    assert again[0].train_cost == again[1].train_cost
    assert state(loaded) == state(net)


@pytest.mark.parametrize(
    "arguments",
    [
        {"output": "softmax", "cost": "log_likelihood"},
        {"output": "identity", "cost": "quadratic"},
        {"output": "tanh", "cost": "sum_squares", "dtype": "float64"},
    ],
)
def test_all_of_a_network_comes_back(arguments, tmp_path):
    net = Network([64, 12, 10], **arguments)
    net.save(tmp_path / "net")
    loaded = fastnn.load(tmp_path / "net")
    for name in ("sizes", "activations", "cost", "dtype", "n_parameters"):
        assert getattr(loaded, name) == getattr(net, name)
    assert np.array_equal(loaded.forward(Xt), net.forward(Xt))
    assert np.array_equal(loaded.predict(Xt), net.predict(Xt))


def test_a_regressor_that_learned_classes_still_answers_with_classes(tmp_path):
    net = Network([64, 10], output="identity", cost="quadratic")
    assert net.predict(Xt).shape == (360, 10)
    net.fit(X, y, epochs=1, optimizer=SGD(0.001))
    net.save(tmp_path / "net")
    assert fastnn.load(tmp_path / "net").predict(Xt).shape == (360,)


def test_a_network_without_hidden_layers(tmp_path):
    net = Network([2, 1], seed=None)
    net.save(tmp_path / "net")
    assert same(fastnn.load(tmp_path / "net"), net)


@pytest.mark.parametrize("width", [width for width in WIDTHS if width != WIDTH])
def test_a_file_does_not_depend_on_the_vector_width(width, saved):
    """The memory of a network is laid out for the machine's registers; a file must fit every machine."""
    net, path = saved
    code = (
        "import fastnn, sys; from fastnn.kernels.host import WIDTH; net = fastnn.load(sys.argv[1]); "
        "net.save(sys.argv[2]); print(WIDTH)"
    )
    written = path.with_name("copy")
    environment = {**os.environ, "FASTNN_SIMD_WIDTH": str(width)}
    run = subprocess.run(
        [sys.executable, "-c", code, path, written], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [str(width)]
    with np.load(path) as one, np.load(written) as other:
        assert one.files == other.files
        assert all(np.array_equal(one[name], other[name]) for name in one.files)
    assert state(fastnn.load(written)) == state(net)


# --- the file ---


def test_there_is_no_pickle_in_it(saved):
    _, path = saved
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert all(array.dtype.kind in "fU" for array in arrays.values())
    header = json.loads(str(arrays["fastnn_network"]))
    assert header["format"] == persistence.FORMAT
    assert header["sizes"] == [3, 4, 2]


@pytest.mark.parametrize("name", ["net", "net.npz", "net.fastnn", "net.npz.bak", ".hidden", "a name with spaces"])
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_the_name_is_used_as_it_is(name, kind, tmp_path):
    net = Network([3, 2])
    net.save(kind(tmp_path / name))
    assert files(tmp_path) == [name]
    assert same(fastnn.load(kind(tmp_path / name)), net)


@pytest.mark.parametrize("number", [np.float32(0.5), np.int64(1), Fraction(1, 2)], ids=repr)
def test_numbers_of_any_kind_go_into_the_file(number, tmp_path):
    net = Network([64, 10])
    net.fit(X[:50], y[:50], epochs=1, optimizer=fastnn.SGD(number), l2=number)
    net.save(tmp_path / "net")
    assert fastnn.load(tmp_path / "net").diagnose(X, y) == net.copy().diagnose(X, y)


def test_a_name_without_a_folder_is_in_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Network([3, 2]).save("net")
    assert files(tmp_path) == ["net"]
    assert fastnn.load("net").sizes == (3, 2)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_others_may_read_it_as_they_may_read_other_files(mask, tmp_path):
    before = os.umask(mask)
    try:
        Network([3, 2]).save(tmp_path / "net")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_who_might_read_the_file_before_may_read_the_new_one(tmp_path):
    path = tmp_path / "net"
    Network([3, 2]).save(path)
    path.chmod(0o640)
    Network([3, 2]).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    """Moving a file into the place of a device would destroy it: think of /dev/null, and of root."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # or opening it for writing would wait
    try:
        Network([3, 2]).save(pipe)
    except (OSError, ValueError):
        pass  # refused: fine
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


# --- writing is all or nothing ---


def fail_to_write(file, **arrays):
    file.write(b"half of it")
    raise OSError(28, "No space left on device")


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("broken", "how", "error"),
    [
        ("numpy.savez", fail_to_write, OSError),
        ("numpy.savez", interrupt, KeyboardInterrupt),
        ("os.fsync", interrupt, KeyboardInterrupt),
        ("os.replace", interrupt, KeyboardInterrupt),
    ],
    ids=["disk full", "interrupt while writing", "interrupt before the end", "interrupt at the end"],
)
def test_a_write_that_fails_leaves_the_old_file_alone(broken, how, error, saved, monkeypatch):
    net, path = saved
    before = path.read_bytes()
    net.fit(X[:50, 10:13], y[:50] % 2, epochs=1)
    monkeypatch.setattr(broken, how)
    for target in (path, path.with_name("new")):
        with pytest.raises(error):
            net.save(target)
    assert path.read_bytes() == before
    assert files(path.parent) == [path.name]


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EPERM], ids=errno.errorcode.get)
def test_what_was_written_is_kept_where_the_target_cannot_be_replaced(code, saved, monkeypatch):
    """Such as a file that is mounted by itself."""
    net, path = saved
    before = path.read_bytes()
    net.fit(X[:50, 10:13], y[:50] % 2, epochs=1)

    def busy(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        net.save(path)
    assert caught.value.errno == code
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    (kept,) = [other for other in path.parent.iterdir() if other != path]
    assert f"what was to be written is in '{kept}'" in str(caught.value)
    assert same(fastnn.load(kept), net)
    monkeypatch.undo()
    net.save(path)  # and does not clean it up
    assert kept.exists()


def test_a_folder_that_does_not_exist(tmp_path):
    """The error names what was given, and not a temporary file that nobody knows."""
    path = tmp_path / "nowhere" / "net"
    with pytest.raises(FileNotFoundError) as caught:
        Network([3, 2]).save(path)
    assert caught.value.filename == str(path)
    assert files(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links_that_lead_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        Network([3, 2]).save(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        fastnn.load(tmp_path / "a")
    assert files(tmp_path) == ["a", "b"]


def test_a_name_as_long_as_names_may_be(tmp_path):
    """Not only the name itself: that of the temporary file too."""
    path = tmp_path / ("n" * 255)
    Network([3, 2]).save(path)
    assert fastnn.load(path).sizes == (3, 2)
    with pytest.raises(OSError, match="too long") as caught:
        Network([3, 2]).save(f"{path}n")
    assert caught.value.filename == f"{path}n"


@pytest.mark.parametrize("wrong", [3, True, None, 1.5, ["net"], np.int64(3)], ids=repr)
def test_a_path_that_is_none(wrong):
    net = Network([3, 2])
    for action in (net.save, fastnn.load, fastnn.Ensemble([net]).save, fastnn.Ensemble.load):
        with pytest.raises(TypeError, match="path must be a str or a path, got"):
            action(wrong)


def test_a_descriptor_stays_open(tmp_path):
    with (tmp_path / "mine").open("wb") as file:
        for action in (Network([3, 2]).save, fastnn.load, fastnn.Ensemble.load):
            with pytest.raises(TypeError, match="path must be"):
                action(file.fileno())
        assert file.write(b"still open") == 10


def test_a_path_of_bytes(saved):
    net, path = saved
    net.save(os.fsencode(path))
    assert same(fastnn.load(os.fsencode(path)), net)


# --- what writers leave behind that are killed ---

KILLED = """
import os, signal, sys
import fastnn, numpy as np
savez = np.savez
def killed(file, **arrays):
    savez(file, **arrays)
    print("writing", flush=True)
    sys.stdin.readline() if sys.argv[2] == "waits" else os.kill(os.getpid(), signal.SIGKILL)
np.savez = killed
fastnn.Network([3, 2]).save(sys.argv[1])
"""


def writer(path, how):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, path, how],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "writing\n"
    return process


def leftovers(folder):
    return [name for name in files(folder) if name.startswith(".fastnn-")]


@pytest.mark.skipif(persistence.fcntl is None, reason="where files cannot be locked, only time tells")
def test_the_next_save_removes_what_a_killed_one_left(tmp_path):
    with writer(tmp_path / "one", "is killed") as process:
        process.wait(60)
    assert len(leftovers(tmp_path)) == 1
    Network([3, 2]).save(tmp_path / "another")
    assert files(tmp_path) == ["another"]


@pytest.mark.skipif(persistence.fcntl is None, reason="where files cannot be locked, only time tells")
def test_what_another_process_is_writing_is_let_alone(tmp_path):
    with writer(tmp_path / "one", "waits") as process:
        Network([3, 2]).save(tmp_path / "another")
        assert len(leftovers(tmp_path)) == 1
        process.communicate("go on\n", timeout=60)
    assert process.returncode == 0
    assert files(tmp_path) == ["another", "one"]
    assert fastnn.load(tmp_path / "one").sizes == (3, 2)


def test_what_another_thread_is_writing_is_let_alone(tmp_path):
    def write(file):
        Network([3, 2]).save(tmp_path / "another")
        assert len(leftovers(tmp_path)) == 1
        file.write(b"whole")

    persistence.write_atomically(tmp_path / "one", write)
    assert files(tmp_path) == ["another", "one"]


@pytest.mark.parametrize("lock", ["none at all", "refused"])
def test_where_files_cannot_be_locked_old_ones_go(lock, tmp_path, monkeypatch):
    class Refusing:
        LOCK_EX = LOCK_NB = 0

        def flock(self, *_):
            raise OSError(38, "Function not implemented")

    monkeypatch.setattr(persistence, "fcntl", None if lock == "none at all" else Refusing())
    young, old = tmp_path / ".fastnn-young.tmp", tmp_path / ".fastnn-old.tmp"
    for path in (young, old):
        path.write_bytes(b"half of it")
    os.utime(old, (0, 0))
    Network([3, 2]).save(tmp_path / "net")
    assert files(tmp_path) == [young.name, "net"]
    assert fastnn.load(tmp_path / "net").sizes == (3, 2)


def test_what_is_not_ours_stays(tmp_path):
    """Whatever its name."""
    for name in (".net.abcdefgh.tmp", "fastnn-1.tmp", ".fastnn-1", ".fastnn-1.tmp.bak"):
        (tmp_path / name).write_text("somebody else's")
    (tmp_path / ".fastnn-folder.tmp").mkdir()
    (tmp_path / ".fastnn-link.tmp").symlink_to(tmp_path / "fastnn-1.tmp")
    before = files(tmp_path)
    Network([3, 2]).save(tmp_path / "net")
    assert files(tmp_path) == sorted([*before, "net"])


def test_a_file_that_is_taken_for_left_over_is_made_anew(tmp_path, monkeypatch):
    """In the moment between its making and its locking."""
    lock, taken = persistence._lock, []

    def late(file):
        if not taken:
            taken.append(file.name)
            (leftover,) = leftovers(tmp_path)
            os.unlink(tmp_path / leftover)
        return lock(file)

    monkeypatch.setattr(persistence, "_lock", late)
    Network([3, 2]).save(tmp_path / "net")
    assert files(tmp_path) == ["net"]
    assert taken


def test_a_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / "net").mkdir()
    with pytest.raises(OSError, match="net"):
        Network([3, 2]).save(tmp_path / "net")
    assert files(tmp_path) == ["net"]
    assert files(tmp_path / "net") == []


# --- files that are not right ---


def assert_refused(path, *fragments):
    """A ValueError on one line that names the file."""
    with pytest.raises(ValueError, match="cannot load") as caught:
        fastnn.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fastnn.load(tmp_path / "nowhere")


def zipped(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")


def saved_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("hello, this is no network at all\n"),
        lambda path: path.write_bytes(bytes(range(256)) * 20),
        lambda path: path.write_bytes(b"PK\x03\x04 but no zip"),
        lambda path: path.write_bytes(pickle.dumps(Network([3, 2]))),
        zipped,
        saved_array,
        lambda path: np.savez(path, X=np.zeros(3), y=np.zeros(3)),
        lambda path: np.savez(path, fastnn_network=np.array("{")),
        lambda path: np.savez(path, fastnn_network=np.array("[1]")),
        lambda path: np.savez(path, fastnn_network=np.array([{}], dtype=object)),
        lambda path: np.savez(path, fastnn_network=np.zeros(3)),
    ],
    ids=["empty", "text", "bytes", "zip-like", "pickle", "zip", "npy", "npz", "JSON", "list", "object", "numbers"],
)
def test_foreign_files(write, tmp_path):
    path = tmp_path / "foreign.npz"
    write(path)
    assert_refused(path)


def test_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("the file was executed",)

    with (tmp_path / "net").open("wb") as file:
        np.savez(file, fastnn_network=np.array([Bomb()], dtype=object))
    assert_refused(tmp_path / "net")


def growth(action):
    """Bytes of memory that a call needs at its peak."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def compressed(path):
    np.savez_compressed(path, fastnn_network=np.array("{}"), weights0=np.zeros(20_000_000))


def shared(path):
    """A hundred members made of the same bytes."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights0.npy", bytes(1_000_000))
        (member,) = file.filelist
        for number in range(100):
            other = copy.copy(member)
            other.filename = f"weights{number}.npy"
            file.filelist.append(other)


def promising(path):
    """A header of an array as large as the world."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights0.npy", content.getvalue())


@pytest.mark.parametrize("write", [compressed, shared, promising])
def test_a_small_file_that_takes_much_memory_is_refused_before_it_does(write, tmp_path):
    path = tmp_path / "net.npz"
    write(path)
    needed = growth(lambda: assert_refused(path))
    assert needed < 4 * path.stat().st_size + 1_000_000


def test_reading_takes_little_more_than_the_file(tmp_path):
    net, path = Network([1000, 1000, 10]), tmp_path / "net"
    net.save(path)
    assert growth(lambda: persistence.read(path)) < 2.5 * path.stat().st_size


def test_every_truncation_is_noticed(saved):
    _, path = saved
    content = path.read_bytes()
    for length in range(0, len(content), 61):
        path.write_bytes(content[:length])
        assert_refused(path)


def test_a_flipped_byte_is_noticed_or_harmless(saved):
    """Whichever byte it is: a ValueError, or the network that was saved."""
    net, path = saved
    content, expected = path.read_bytes(), state(net)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= (0x01, 0x80, 0xFF)[place % 3]
        path.write_bytes(damaged)
        try:
            loaded = fastnn.load(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017  (or no error)
        else:
            assert state(loaded) == expected, f"byte {place} changed something that nobody noticed"


def test_what_to_do_with_an_earlier_file_can_be_done(saved):
    net, path = saved
    with np.load(path) as file:
        header = json.loads(str(file["fastnn_network"])) | {"format": 1}
        arrays = {**file, "fastnn_network": np.array(json.dumps(header))}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"file = numpy.load\(path\); fastnn.Network\(sizes, .*initializer=\(\[file\["):
        fastnn.load(path)
    file = np.load(path)
    start = [file["weights0"], file["weights1"]], [file["biases0"], file["biases1"]]
    assert same(fastnn.Network(header["sizes"], initializer=start, dtype=header["dtype"]), net)


CHANGES = {
    "an earlier format": ({"format": 1}, "earlier version of fastnn (format 1)"),
    "a newer format": ({"format": persistence.FORMAT + 1}, "newer version"),
    "a format that is no number": ({"format": "one"}, ""),
    "no sizes": ({"sizes": None}, "'sizes'"),
    "a single size": ({"sizes": [3]}, ""),
    "sizes that are no numbers": ({"sizes": ["a", "b", "c"]}, ""),
    "other sizes": ({"sizes": [3, 5, 2]}, "'weights0'"),
    "fractional sizes": ({"sizes": [3.0, 4.0, 2.0]}, ""),
    "more sizes": ({"sizes": [3, 4, 2, 2]}, "weights2"),
    "an unknown activation": ({"activations": ["swish", "sigmoid"]}, "swish"),
    "too few activations": ({"activations": ["sigmoid"]}, ""),
    "softmax in a hidden layer": ({"activations": ["softmax", "sigmoid"]}, "softmax"),
    "an unknown cost": ({"cost": "hinge"}, "hinge"),
    "a cost that does not go with the output": ({"cost": "log_likelihood"}, "log_likelihood"),
    "another dtype": ({"dtype": "float64"}, "float64"),
    "an unknown dtype": ({"dtype": "float16"}, "float16"),
    "an optimizer that is no name": ({"optimizer": 3}, "'optimizer'"),
    "an optimizer with more memory": ({"optimizer": "adam"}, "adam keeps 2 numbers"),
    "an optimizer with less memory": ({"optimizer": "sgd"}, "sgd keeps 0 numbers"),
    "more memory than there is": ({"optimizer": "own", "states": 2}, "state1"),
    "less memory than there is": ({"optimizer": "own", "states": 0}, "state0"),
    "memory of a negative size": ({"optimizer": "own", "states": -1}, "states"),
    "more memory than there is, in a file of before 0.2": ({"optimizer": "adam", "states": None}, "state1"),
    "memory without end": ({"optimizer": "own", "states": 10**9}, "1000000000 states"),
    "more steps than can be counted": ({"steps": 2**70}, "steps"),
    "no steps": ({"steps": None}, "'steps'"),
    "negative steps": ({"steps": -1}, "steps"),
    "no generator": ({"generator": None}, "'generator'"),
    "another generator": ({"generator": {"bit_generator": "MT19937"}}, ""),
    "an empty generator": ({"generator": {}}, ""),
    "nothing about its data": ({"data": None}, "'data'"),
}


@pytest.mark.parametrize(("changes", "fragment"), CHANGES.values(), ids=CHANGES.keys())
def test_a_header_that_is_not_right(changes, fragment, saved):
    _, path = saved
    record = persistence.read(path)
    header = {name: value for name, value in {**record.header, **changes}.items() if value is not None}
    persistence.write(path, record._replace(header=header))
    assert_refused(path, fragment)


@pytest.mark.parametrize("own", ["activation", "output", "cost"])
def test_formulas_of_ones_own_are_kept(own, tmp_path):
    functions = {
        "activation": activations.activation("bump", lambda z: z * ops.exp(-ops.square(z))),
        "output": activations.activation("steep", lambda z, slope: slope * z, slope=2.0),
        "cost": costs.cost("cauchy", lambda a, t: ops.log1p(ops.square(a - t)), outputs="identity"),
    }
    net = Network([3, 4, 2], **{"output": "identity", "cost": "quadratic", own: functions[own]}, seed=5)
    net.fit(X[:50, 10:13], X[:50, 20:22], epochs=2, optimizer=SGD(0.01))
    net.save(tmp_path / "net.npz")
    loaded = fastnn.load(tmp_path / "net.npz")
    assert state(loaded) == state(net)
    assert loaded.fit(X[:50, 10:13], X[:50, 20:22], 1).train_cost == net.fit(X[:50, 10:13], X[:50, 20:22], 1).train_cost
    assert state(loaded) == state(net)


def test_the_memory_of_an_optimizer_that_is_not_at_hand(saved):
    """A user's own, by its name: it waits until that one goes on; another one begins with memory of its own."""
    net, path = saved
    record = persistence.read(path)
    persistence.write(path, record._replace(header={**record.header, "optimizer": "my_momentum"}))
    loaded = fastnn.load(path)
    assert (loaded._engine.memory.kernel, loaded._engine.memory.steps) == ("my_momentum", 10)
    np.testing.assert_array_equal(loaded._engine.memory.state, net._engine.memory.state)
    loaded.fit(X[:50, 10:13], y[:50] % 2, epochs=1, optimizer=SGD(0.1, momentum=0.9))
    assert (loaded._engine.memory.kernel, loaded._engine.memory.steps) == ("momentum", 5)


@pytest.mark.parametrize("name", ["weights0", "biases1", "state0_weights1", "state0_biases0"])
def test_a_missing_array(name, saved):
    _, path = saved
    record = persistence.read(path)
    arrays = {key: array for key, array in record.arrays.items() if key != name}
    persistence.write(path, record._replace(arrays=arrays))
    assert_refused(path, name)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(bad, saved):
    _, path = saved
    record = persistence.read(path)
    record.arrays["weights1"][-1, -1] = bad
    persistence.write(path, record)
    assert_refused(path, "weights1", str(bad))
