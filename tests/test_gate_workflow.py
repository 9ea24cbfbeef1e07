"""The workflow in docs/gate.md: its options exist, and its comment is written over."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli.app import app

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
FAKE_GH = r"""#!/bin/bash
# A request with two comments: one of somebody, and perhaps one of ours.
printf '%s\n' "$*" >> "$LOG"
case "$*" in
*--jq*) printf '7\thello\n'; [ -n "$OURS" ] && printf '9\t%s\n' "$OURS" ;;
esac
exit 0
"""


def steps() -> list[dict[str, Any]]:
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    found: list[dict[str, Any]] = yaml.safe_load(text)["jobs"]["gate"]["steps"]
    return found


def run_of(name: str) -> str:
    (found,) = (step["run"] for step in steps() if step.get("name", "").startswith(name))
    return str(found)


def test_the_whole_history_is_fetched() -> None:
    assert steps()[0]["with"]["fetch-depth"] == 0


@pytest.mark.parametrize("name", ["Measure", "Gate"])
def test_every_option_of_a_command_exists(name: str) -> None:
    script = run_of(name).replace("\\\n", " ")
    commands = re.findall(r"harness (\w+) (.*?)(?:\|\||$)", script, re.MULTILINE)
    assert commands
    for command, words in commands:
        known = {option for p in app.commands[command].params for option in p.opts}
        given = set(re.findall(r"(?<=\s)--[a-z-]+", f" {words}"))
        assert given <= known, given - known


def test_every_option_of_the_gate_is_in_the_docs() -> None:
    for parameter in app.commands["gate"].params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in DOCS, parameter.opts[0]


def test_every_script_is_one() -> None:
    for step in steps():
        if "run" in step:
            subprocess.run(["bash", "-n", "-c", step["run"]], check=True)
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "gate")], check=True)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_comment_takes_the_place_of_the_one_before(tmp_path: Path, is_there: bool) -> None:
    marker = "<!-- trt-harness gate: tiny -->"
    (tmp_path / "gate.md").write_text(f"{marker}\n### tiny: MISSED\n", encoding="utf-8")
    gh = tmp_path / "gh"
    gh.write_text(FAKE_GH, encoding="utf-8")
    gh.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "LOG": str(tmp_path / "log"),
        "OURS": marker if is_there else "",
        "GITHUB_REPOSITORY": "a/b",
        "REQUEST": "12",
    }
    script = run_of("Comment")
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True)
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last == (
        "api -X PATCH repos/a/b/issues/comments/9 -F body=@gate.md"
        if is_there
        else "api repos/a/b/issues/12/comments -F body=@gate.md"
    )


@pytest.mark.parametrize(("code", "ended"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_the_job_fails_where_the_gate_is_missed(tmp_path: Path, code: int, ended: int) -> None:
    harness = tmp_path / "harness"
    harness.write_text(f"#!/bin/bash\necho told > gate.md\nexit {code}\n", encoding="utf-8")
    harness.chmod(0o755)
    summary = tmp_path / "summary"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": str(summary)}
    done = subprocess.run(
        ["bash", "-e", "-c", run_of("Gate")], cwd=tmp_path, env=environment, check=False
    )
    assert (done.returncode, summary.read_text()) == (ended, "told\n")
