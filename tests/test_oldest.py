"""The step of ``scripts/check.py`` that tests with the oldest versions asks for those, and says why where it cannot."""

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import oldest

    yield oldest
    del sys.modules["oldest"]


def test_every_requirement_is_asked_for_in_its_oldest_version(script):
    wanted = script.oldest(script.stated())
    names = [one.partition("==")[0] for one in wanted]
    assert names == ["numpy", "numba", "tqdm", "platformdirs", "threadpoolctl", "pytest", "hypothesis"]
    assert all(one.count("==") == 1 and not set("<>~!,;") & set(one) for one in wanted)


def test_what_cannot_be_had_is_said_in_one_line(script, monkeypatch, capfd):
    monkeypatch.setattr(script, "PYTHONS", ())
    monkeypatch.setattr(script, "install", lambda *_: "ERROR: no wheels")
    assert script.main() == 0
    said = capfd.readouterr().out
    assert said.startswith("skipped: numpy==")
    assert said.endswith(" cannot be had here: ERROR: no wheels\n")
    assert said.count("\n") == 1


def test_the_next_python_is_tried(script, monkeypatch, tmp_path):
    tried = []
    monkeypatch.setattr(script, "PYTHONS", (sys.executable,))
    monkeypatch.setattr(script, "install", lambda python, folder, wanted: tried.append(python) or "nothing there")
    script.main()
    assert tried == [sys.executable] * 2


def test_a_python_that_is_none_is_no_end(script, tmp_path):
    false = tmp_path / "python"
    false.write_text("#!/bin/sh\nexit 3\n")
    false.chmod(0o755)
    if sys.platform != "win32":
        assert script.install(str(false), tmp_path / "environment", []).endswith("ended with 3")
