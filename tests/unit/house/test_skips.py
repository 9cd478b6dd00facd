"""With STREAMWATCH_REQUIRE_ALL=1 a skip fails, unless tests/expected_skips.txt lists it with its reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TESTS = {
    "test_listed.py": 'import pytest\ndef test_one():\n    pytest.skip("needs ../shared")\n',
    "test_other.py": (
        'import pytest\n@pytest.mark.skipif(True, reason="needs a server")\ndef test_two():\n    assert True\n'
    ),
    "test_reason.py": 'import pytest\ndef test_three():\n    pytest.skip("no mood")\n',
    "test_module.py": 'import pytest\npytest.skip("needs a browser", allow_module_level=True)\n',
    "test_xfail.py": "import pytest\n@pytest.mark.xfail\ndef test_four():\n    assert 1 == 2\n",
}
LISTED = "# why\n\ntest_listed.py: needs ../shared\ntest_reason.py: needs ../shared\n"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of its own with this project's conftest."""
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "expected_skips.txt").write_text(LISTED, encoding="utf-8")
    return tmp_path


def run(suite: Path, required: str) -> tuple[int, str]:
    env = {**os.environ, "STREAMWATCH_REQUIRE_ALL": required, "PYTEST_ADDOPTS": "", "COLUMNS": "200"}
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", str(suite), str(suite)]
    done = subprocess.run(command, cwd=suite, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_without_the_variable_skips_are_skips(suite: Path) -> None:
    code, said = run(suite, "")
    assert code == 0, said
    assert "4 skipped, 1 xfailed" in said


def test_with_it_only_the_listed_ones_are(suite: Path) -> None:
    (suite / "test_module.py").unlink()
    code, said = run(suite, "1")
    assert code == 1, said
    assert "1 failed, 1 skipped, 1 xfailed, 1 error" in said
    assert "test_other.py::test_two" in said
    assert "(needs a server)" in said
    assert "test_reason.py::test_three was skipped (no mood)" in said


def test_a_file_that_skips_itself_fails_too(suite: Path) -> None:
    code, said = run(suite, "1")
    assert code != 0
    assert "test_module.py was skipped (needs a browser)" in said


def test_every_listed_suite_exists_and_gives_its_reason() -> None:
    lines = (ROOT / "tests" / "expected_skips.txt").read_text(encoding="utf-8").splitlines()
    listed = [line.rpartition(": ") for line in lines if line and not line.startswith("#")]
    assert listed
    for start, _, reason in listed:
        path = ROOT / start.split("::")[0]
        assert path.is_file(), start
        near = path.read_text(encoding="utf-8") + "".join(
            conftest.read_text(encoding="utf-8") for conftest in path.parent.glob("conftest.py")
        )
        assert reason in near, start
