"""A backend in another Python: here the same one, asked over a socket as any other."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.api import make_backends
from harness.backends import interpreter_process
from harness.backends.interpreter import BackendSpec, RemoteBackend, RemoteLaunch, RemoteSession
from harness.backends.torch import TorchBackend
from harness.errors import (
    FeatureUnavailableError,
    MissingDependencyError,
    ModelError,
    OptionError,
    WorkerError,
)
from harness.labels import check_can_flush
from harness.measure.clock import HostClock, cold_clock
from harness.measure.sampler import SamplingPlan
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline
from harness.runner import Run, RunOptions
from harness.stats.fingerprint import comparison_label
from harness.types import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.artifacts.cache import Cache
    from harness.pipeline.pipeline import Pipeline

PYTHON = Path(sys.executable)
TOY = Path(__file__).parents[1] / "toy"
TORCH = BackendSpec("harness.backends.torch:TorchBackend", {"threads": 1})


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline(TOY)


@pytest.fixture(scope="module")
def session(pipeline: Pipeline) -> Iterator[RemoteSession]:
    """For all that bind what they launch: to open one takes seconds."""
    opened = RemoteBackend(TORCH, PYTHON).open(pipeline, {})
    yield opened
    opened.close()


@pytest.fixture
def doomed(pipeline: Pipeline) -> Iterator[RemoteSession]:
    """For those that end it."""
    opened = RemoteBackend(TORCH, PYTHON).open(pipeline, {})
    yield opened
    opened.close()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """A program of one line."""

    def make(line: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


def _bind(session: Any, pipeline: Pipeline) -> dict[str, np.ndarray]:
    sizes = pipeline.profile("opt")
    inputs = synthetic_inputs(pipeline, sizes, seed=1)
    session.bind(sizes, inputs)
    return inputs


def test_it_computes_what_the_backend_computes_here(
    pipeline: Pipeline, session: RemoteSession
) -> None:
    here = TorchBackend(threads=1).open(pipeline, {})
    for opened in (here, session):
        inputs = _bind(opened, pipeline)
        opened.launch("encoder")
        opened.launch_pipeline()
    feed = {"signal": inputs["signal"], "gain": np.array(0.5, np.float32)}

    for component, output in (("encoder", "features"), ("decoder", "level")):
        made = session.read(component, output)
        np.testing.assert_array_equal(made, here.read(component, output))
    made, expected = session.infer("encoder", feed), here.infer("encoder", feed)
    np.testing.assert_array_equal(made["features"], expected["features"])
    assert set(session.load_s) == {"encoder", "decoder"}


def test_a_block_is_timed_there_in_one_message(
    pipeline: Pipeline, session: RemoteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bind(session, pipeline)
    (series,) = session.series()
    assert (series.launch, list(series.targets)) == ("call", ["encoder", "decoder", "pipeline"])
    assert series.clock is not None
    assert (series.clock.name, series.clock.is_simulated) == ("host", False)
    asked: list[str] = []
    ask = session._process.ask
    monkeypatch.setattr(
        session._process, "ask", lambda do, **r: (asked.append(do), ask(do, **r))[1]
    )

    latency_s = series.clock.time_block([*series.targets.values()] * 5)

    assert asked == ["time_block"]
    assert len(latency_s) == 15
    assert all(0 < seconds < 1 for seconds in latency_s)
    series.targets["encoder"]()
    with pytest.raises(TypeError, match="times that interpreter's launches only"):
        series.clock.time_block([lambda: None])
    assert isinstance(series.targets["encoder"], RemoteLaunch)


def test_two_interpreters_are_measured_in_turn_in_one_run(
    pipeline: Pipeline, shared_cache: Cache
) -> None:
    backends = make_backends(
        ["onnxruntime", "torch"], ["fp32", "fp16"], threads=1, interpreters={"torch": PYTHON}
    )
    plan = SamplingPlan(max_samples=5, max_time_s=5, warmup_s=0)
    options = RunOptions(cases=(Case(0.5, 1),), sampling=plan, canary=False)

    record = Run(pipeline, backends, shared_cache, options, HostClock()).execute().record

    found = {(m.backend, m.precision, m.component): m for m in record.measurements}
    assert len(found) == 9
    assert {len(m.latency_s) for m in found.values()} == {5}
    assert found["torch", "fp32", "pipeline"].snr_db == np.inf
    engines = [e for e in record.engines if e.backend == "torch"]
    assert {e.component for e in engines} == {"encoder", "decoder"}
    assert all(e.details["interpreter"].startswith("3.") for e in engines)
    assert all(e.size_bytes is None for e in engines)
    # It is the same Python here.
    own = {name: record.environment[name] for name in ("python", "packages")}
    assert record.environment["interpreters"] == {"torch": own}
    assert "torch" in own["packages"]


def test_graphs_are_opened_there_too(pipeline: Pipeline, shared_cache: Cache) -> None:
    backends = make_backends(["onnxruntime"], ["fp32"], interpreters={"onnxruntime": PYTHON})
    options = RunOptions(
        cases=(Case(0.5, 1),),
        sampling=SamplingPlan(max_samples=1, max_time_s=5, warmup_s=0),
        canary=False,
    )

    record = Run(pipeline, backends, shared_cache, options, HostClock()).execute().record

    assert len(record.measurements) == 3
    assert "onnxruntime" in record.engines[0].details


def test_an_error_comes_over_as_it_is_and_the_session_lives_on(
    pipeline: Pipeline, session: RemoteSession
) -> None:
    inputs = synthetic_inputs(pipeline, pipeline.profile("opt"), seed=1)
    session.bind(pipeline.profile("opt"), {**inputs, "signal": np.zeros((1, 33), np.float32)})
    with pytest.raises(ModelError, match=r"forward\(\) raised") as caught:
        session.launch("encoder")
    assert caught.value.where == f"{pipeline.manifest}: components.encoder"
    assert caught.value.fix
    with pytest.raises(WorkerError, match="read raised KeyError"):
        session.read("encoder", "features")

    _bind(session, pipeline)
    session.launch_pipeline()


def test_no_gpu_there_is_told(pipeline: Pipeline) -> None:
    spec = BackendSpec("harness.backends.torch_cuda:TorchCudaBackend", {"precision": "fp16"})
    backend = RemoteBackend(spec, PYTHON)
    assert (backend.name, backend.precision, backend.threads) == ("torch-cuda", "fp16", 1)
    for call in (backend.check_can_run, lambda: backend.inspect(pipeline, {}, {}, {})):
        with pytest.raises(FeatureUnavailableError, match=r"without CUDA|finds no GPU"):
            call()


def test_closing_ends_its_process_and_leaves_no_folder(
    pipeline: Pipeline, doomed: RemoteSession
) -> None:
    process = doomed._process
    pid, folder = process._process.pid, process._folder
    os.kill(pid, 0)

    doomed.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()
    with pytest.raises(WorkerError, match="has ended"):
        doomed.launch_pipeline()


def test_a_process_that_dies_is_told(doomed: RemoteSession) -> None:
    os.kill(doomed._process._process.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"died at 'launch_pipeline' \(exit -9\)"):
        doomed.launch_pipeline()


def test_an_interruption_ends_it(doomed: RemoteSession, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def readline(self) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(doomed._process, "_answers", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        doomed.launch_pipeline()
    assert doomed._process._process.poll() is not None


def test_its_packages_are_those_of_its_own_python(
    script: Callable[[str], Path], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    for folder in ("torch-9.9.dist-info", "nvidia_cudnn_cu99-9.1.0.dist-info"):
        (site / folder).mkdir(parents=True)
    (site / "torch-9.9.dist-info" / "METADATA").write_text("Name: torch\nVersion: 9.9\n")
    # What is on its path comes first, before what it shares with this one.
    start = f"import sys; sys.path.insert(0, {str(site)!r}); exec(sys.argv[1])"
    other = script(f"""exec {PYTHON} -c "{start}" "$2" """)

    described = RemoteBackend(TORCH, other).describe_interpreter()

    assert described["python"] == platform.python_version()
    assert described["packages"]["torch"] == "9.9"
    assert described["packages"]["nvidia-cudnn-cu99"] == "9.1.0"
    assert comparison_label(
        {"interpreters": {"torch": described}},
        {"interpreters": {"torch": RemoteBackend(TORCH, PYTHON).describe_interpreter()}},
    ).startswith("not the same environment: torch's ")


def test_only_the_harness_is_lent_to_the_other_python(
    pipeline: Pipeline, script: Callable[[str], Path]
) -> None:
    """Without its own packages (-S) it has the harness of ours, and nothing else."""
    bare = script(f'exec {PYTHON} -S "$@"')
    with pytest.raises(MissingDependencyError, match=r"has no numpy; .* -m pip install numpy"):
        RemoteBackend(TORCH, bare).open(pipeline, {})


def test_the_server_loads_nothing_that_the_other_python_may_lack() -> None:
    heavy = ("onnx", "onnxruntime", "pandas", "pyarrow", "scipy", "psutil", "rich", "click")
    modules = ("backends.interpreter_server", "backends.torch_cuda", "pipeline.loader")
    code = ";".join(f"import harness.{module}" for module in modules)
    code += f";import sys;print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("echo this is no Python >&2; exit 3", r"\(exit 3\): this is no Python"),
        ("exit 0", r"\(exit 0\): it printed nothing"),
    ],
)
def test_what_is_no_python_is_told(
    pipeline: Pipeline, script: Callable[[str], Path], line: str, message: str
) -> None:
    with pytest.raises(WorkerError, match=message) as caught:
        RemoteBackend(TORCH, script(line)).open(pipeline, {})
    assert caught.value.where == "--interpreter"


def test_what_cannot_be_started_is_told(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be started: No such file"):
        RemoteBackend(TORCH, tmp_path / "python").open(pipeline, {})


def test_another_version_of_the_harness_is_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter_process, "__version__", "0.0.1")
    with pytest.raises(WorkerError, match=r"runs version .* of the harness, not 0.0.1"):
        RemoteBackend(TORCH, PYTHON).open(pipeline, {})


def test_what_builds_engines_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchBackend, "builds_engines", True)
    with pytest.raises(FeatureUnavailableError, match="torch builds engines"):
        RemoteBackend(TORCH, PYTHON)


def test_this_python_s_own_folders_are_not_the_other_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/none")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/usr/lib:{sys.prefix}/lib:")
    environment = interpreter_process._environment(tmp_path)
    assert "PYTHONHOME" not in environment
    assert environment["LD_LIBRARY_PATH"] == "/usr/lib"
    assert environment["PYTHONPATH"] == str(tmp_path)


def test_cold_launches_are_timed_there_by_a_clock_that_flushes(
    pipeline: Pipeline, session: RemoteSession
) -> None:
    _bind(session, pipeline)
    (series,) = session.series()
    launches = list(series.targets.values())
    cold = cold_clock(series.clock)

    pairs = [
        (series.clock.time_block(launches * 2)[len(launches) :], cold.time_block(launches))
        for _ in range(15)
    ]

    hot_s, cold_s = (np.median([sum(block) for block in side]) for side in zip(*pairs, strict=True))
    assert cold_s > hot_s
    assert cold.name == series.clock.name


def test_what_cannot_be_measured_cold_there_is_refused_here() -> None:
    spec = BackendSpec("harness.backends.onnxruntime_cuda:OnnxRuntimeCudaBackend", {})

    with pytest.raises(FeatureUnavailableError, match="onnxruntime-cuda cannot flush"):
        check_can_flush(RemoteBackend(spec, PYTHON))


def test_chunks_are_paced_there_in_one_message(
    pipeline: Pipeline, session: RemoteSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bind(session, pipeline)
    (trip,) = session.round_trips().values()
    asked: list[str] = []
    ask = session._process.ask
    monkeypatch.setattr(
        session._process, "ask", lambda do, **r: (asked.append(do), ask(do, **r))[1]
    )

    chunks = trip.time_paced(4, 0.01)
    latency_s = trip.time_hot(3)

    assert asked == ["time_paced", "time_hot"]
    assert [chunk.arrival_s for chunk in chunks] == [0.0, 0.01, 0.02, 0.03]
    assert all(chunk.latency_s > chunk.lateness_s >= 0 for chunk in chunks)
    assert len(latency_s) == 3
    assert all(seconds > 0 for seconds in latency_s)
