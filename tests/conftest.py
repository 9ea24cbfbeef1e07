"""What many tests need: the toy pipeline in a folder of its own, edited at will, and a cache."""

from __future__ import annotations

import gc
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper

from harness.artifacts.cache import Cache
from harness.backends.onnxruntime_inspection import inspect_graphs
from harness.cli import main
from harness.measure import sampler
from harness.measure.sampler import SamplingPlan
from harness.measure.telemetry_process import TelemetryProcess
from harness.measure.warmup import WarmedUp, warm_up
from tests.browser import insist
from tests.lent import LentPool, SeenGraphs, SessionPool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from harness.artifacts.worker import WorkerPool
    from harness.measure.clock import Clock
    from harness.states import DeviceState

TOY = Path(__file__).parent / "toy"
REPOSITORY = Path(__file__).parent.parent


class ToyFactory(Protocol):
    def __call__(self, *edits: tuple[str, str], file: str = ...) -> Path: ...


# A job in the background of a shell ignores Ctrl-C; so would all that tests start and interrupt.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time, however busy the machine is.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    return insist((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    return insist((yield))


@pytest.fixture(autouse=True, scope="module")
def nothing_old_to_collect() -> None:
    """Measuring collects garbage first: all that was imported by then is not looked through again.

    That is most of a tenth of a second each time, and more once PyTorch is there.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def toy(tmp_path: Path) -> ToyFactory:
    """Copy the toy pipeline and replace texts in one of its files; each must occur in it."""
    root = tmp_path / "toy"

    def make(*edits: tuple[str, str], file: str = "pipeline.toml") -> Path:
        if not root.exists():
            shutil.copytree(TOY, root, ignore=shutil.ignore_patterns("__pycache__"))
        path = root / file
        text = path.read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text, f"{old!r} is not in {file}"
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")
        return root

    return make


def _save_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    **weights: Any,
) -> None:
    """Save a graph of ``nodes``; inputs and outputs are types and shapes by name."""
    values = [
        [helper.make_tensor_value_info(name, *facts) for name, facts in group.items()]
        for group in (inputs, outputs)
    ]
    held = [onnx.numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, path.stem, *values, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)


@pytest.fixture
def save_graph() -> Callable[..., None]:
    """Save a graph of nodes: path, nodes, inputs, outputs, and weights by keyword."""
    return _save_graph


@pytest.fixture
def onnx_toy(toy: ToyFactory) -> Callable[..., Path]:
    """The toy with graphs made by hand, and so without PyTorch: two products, a sum, a choice.

    ``hidden`` is the width between the two products, and ``frames`` how many rows the signal is cut
    into: only the right number runs.
    """

    def make(*edits: tuple[str, str], hidden: int = 8, frames: int = -1) -> Path:
        root = toy(*edits)
        if not (root / "encoder.onnx").exists():
            factory = 'factory = "models.py:encoder"\narguments = { width = 6 }'
            toy(
                (factory, 'onnx = "encoder.onnx"'),
                ('factory = "models.py:decoder"', 'onnx = "decoder.onnx"'),
            )
        rng = np.random.default_rng(0)
        _save_graph(
            root / "encoder.onnx",
            [
                helper.make_node("Reshape", ["signal", "shape"], ["rows"]),
                helper.make_node("MatMul", ["rows", "widen"], ["hidden"]),
                helper.make_node("MatMul", ["hidden", "narrow"], ["narrowed"]),
                helper.make_node("Mul", ["narrowed", "gain"], ["features"]),
            ],
            {"signal": (TensorProto.FLOAT, ["b", "s"]), "gain": (TensorProto.FLOAT, [])},
            {"features": (TensorProto.FLOAT, ["b", "f", 6])},
            shape=np.array([0, frames, 4]),
            widen=rng.standard_normal((4, hidden), dtype=np.float32),
            narrow=rng.standard_normal((hidden, 6), dtype=np.float32),
        )
        _save_graph(
            root / "decoder.onnx",
            [
                helper.make_node("ReduceSum", ["features", "axes"], ["sum"], keepdims=0),
                helper.make_node("Where", ["voiced", "sum", "zero"], ["level"]),
            ],
            {
                "features": (TensorProto.FLOAT, ["b", "f", 6]),
                "voiced": (TensorProto.BOOL, ["b", "f"]),
            },
            {"level": (TensorProto.FLOAT, ["b", "f"])},
            axes=np.array([2]),
            zero=np.float32(0),
        )
        return root

    return make


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """One cache for the whole session, so that what is exported once is not exported again."""
    return Cache(tmp_path_factory.mktemp("shared-cache"))


@pytest.fixture(scope="session")
def shared_pool() -> Iterator[WorkerPool]:
    """One server of worker processes for the whole session."""
    with SessionPool() as pool:
        yield pool


# Those that start workers of their own.
_POOL_OWNERS = (
    "harness.api",
    "harness.cli.build",
    "harness.cli.calibrate",
    "harness.overhead",
    "harness.ready",
)


@pytest.fixture(autouse=True, scope="session")
def one_server(shared_pool: WorkerPool) -> Iterator[None]:
    """Runs share one server of workers: to start one is to import PyTorch, 2 s and more."""
    with pytest.MonkeyPatch.context() as patch:
        for module in _POOL_OWNERS:
            patch.setattr(f"{module}.WorkerPool", lambda: LentPool(shared_pool))
        yield


@pytest.fixture(scope="session")
def seen_graphs() -> SeenGraphs:
    """What ONNX Runtime made of graphs in this session."""
    return SeenGraphs(inspect_graphs)


@pytest.fixture(autouse=True)
def one_look(monkeypatch: pytest.MonkeyPatch, seen_graphs: SeenGraphs) -> None:
    """Runs of the same graphs look into them once: each look is a process that imports it all."""
    monkeypatch.setattr("harness.backends.onnxruntime.inspect_graphs", seen_graphs)


def _warm_up_briefly(
    launches: Sequence[Callable[[], None]], clock: Clock, least_s: float, most_s: float
) -> WarmedUp:
    return warm_up(launches, clock, min(least_s, 0.02), min(most_s, 0.1))


@pytest.fixture(autouse=True)
def not_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another pytest that a test starts is no worker of pytest-xdist."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)


def _limit_s(plan: SamplingPlan) -> float:
    if plan.max_time_s is not None:
        return plan.max_time_s
    # Read as it is now: a test may want another.
    return sampler.DEFAULT_MAX_TIME_S if plan.max_samples is None else 3600.0


@pytest.fixture(autouse=True)
def short_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shared machine nothing is ever known to 0.5 %, and each run would take all its time.

    Where a number of samples is asked for, and no time, they alone end it, however busy the machine
    is.
    """
    monkeypatch.setattr(sampler, "DEFAULT_MAX_TIME_S", 1.0)
    monkeypatch.setattr(SamplingPlan, "time_limit_s", property(_limit_s))


@pytest.fixture(autouse=True)
def brief_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shared machine nothing is ever steady, and each run would warm up for two seconds."""
    monkeypatch.setattr("harness.measure.sampler.warm_up", _warm_up_briefly)


class _Borrowed:
    """The session's telemetry as one run's own: what was read between its start and its end."""

    def __init__(self, telemetry: TelemetryProcess) -> None:
        self._telemetry = telemetry
        self._states: tuple[DeviceState, ...] | None = None
        self._first = 0

    def __enter__(self) -> _Borrowed:  # noqa: PYI034  # typing.Self is not in Python 3.10
        self._telemetry.start()
        self._first = len(self._telemetry.states())
        self._telemetry.resume()
        # As with a process of its own, the first reading is there before anything begins.
        until_s = time.monotonic() + 120.0
        while not self.states() and not self.problem and time.monotonic() < until_s:
            time.sleep(1e-3)
        return self

    def __exit__(self, *_: object) -> None:
        self._telemetry.pause()
        self._states = self.states()

    @property
    def problem(self) -> str:
        return self._telemetry.problem

    def states(self) -> tuple[DeviceState, ...]:
        if self._states is not None:
            return self._states
        return self._telemetry.states()[self._first :]


@pytest.fixture(scope="session")
def telemetry_process() -> Iterator[TelemetryProcess]:
    """Telemetry for the whole session, started by whoever needs it first."""
    telemetry = TelemetryProcess(None)
    yield telemetry
    telemetry.stop()


@pytest.fixture(autouse=True)
def one_telemetry(monkeypatch: pytest.MonkeyPatch, telemetry_process: TelemetryProcess) -> None:
    """Runs on the CPU share one telemetry process: to start one takes most of a second."""

    def open_one(gpu_uuid: str | None) -> Any:
        return _Borrowed(telemetry_process) if gpu_uuid is None else TelemetryProcess(gpu_uuid)

    monkeypatch.setattr("harness.watching.TelemetryProcess", open_one)


@pytest.fixture
def harness(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process; gives exit code, standard output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
