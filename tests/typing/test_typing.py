"""Both type checkers, in strict mode, accept right uses and refuse wrong ones, line by line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RIGHT, WRONG = ("right_uses.py", "temporal_right_uses.py"), ("wrong_uses.py", "temporal_wrong_uses.py")
FILES = (*RIGHT, *WRONG)
PYRIGHT_RULES_OFF = ("reportUnusedExpression", "reportUnusedVariable", "reportUnusedCoroutine")


def mypy(cache: Path) -> Mapping[str, set[int]]:
    """Lines with errors, by file."""
    options = ["--strict", "--config-file=", f"--cache-dir={cache}", "--output=json", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *(f"tests/typing/{name}" for name in FILES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, set[int]] = {name: set() for name in FILES}
    for line in done.stdout.splitlines():
        complaint = json.loads(line)
        if complaint["severity"] == "error" and Path(complaint["file"]).name in found:
            found[Path(complaint["file"]).name].add(complaint["line"])
    return found


def pyright(place: Path) -> Mapping[str, set[int]]:
    """Lines with errors, by file."""
    settings = {
        "include": [str(Path("tests/typing") / name) for name in FILES],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        **dict.fromkeys(PYRIGHT_RULES_OFF, "none"),
    }
    config = ROOT / f".pyright-{place.name}.json"          # its paths are relative to where it lies
    config.write_text(json.dumps(settings))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pyright", "--project", str(config), "--pythonpath", sys.executable, "--outputjson"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        config.unlink()
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(FILES), report["summary"]
    found: dict[str, set[int]] = {name: set() for name in FILES}
    for complaint in report["generalDiagnostics"]:
        if complaint["severity"] == "error":
            found[Path(complaint["file"]).name].add(complaint["range"]["start"]["line"] + 1)
    return found


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_right_uses_pass_and_each_wrong_one_is_refused(
    checker: Callable[[Path], Mapping[str, set[int]]], tmp_path: Path
) -> None:
    found = checker(tmp_path)
    for name in RIGHT:
        assert found[name] == set(), name
    for name in WRONG:
        lines = (HERE / name).read_text().splitlines()
        wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
        assert len(wrong) > 15
        assert found[name] == wrong, name
