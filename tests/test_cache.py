"""Machine code kept on disk: found again, never stale, never in the way."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import environment

import fastnn
from fastnn.kernels import store

PACKAGE = Path(fastnn.__file__).parent

# The smallest piece, which Numba compiles, and a part, which llvmlite makes alone. Prints the values of both, and how
# often the disk was of use and was not.
RUN = """
import numpy as np
from fastnn.kernels import store
found, read = [], store.read
store.read = lambda *key: found.append(read(*key)) or found[-1]
from fastnn.functions import sigmoid, softmax
print(*sigmoid(np.array([0.0, 1.0])).round(6), *softmax(np.array([0.0, 1.0])).round(6))
print(len(found) - found.count(None), found.count(None))
"""
RIGHT = "0.5 0.731059 0.268941 0.731059"
CODE = "activate", "apply_softmax"  # the part and the piece


def start(code, cache, package=PACKAGE, folder=None, **environment):
    """Run Python on its own, with this cache folder and this copy of the library."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "FASTNN_CACHE_DIR": str(cache), **environment}
    environment = {name: value for name, value in environment.items() if value is not None}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder or package.parent,  # comes before everything else where Python looks for a package
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""
    return out.splitlines()


def values_and_uses(cache, **options):
    """What the kernels computed, and how many of the two came from the disk."""
    values, uses = finish(start(RUN, cache, **options))
    hits, misses = map(int, uses.split())
    assert hits + misses == len(CODE)
    return values, hits


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder with the two entries, to be copied."""
    folder = tmp_path_factory.mktemp("cache")
    assert values_and_uses(folder) == (RIGHT, 0)
    return folder


@pytest.fixture
def cache(filled, tmp_path):
    return Path(shutil.copytree(filled, tmp_path / "cache"))


@pytest.fixture
def package(tmp_path):
    """A copy of the library whose sources may be changed."""
    ignored = shutil.ignore_patterns("__pycache__", "data")
    return Path(shutil.copytree(PACKAGE, tmp_path / "copy" / "fastnn", ignore=ignored))


def is_whole(path):
    """Whether an entry begins with the checksum of the rest."""
    content = path.read_bytes()
    return content[:32] == hashlib.sha256(content[32:]).digest()


def edit(path, pattern, replacement):
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count == 1, f"{path.name} has changed: this test must find another place to edit"
    path.write_text(text)


def file_of(name, folder):
    (path,) = folder.glob(f"{name}-*")
    return path


# --- found again ---


def test_one_file_for_each_piece_of_code(filled):
    assert [name.split("-")[0] for name in files(filled)] == list(CODE)
    for path in filled.iterdir():
        assert re.fullmatch(r"[a-z_]+-[0-9a-f]{32}\.bin", path.name)
        assert is_whole(path)


def test_a_second_process_compiles_nothing(cache):
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert values_and_uses(cache) == (RIGHT, 2)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_another_type_is_another_entry(cache):
    code = RUN.replace("0, 1.0]", '0, 1.0], "float32"')
    assert finish(start(code, cache)) == [RIGHT, "0 2"]
    assert len(files(cache)) == 4


def test_another_vector_width_is_another_entry(cache):
    from fastnn.kernels.host import WIDTH

    other = "4" if WIDTH != 4 else "8"
    assert values_and_uses(cache, FASTNN_SIMD_WIDTH=other) == (RIGHT, 0)
    assert values_and_uses(cache, FASTNN_SIMD_WIDTH=other) == (RIGHT, 2)
    assert values_and_uses(cache) == (RIGHT, 2)
    assert len(files(cache)) == 4


def test_where_the_library_lies_does_not_matter(cache, package):
    assert finish(start("import fastnn; print(fastnn.__file__)", cache, package)) == [str(package / "__init__.py")]
    assert values_and_uses(cache, package=package) == (RIGHT, 2)


# --- never stale ---


def test_a_changed_formula_in_another_file_is_noticed(cache, package):
    """Numba's own cache looks at the file of a function alone, here ``epoch.py``, and would not see this."""
    assert values_and_uses(cache, package=package) == (RIGHT, 2)
    edit(package / "kernels" / "outputs.py", r"splat\(work, 1\) / \(others \+", "splat(work, 2) / (others +")
    edit(package / "kernels" / "elementary.py", r"quotient\(where\(z > 0\.0, 1\.0, e\), ", "quotient(z.lift(2.0), ")
    changed = "1.0 1.462117 0.537883 1.462117"
    assert values_and_uses(cache, package=package) == (changed, 0)
    assert values_and_uses(cache, package=package) == (changed, 2)
    assert values_and_uses(cache) == (RIGHT, 2)  # the other version's code is still there for the other version
    assert len(files(cache)) == 4


def test_every_file_that_shapes_code_counts(package):
    """The key is made of the sources, so it is enough to look at the key."""

    def digest():
        return store._hash_sources(package / "kernels")

    seen = [digest()]
    assert seen == [store._SOURCES]
    for path in [*sorted((package / "kernels").glob("*.py")), package / "formulas" / "expressions.py"]:
        path.write_text(path.read_text() + "# another line\n")
        seen.append(digest())
    (package / "kernels" / "new.py").write_text("")
    seen.append(digest())
    assert len(set(seen)) == len(seen) > 20


def test_sources_are_those_of_the_import(tmp_path, package):
    """An upgrade while a process runs: what it compiles is not for those that import the new sources."""
    upgrade = f"open({str(package / 'kernels' / 'simd.py')!r}, 'a').write('# new')\n"
    code = RUN.replace("from fastnn.functions", upgrade + "from fastnn.functions")
    assert finish(start(code, tmp_path / "cache", package)) == [RIGHT, "0 2"]
    assert values_and_uses(tmp_path / "cache", package=package) == (RIGHT, 0)


def test_code_that_was_not_optimised_is_for_those_alone_who_want_it(tmp_path):
    cache = tmp_path / "cache"
    assert values_and_uses(cache, NUMBA_OPT="0") == (RIGHT, 0)
    assert values_and_uses(cache) == (RIGHT, 1)  # the part, which Numba's settings do not touch
    assert values_and_uses(cache) == (RIGHT, 2)
    assert values_and_uses(cache, NUMBA_OPT="0") == (RIGHT, 2)
    assert len(files(cache)) == 3


def test_a_formula_of_its_own_is_an_entry_of_its_own(cache):
    """Under one name, with one type: what tells them apart is the formula."""
    code = RUN.replace("import sigmoid,", "import relu,").replace("sigmoid(", "relu(")
    values, uses = finish(start(code, cache))
    assert (values, uses) == ("0.0 1.0 0.268941 0.731059", "1 1")
    assert len(files(cache)) == 3


# --- never in the way ---


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:32],
        lambda content: content[: len(content) // 2],
        lambda content: content + b"x",
        lambda content: bytes(range(256)) * 16,
        lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
    ],
    ids=["empty", "a checksum alone", "half", "one byte more", "garbage", "one bit"],
)
def test_damaged_files_are_compiled_anew_and_repaired(damage, cache):
    for path in cache.iterdir():
        path.write_bytes(damage(path.read_bytes()))
    before = files(cache)
    assert values_and_uses(cache) == (RIGHT, 0)
    assert all(is_whole(path) for path in cache.iterdir())
    assert files(cache) == before


def test_a_folder_in_the_place_of_a_file(cache):
    for path in cache.iterdir():
        path.unlink()
        path.mkdir()
    before = files(cache)
    assert values_and_uses(cache) == (RIGHT, 0)
    assert files(cache) == before  # and no temporary file


def test_a_folder_that_does_not_exist_is_made(tmp_path):
    folder = tmp_path / "some" / "where"
    assert values_and_uses(folder) == (RIGHT, 0)
    assert len(files(folder)) == 2


@pytest.mark.parametrize("below", ["file/x", "file"])
def test_a_folder_that_cannot_be_made(below, tmp_path):
    """Below a file there is no folder, not even for root, whom no permission keeps from writing."""
    (tmp_path / "file").write_text("a file")
    assert values_and_uses(tmp_path / below) == (RIGHT, 0)
    assert (tmp_path / "file").read_text() == "a file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can write anywhere")
def test_a_folder_that_cannot_be_written(cache):
    for path in cache.iterdir():
        path.unlink()
    cache.chmod(0o555)
    try:
        assert values_and_uses(cache) == (RIGHT, 0)
    finally:
        cache.chmod(0o755)
    assert files(cache) == []


@pytest.mark.skipif(os.name != "posix", reason="how POSIX finds a home")
def test_a_home_that_is_not_there(tmp_path):
    (tmp_path / "file").write_text("")  # below a file, or root could make it
    home = {"HOME": str(tmp_path / "file" / "home"), "XDG_CACHE_HOME": None, "FASTNN_CACHE_DIR": None}
    assert finish(start(RUN, "", **home)) == [RIGHT, "0 2"]


@pytest.mark.skipif(os.name != "posix", reason="how POSIX finds a home")
def test_the_folder_is_the_users_cache_folder(tmp_path):
    code = "from fastnn.kernels.store import cache_folder; print(cache_folder())"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": None, "FASTNN_CACHE_DIR": None}
    (folder,) = finish(start(code, "", **home))
    assert Path(folder).is_relative_to(tmp_path)
    assert Path(folder).parts[-2:] == ("fastnn", "kernels")


def test_a_tilde_is_the_home(tmp_path):
    assert values_and_uses("~/x", HOME=str(tmp_path), USERPROFILE=str(tmp_path)) == (RIGHT, 0)
    assert len(files(tmp_path / "x")) == 2


@pytest.mark.skipif(os.name != "posix", reason="how POSIX finds a home")
@pytest.mark.parametrize("forced", [None, "~/x"])
def test_a_user_without_a_home(forced, tmp_path):
    """As in a container that is run under any number: nothing named ~ may appear where the program was started."""
    unknown = """
import pwd
def getpwuid(uid): raise KeyError(uid)
pwd.getpwuid = getpwuid
"""
    home = {"HOME": None, "XDG_CACHE_HOME": None, "FASTNN_CACHE_DIR": forced}
    assert finish(start(unknown + RUN, "", folder=tmp_path, **home)) == [RIGHT, "0 2"]
    assert files(tmp_path) == []


# --- nobody else's ---

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@posix
def test_folder_and_files_are_the_users_alone(tmp_path):
    folder = tmp_path / "some" / "where"
    code = "import os; os.umask(0)\n" + RUN
    assert finish(start(code, folder))[0] == RIGHT
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o077 for path in folder.iterdir()] == [0, 0]


@posix
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_neither_read_nor_written(mode, cache):
    cache.chmod(mode)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert values_and_uses(cache) == (RIGHT, 0)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


@posix
def test_a_file_that_others_can_write_to_is_not_read(cache):
    for path in cache.iterdir():
        path.chmod(0o622)
    assert values_and_uses(cache) == (RIGHT, 0)
    assert [path.stat().st_mode & 0o077 for path in cache.iterdir()] == [0, 0]  # new ones in their place


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_not_read(cache):
    os.chown(file_of(CODE[0], cache), 12345, -1)
    assert values_and_uses(cache) == (RIGHT, 1)
    os.chown(cache, 12345, -1)
    assert values_and_uses(cache) == (RIGHT, 0)


# --- tidy ---

DAY = 24 * 3600


def aged(folder, name, days, size=1):
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_what_was_not_used_for_long_is_removed(cache):
    old, new, left_over = aged(cache, "old.bin", 91), aged(cache, "new.bin", 89), aged(cache, "run.bin8x.tmp", 91)
    foreign = aged(cache, "notes.txt", 1000)
    assert values_and_uses(cache) == (RIGHT, 2)
    assert old.exists()  # who compiles nothing tidies nothing
    file_of(CODE[0], cache).unlink()
    assert values_and_uses(cache) == (RIGHT, 1)
    assert [path.exists() for path in (old, left_over)] == [False, False]
    assert new.exists()
    assert foreign.exists()


def test_use_is_noted(cache):
    for path in cache.iterdir():
        os.utime(path, (time.time() - 80 * DAY,) * 2)
    assert values_and_uses(cache) == (RIGHT, 2)
    assert all(time.time() - path.stat().st_mtime < DAY for path in cache.iterdir())


def test_the_oldest_beyond_the_limit_are_removed(tmp_path, monkeypatch):
    assert store._MOST_BYTES == 256 * 2**20
    monkeypatch.setattr(store, "_MOST_BYTES", 250)
    for days in range(5):
        aged(tmp_path, f"{days}.bin", days, 100)
    store._tidy.__wrapped__(tmp_path)
    assert files(tmp_path) == ["0.bin", "1.bin"]


# --- many at once, and importing ---


def test_eight_processes_at_once_on_an_empty_cache(tmp_path):
    cache = tmp_path / "cache"
    processes = [start(RUN, cache) for _ in range(8)]
    assert [finish(process)[0] for process in processes] == [RIGHT] * 8
    assert len(files(cache)) == 2
    assert values_and_uses(cache) == (RIGHT, 2)


def test_importing_compiles_and_imports_nothing_heavy(tmp_path):
    code = "import fastnn, sys; print(*sorted({'numba', 'scipy', 'sklearn', 'pandas', 'tqdm'} & set(sys.modules)))"
    assert finish(start(code, tmp_path / "cache")) == [""]
    assert files(tmp_path) == []


def test_making_a_network_compiles_nothing(tmp_path):
    code = """
import fastnn
fastnn.Network([3, 2]).weights[0]
from fastnn.kernels import epoch, outputs, parts
from fastnn.kernels.compile import Piece
pieces = [piece for room in (epoch, outputs) for piece in vars(room).values() if isinstance(piece, Piece)]
print(len(pieces) > 10, sum(len(piece.dispatcher.signatures) for piece in pieces), len(parts._addresses))
"""
    assert finish(start(code, tmp_path / "cache")) == ["True 0 0"]
    assert files(tmp_path) == []


# --- a second process that compiles ---

FIT = """
import sys
from types import SimpleNamespace
import numpy as np
from scipy import sparse
import fastnn
from fastnn import program
from fastnn.kernels import beside
{change}
X, y = {kind}(np.random.default_rng(0).normal(size=(50, {n_in}))), np.arange(50) % 2
network = fastnn.Network([{n_in}, {units}, 2], seed=0)
print(network.fit(X, y, 2, 50, progress=False).train_cost, network.evaluate(X, y)["cost"])
"""
HELPERS = {
    "one": "program.usable_cores = lambda: 2",
    "one that cannot begin": "program.usable_cores = lambda: 2; "
    "beside.sys = SimpleNamespace(executable='/nowhere', path=[])",
    "one that dies": "program.usable_cores, beside._CODE = lambda: 2, 'import os; os._exit(1)'",
}


@pytest.mark.parametrize(
    ("kind", "sizes", "pieces"),
    [
        ("np.asarray", (16, 64), ["by_rows", "update_dense", "first_dense"]),
        ("np.asarray", (13, 17), ["by_blocks", "update_across"]),
        ("sparse.csr_matrix", (5, 4), ["by_rows", "update_dense", "first_sparse", "update_lists"]),
    ],
)
def test_who_compiles_does_not_matter(kind, sizes, pieces, tmp_path):
    found, (n_in, units) = {}, sizes
    for name, change in HELPERS.items():
        found[name] = finish(start(FIT.format(change=change, kind=kind, n_in=n_in, units=units), tmp_path / name))
        wanted = {file.split("-")[0] for file in files(tmp_path / name)}
        assert {"run", "evaluate", *pieces} <= wanted
        assert all(is_whole(path) for path in (tmp_path / name).glob("*.bin"))
    assert len({tuple(lines) for lines in found.values()}) == 1


FIRST_USES = ["fit(X, y, 1)", "fit(X, y, 1, batch_size=40)", "forward(X)", "evaluate(X, y)", "gradients(X, y)"]
FIRST = """
from scipy import sparse
import numpy as np
import fastnn
from fastnn import program
program.usable_cores = lambda: 2
X, y = np.random.default_rng(0).normal(size=(50, 5)), np.arange(50) % 3
X = {kind}(X)
fastnn.Network([5, 4, 3], seed=0).{use}
"""


@pytest.mark.parametrize("use", FIRST_USES)
@pytest.mark.parametrize("kind", ["np.asarray", "sparse.csr_matrix"])
def test_whatever_is_asked_for_first_is_compiled(use, kind, tmp_path):
    finish(start(FIRST.format(use=use, kind=kind), tmp_path))


COMPILED_ELSEWHERE = """
from numba import types
from fastnn.kernels import beside, epoch
piece = epoch.PIECES["fold_scale"]
beside.Compilation([piece], types.float32).wait(piece, types.float32)
print(piece.is_kept(types.float32))
"""


def test_nothing_is_imported_from_where_a_script_is_started(tmp_path):
    """Python takes the current folder for one of its own where it is given code; a script does not."""
    script, here, found = tmp_path / "script.py", tmp_path / "here", tmp_path / "found"
    here.mkdir()
    script.write_text(COMPILED_ELSEWHERE)
    for name in ("numpy", "fastnn", "random"):
        (here / f"{name}.py").write_text(f"open({str(found)!r}, 'a').write('{name}')\n")
    command = [sys.executable, str(script)]
    env = environment(FASTNN_CACHE_DIR=str(tmp_path / "cache"))
    ended = subprocess.run(command, env=env, cwd=here, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.stdout, ended.stderr, found.exists()) == ("True\n", "", False)
