"""A test of the browser that is skipped fails where a browser is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import FOLDER, NEEDS_BROWSER, find_chromium, skip_or_fail

ROOT = Path(__file__).parents[1]
SKIPS = {
    "in_test": "from tests.browser import skip_or_fail\ndef test_a(): skip_or_fail('none here')\n",
    "by_mark": "import pytest\n@pytest.mark.skip(reason='none here')\ndef test_a(): pass\n",
    "module": "import pytest\npytest.importorskip('none_here')\ndef test_a(): pass\n",
    "others": "import pytest\ndef test_a(): pass\n",
}


def run(folder: Path, needs: str) -> str:
    """pytest over a copy of the hooks and a file of each way to skip."""
    for name in ("tests/browser.py", "tests/conftest.py", "tests/lent.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, text in SKIPS.items():
        (folder / FOLDER / f"test_{name}.py").write_text(text)
    (folder / "tests" / "test_elsewhere.py").write_text(SKIPS["by_mark"])
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-rsfE"]
    words += ["--continue-on-collection-errors"]
    done = subprocess.run(
        [sys.executable, *words, f"--rootdir={folder}", "tests"],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}", NEEDS_BROWSER: needs},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_skipped_fails_only_where_it_is_told_to(tmp_path: Path) -> None:
    assert "1 passed, 4 skipped" in run(tmp_path, "")
    said = run(tmp_path, "1")
    for name in ("in_test.py::test_a", "by_mark.py::test_a", "module.py"):
        assert any(
            line.startswith(("FAILED", "ERROR")) and f"{FOLDER}test_{name}" in line
            for line in said.splitlines()
        ), said
    assert "1 skipped" in said


def test_a_browser_that_is_not_there_is_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CHROMIUM", "")
    assert find_chromium() is None
    monkeypatch.delenv(NEEDS_BROWSER, raising=False)
    with pytest.raises(pytest.skip.Exception, match="none here"):
        skip_or_fail("none here")
    monkeypatch.setenv(NEEDS_BROWSER, "1")
    with pytest.raises(pytest.fail.Exception, match="none here"):
        skip_or_fail("none here")
