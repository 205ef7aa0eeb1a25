"""Machine code kept on disk: found again, never stale, never in the way."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent

# The smallest entry: it compiles in a moment. Prints the values, and how often the disk was of use and was not.
RUN = """
import numpy as np
from fastnn.functions import sigmoid
print(*sigmoid(np.array([0.0, 1.0])).round(6))
from fastnn.kernels.epoch import apply_activation
stats = apply_activation.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""
RIGHT = "0.5 0.731059"


def start(code, cache, package=PACKAGE, **environment):
    """Run Python on its own, with this cache folder and this copy of the library."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "FASTNN_CACHE_DIR": str(cache), **environment}
    environment = {name: value for name, value in environment.items() if value is not None}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=package.parent,  # comes before everything else where Python looks for a package
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
    """What the kernel computed, and whether it came from the disk."""
    values, uses = finish(start(RUN, cache, **options))
    hits, misses = map(int, uses.split())
    assert hits + misses == 1
    return values, hits == 1


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder with the one entry, to be copied."""
    folder = tmp_path_factory.mktemp("cache")
    assert values_and_uses(folder) == (RIGHT, False)
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


# --- found again ---


def test_one_file_per_kernel_and_signature(filled):
    (path,) = filled.iterdir()
    assert re.fullmatch(r"apply_activation-[0-9a-f]{32}\.bin", path.name)
    assert is_whole(path)


def test_a_second_process_compiles_nothing(cache):
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert values_and_uses(cache) == (RIGHT, True)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_another_type_is_another_entry(cache):
    code = RUN.replace("0, 1.0]", '0, 1.0], "float32"')
    assert finish(start(code, cache)) == [RIGHT, "0 1"]
    assert len(files(cache)) == 2


def test_another_vector_width_is_another_entry(cache):
    from fastnn.kernels.host import WIDTH

    other = "4" if WIDTH != 4 else "8"
    assert values_and_uses(cache, FASTNN_SIMD_WIDTH=other) == (RIGHT, False)
    assert values_and_uses(cache, FASTNN_SIMD_WIDTH=other) == (RIGHT, True)
    assert values_and_uses(cache) == (RIGHT, True)
    assert len(files(cache)) == 2


def test_where_the_library_lies_does_not_matter(cache, package):
    assert finish(start("import fastnn; print(fastnn.__file__)", cache, package)) == [str(package / "__init__.py")]
    assert values_and_uses(cache, package=package) == (RIGHT, True)


# --- never stale ---


def test_a_changed_constant_in_another_file_is_noticed(cache, package):
    """Numba's own cache looks at the file of the entry alone, here ``epoch.py``, and would not see this."""
    assert values_and_uses(cache, package=package) == (RIGHT, True)
    edit(package / "kernels" / "functions.py", r"where\(z > 0\.0, 1\.0, e\) / \(e \+ 1\.0\)", "z.lift(2.0) / (e + 1.0)")
    assert values_and_uses(cache, package=package) == ("1.0 1.462117", False)
    assert values_and_uses(cache, package=package) == ("1.0 1.462117", True)
    assert values_and_uses(cache) == (RIGHT, True)  # the other version's code is still there for the other version
    assert len(files(cache)) == 2


def test_every_kernel_file_counts(tmp_path, monkeypatch):
    """The key is made of the sources, so it is enough to look at the key."""
    from fastnn.kernels import compile as compiling

    folder = shutil.copytree(PACKAGE / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiling, "__file__", str(folder / "compile.py"))
    digest = compiling.source_digest.__wrapped__  # the function itself remembers its first answer
    seen = [digest()]
    assert seen == [compiling.source_digest()]
    for path in sorted(folder.glob("*.py")):
        path.write_text(path.read_text() + "# another line\n")
        seen.append(digest())
    (folder / "new.py").write_text("")
    seen.append(digest())
    assert len(set(seen)) == len(seen) > 10


# --- never in the way ---


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:32],
        lambda content: content[: len(content) // 2],
        lambda content: content + b"x",
        lambda content: bytes(range(256)) * 16,
        lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    ],
    ids=["empty", "a checksum alone", "half", "one byte more", "garbage", "one bit"],
)
def test_a_damaged_file_is_compiled_anew_and_repaired(damage, cache):
    (path,) = cache.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert values_and_uses(cache) == (RIGHT, False)
    assert is_whole(path)
    assert files(cache) == [path.name]


def test_a_folder_in_the_place_of_the_file(cache):
    (path,) = cache.iterdir()
    path.unlink()
    path.mkdir()
    assert values_and_uses(cache) == (RIGHT, False)
    assert files(cache) == [path.name]  # and no temporary file


def test_a_folder_that_does_not_exist_is_made(tmp_path):
    folder = tmp_path / "some" / "where"
    assert values_and_uses(folder) == (RIGHT, False)
    assert len(files(folder)) == 1


@pytest.mark.parametrize("below", ["file/x", "file"])
def test_a_folder_that_cannot_be_made(below, tmp_path):
    """Below a file there is no folder, not even for root, whom no permission keeps from writing."""
    (tmp_path / "file").write_text("a file")
    assert values_and_uses(tmp_path / below) == (RIGHT, False)
    assert (tmp_path / "file").read_text() == "a file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can write anywhere")
def test_a_folder_that_cannot_be_written(cache):
    (path,) = cache.iterdir()
    path.unlink()
    cache.chmod(0o555)
    try:
        assert values_and_uses(cache) == (RIGHT, False)
    finally:
        cache.chmod(0o755)
    assert files(cache) == []


@pytest.mark.skipif(os.name != "posix", reason="how POSIX finds a home")
def test_a_home_that_is_not_there(tmp_path):
    (tmp_path / "file").write_text("")  # below a file, or root could make it
    home = {"HOME": str(tmp_path / "file" / "home"), "XDG_CACHE_HOME": None, "FASTNN_CACHE_DIR": None}
    assert finish(start(RUN, "", **home)) == [RIGHT, "0 1"]


@pytest.mark.skipif(os.name != "posix", reason="how POSIX finds a home")
def test_the_folder_is_the_users_cache_folder(tmp_path):
    code = "from fastnn.kernels.compile import cache_folder; print(cache_folder())"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": None, "FASTNN_CACHE_DIR": None}
    (folder,) = finish(start(code, "", **home))
    assert Path(folder).is_relative_to(tmp_path)
    assert Path(folder).parts[-2:] == ("fastnn", "kernels")


def test_eight_processes_at_once_on_an_empty_cache(tmp_path):
    cache = tmp_path / "cache"
    processes = [start(RUN, cache) for _ in range(8)]
    assert [finish(process)[0] for process in processes] == [RIGHT] * 8
    assert len(files(cache)) == 1
    assert values_and_uses(cache) == (RIGHT, True)


# --- importing ---


def test_importing_compiles_and_imports_nothing_heavy(tmp_path):
    code = "import fastnn, sys; print(*sorted({'numba', 'scipy', 'sklearn', 'pandas'} & set(sys.modules)))"
    assert finish(start(code, tmp_path / "cache")) == [""]
    assert files(tmp_path) == []


def test_making_a_network_compiles_nothing(tmp_path):
    code = """
import fastnn
fastnn.Network([3, 2]).weights[0]
from fastnn.kernels import epoch
print(len(epoch.predict.signatures), len(epoch.evaluate.signatures))
"""
    assert finish(start(code, tmp_path / "cache")) == ["0 0"]
    assert files(tmp_path) == []
