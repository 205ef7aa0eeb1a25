"""The campaign notices what it is there for: failures, deaths and hangs of what it attacks."""

import importlib
import signal
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
ATTACKED = """
import os, time
def attempts(word):
    def attempt(number):
        if number == 2:
            os._exit(3)
        if number == 3:
            time.sleep(600)
        return {word: 1}, ["it is wrong"] if number == 1 else []
    return attempt
"""


@pytest.fixture
def base(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from campaign import base

    monkeypatch.setattr(base, "_START_SECONDS", 20.0)
    yield base
    for name in [name for name in sys.modules if name.partition(".")[0] == "campaign"]:
        del sys.modules[name]


def test_deaths_hangs_and_failures_are_told_and_the_rest_goes_on(base, tmp_path, monkeypatch):
    (tmp_path / "attacked.py").write_text(ATTACKED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(base, "_START_SECONDS", 3.0)
    result = base.hosted("attacked", base.Limits(5, 60), "words", seconds_each=3.0)
    assert result.counts == {"words": 3}
    assert [text.replace("attacked ", "") for text in result.failures] == [
        "1: it is wrong",
        "2: exit code 3: ",
        "3: hangs for 3 s",
    ]
    assert str(result).startswith("3 words, 3 failed\n  FAILED attacked 1: it is wrong\n")


def test_what_a_shell_starts_in_the_background_can_be_interrupted_too(base, monkeypatch):
    """Such a shell has it ignored, which children inherit: no interrupt would come, and none would be missed."""
    stress = importlib.import_module("stress")
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    said = []

    def attack(limits):
        said.append(base.last_words(base.start(code), 60.0))
        return base.Result()

    monkeypatch.setattr(stress, "PARTS", {"saves": stress.Part(attack, base.Limits(1, 1), base.Limits(1, 1), "")})
    monkeypatch.setattr(sys, "argv", ["stress.py", "--parts", "saves"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert stress.main() == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert said == [("True\n", None)]


def test_a_part_ends_in_time(base):
    assert list(base.numbers(base.Limits(3, 60))) == [0, 1, 2]
    assert list(base.numbers(base.Limits(3, 0))) == []


def test_a_process_that_does_not_end_is_told(base):
    _, problem = base.last_words(base.start("import time; time.sleep(600)"), 1.0)
    assert problem == "still running after 1 s"
    _, problem = base.last_words(base.start("import sys; sys.exit('oh no')"), 60.0)
    assert problem == "exit code 1: oh no"
    out, problem = base.last_words(base.start("print('fine')"), 60.0)
    assert (out, problem) == ("fine\n", None)
