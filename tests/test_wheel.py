"""The wheel: what is in it, and that it works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run(
        [sys.executable, *build], cwd=request.config.rootpath, check=True, capture_output=True
    )
    (path,) = out.glob("*.whl")
    return path


def test_nothing_is_at_the_top_level_but_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"harness"}
    assert "harness/py.typed" in names
    for pipeline in ("tiny", "voice_conversion"):
        assert f"harness/_fixtures/{pipeline}/pipeline.toml" in names
        assert f"harness/_fixtures/{pipeline}/models.py" in names
    for canary in ("canary-cpu-1.onnx", "canary-cuda-1.ptx"):
        assert f"harness/backends/canary/{canary}" in names
    assert "harness/report/summary.html.j2" in names
    for suite in ("__init__", "measured", "latency", "build", "accuracy", "energy"):
        assert f"harness/_benchmarks/{suite}.py" in names
    for asset in ("page.html.j2", "style.css", "core.js", "start.js", "refresh.js"):
        assert f"harness/dashboard/assets/{asset}" in names
    assert not [name for name in names if name.endswith(".pyc")]


def test_a_shipped_pipeline_runs_by_name_outside_a_checkout(
    wheel: Path, shared_cache: object, tmp_path: Path
) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = "import harness, harness.pipeline.loader as l; print(harness.__file__)"
    folders = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    run = ["-m", "harness", "run", "tiny", "--samples", "3", *folders]

    located, ran = (
        subprocess.run(
            [sys.executable, *arguments],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for arguments in (["-c", where], run)
    )

    assert located.stdout.startswith(str(site)), located.stderr
    assert ran.returncode == 0, ran.stderr
    assert "vocoder" in ran.stdout
    assert len(list((tmp_path / "out").glob("tiny-*.parquet"))) == 1
    assert list(elsewhere.iterdir()) == []


def test_pytest_finds_its_plugin_and_warns_of_nothing(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (elsewhere / "test_fast.py").write_text(
        "import harness.pytest_plugin, pytest\n"
        "@pytest.mark.latency_budget('60 s', quantile=0.5, telemetry=False)\n"
        "def test_fast(latency_budget):\n"
        "    latency_budget(sum, range(3))\n"
        f"    assert harness.__file__.startswith({str(site)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "--strict-markers"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_fast.py::test_fast: WITHIN, p50 <= 60000 ms: " in done.stdout
    assert "warning" not in done.stdout
