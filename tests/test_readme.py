"""What the README shows runs: every block of Python in its section of how-tos."""

import re
import warnings
from pathlib import Path

import pytest

import fastnn

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in README.split("\n## ")}
BLOCKS = re.findall(r"```python\n(.*?)```", SECTIONS["How to"] + SECTIONS["Many networks"], re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.strip().splitlines()[-1][:40])
def test_a_block_runs(
    code: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "pandas" in code:
        pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastnn.TrainingWarning)
        exec(compile(code, "README.md", "exec"), {})
    assert "False" not in capsys.readouterr().out
