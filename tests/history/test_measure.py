"""One round of one commit: what the commit's interpreter does, and what this one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.export import KIND
from harness.errors import DeclarationError, FeatureUnavailableError, WorkerError
from harness.history import measure
from harness.history.checkout import check_checkout
from harness.history.context import HistoryContext, context_of
from harness.history.exports import choose_exports
from harness.history.instrument import PACKAGE, asv_command, harness_command
from harness.history.measure import Order, export_by_commit, measure_commit, values_of
from harness.history.places import Progress, read_failures, read_progress
from harness.history.plan import plan_hash, read_plan
from harness.observer import SilentObserver
from harness.pipeline.loader import load_pipeline
from harness.runner import Run, RunResult
from harness.states import FAIL, FLAG, Finding, Validity
from harness.store.parquet import ParquetStore
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import ToyFactory

COMMIT = "0123456789" * 4
CONTEXT = HistoryContext(COMMIT, 1.0, "here", "shared-py3.11", {"torch": "2.13"}, "3.11", 2, 5.0)
PLAN = {"max_time_s": 20.0, "max_samples": 8, "energy": False, "threads": 1}
# Stands in for the commit's interpreter: writes down what it was given.
_PYTHON = """#!{python}
import json, os, pathlib, sys
log = pathlib.Path({log!r})
told = {{"words": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ)}}
with log.open("a") as file:
    file.write(json.dumps(told) + "\\n")
{script}
"""


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Order]:
    """What to measure: a checkout, an interpreter that runs ``script``, and a plan."""

    # The checkouts of these tests are under no git, but for those that say so.
    monkeypatch.setattr(measure, "check_checkout", lambda *_: None)

    def make(checkout: Path, script: str = "", **plan: object) -> Order:
        python = tmp_path / "python"
        log = str(tmp_path / "log")
        python.write_text(_PYTHON.format(python=sys.executable, log=log, script=script))
        python.chmod(0o755)
        path = tmp_path / "plan.json"
        path.write_text(json.dumps({"pipeline": "toy", **PLAN, **plan}))
        return Order(path, checkout, python, tmp_path / "exports", tmp_path / "own", CONTEXT)

    return make


def _exported(order: Order, pipeline: Path) -> Path | None:
    return export_by_commit(order, read_plan(order.plan), load_pipeline(pipeline), SilentObserver())


def _calls(tmp_path: Path) -> list[dict[str, Any]]:
    log = tmp_path / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_the_commits_interpreter_exports_and_makes_the_references(
    tmp_path: Path, toy: ToyFactory, order: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/instrument")
    monkeypatch.setenv("ASV_COMMIT", COMMIT)
    given = order(tmp_path, opset=18, seed=3, durations_s=[0.5, 1], batches=[2])

    assert _exported(given, toy()) == tmp_path / "exports"

    (call,) = _calls(tmp_path)
    assert call["words"] == [
        *("-m", "harness", "build", str(toy()), f"--cache={tmp_path / 'exports'}"),
        *("--opset=18", "--references", "--seed=3"),
        *("--duration=0.5", "--duration=1.0", "--batch=2"),
    ]
    # Nothing of this interpreter's: neither its modules, nor those of the working directory.
    assert not {"PYTHONPATH", "ASV_COMMIT"} & set(call["environment"])
    assert call["cwd"] != str(Path.cwd())


def test_another_interpreter_exports_with_the_commits_packages(
    tmp_path: Path, toy: ToyFactory, order: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/the/instrument")
    given = replace(order(tmp_path), packages=(tmp_path / "site", tmp_path / "shared"))

    _exported(given, toy())

    (call,) = _calls(tmp_path)
    assert call["environment"]["PYTHONPATH"] == f"{tmp_path / 'site'}:{tmp_path / 'shared'}"


def test_a_harness_that_knows_no_references_exports_all_the_same(
    tmp_path: Path, toy: ToyFactory, order: Callable[..., Order]
) -> None:
    script = "if '--references' in sys.argv: sys.exit('harness: No such option: --references')"

    assert _exported(order(tmp_path, script), toy()) == tmp_path / "exports"

    assert [call["words"][4:] for call in _calls(tmp_path)][1] == [
        f"--cache={tmp_path / 'exports'}",
        "--opset=20",
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('harness: models.py: it is wrong; mend it'); sys.exit(2)", "models.py: it is wr"),
        ("raise ValueError('odd')", "ended with 1: .*ValueError: odd"),
        ("sys.exit(5)", "ended with 5: it wrote nothing"),
    ],
)
def test_why_an_export_fails_is_told(
    tmp_path: Path, toy: ToyFactory, order: Callable[..., Order], script: str, message: str
) -> None:
    with pytest.raises(WorkerError, match=message) as caught:
        _exported(order(tmp_path, script), toy())

    assert caught.value.where == "commit 01234567"


@pytest.mark.parametrize("has_project", [True, False])
def test_pytorch_is_no_peer_of_a_commit_that_has_a_project(
    tmp_path: Path, toy: ToyFactory, order: Callable[..., Order], has_project: bool
) -> None:
    """Its modules would import what is installed here, for every commit alike."""
    given = order(toy().parent, "sys.exit(5)", backends=["onnxruntime", "torch"])
    cache = choose_exports(tmp_path / "environment", [_wheel(tmp_path)] if has_project else [])
    error, message = (
        (FeatureUnavailableError, "plan.json: torch: runs the models here, where what they import")
        if has_project
        else (WorkerError, "ended with 5")
    )

    with pytest.raises(error, match=message):
        measure_commit(replace(given, exports=cache), SilentObserver())

    assert len(_calls(tmp_path)) == (0 if has_project else 1)


def _wheel(folder: Path) -> Path:
    path = folder / "voice-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("voice/__init__.py", "")
    return path


def test_graphs_that_are_given_need_no_export(
    tmp_path: Path, onnx_toy: Callable[..., Path], order: Callable[..., Order]
) -> None:
    assert _exported(order(tmp_path), onnx_toy()) is None
    assert _calls(tmp_path) == []


def test_a_record_says_of_which_commit_it_is_and_asv_is_told_its_figures(
    tmp_path: Path, onnx_toy: Callable[..., Path], order: Callable[..., Order]
) -> None:
    root = onnx_toy()

    record = measure_commit(order(root.parent), SilentObserver())

    given = read_plan(tmp_path / "plan.json")
    assert context_of(record) == replace(CONTEXT, plan_hash=plan_hash(given))
    assert record.record_id.endswith("-01234567-" + record.record_id.split("-")[-2] + "-r2")
    assert "export" in record.phases_s
    # The folder of the plan is under no git.
    assert record.environment["plan_commit"] is None
    figures = {(one["benchmark"], *one["params"]): one for one in values_of(record)}
    whole = figures["latency.Pipeline.track_latency", "onnxruntime fp32", "0.5 s"]
    assert len(whole["samples"]) >= 8
    assert all(("samples" in one) != ("value" in one) for one in figures.values())
    assert json.loads(json.dumps(values_of(record), allow_nan=False))


@pytest.fixture
def checkout(tmp_path: Path, toy: ToyFactory) -> Repository:
    """A working tree at its second commit, with a pipeline that is exported."""
    root = toy().parent
    made = Repository(root)
    made.commit("one", {".gitignore": "/*\n!/toy\n"})
    made.commit("two", {"toy/words": "two"})
    return made


# What an export of the commit does meanwhile to the tree, in which the second commit is measured.
_MEANWHILE = {
    "before: another commit": ("", "is at .*: something else has checked that out"),
    "git checkout -q HEAD^": ("git checkout -q HEAD^", "something else has checked that out"),
    "a file is changed": ("echo 3 >> toy/words", "files of toy are not as they are in the commit"),
    "git goes away": ("rm -r .git", "git cannot tell of which commit the checkout is"),
}


@pytest.mark.parametrize("name", _MEANWHILE)
def test_a_checkout_of_another_commit_is_never_measured(
    order: Callable[..., Order],
    checkout: Repository,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    does, message = _MEANWHILE[name]
    head = checkout.git("rev-parse", "HEAD" if does else "HEAD^")
    script = f"os.chdir({str(checkout.root)!r}); os.system({does!r})"
    context = replace(CONTEXT, commit=head)
    given = replace(order(checkout.root, script), context=context)
    monkeypatch.setattr(measure, "check_checkout", check_checkout)

    with pytest.raises(WorkerError, match=f"^commit {head[:8]}: .*{message}"):
        measure_commit(given, SilentObserver())


def test_a_checkout_that_changes_while_it_is_measured_leaves_no_record(
    order: Callable[..., Order],
    onnx_toy: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkout = Repository(onnx_toy().parent)
    context = replace(CONTEXT, commit=checkout.commit("one", {".gitignore": "/*\n!/toy\n"}))
    given = replace(order(checkout.root), context=context)
    looks: list[Path] = []

    def check(*arguments: Any) -> None:
        looks.append(arguments[0])
        # Left behind by a build or an import: that is no change.
        (checkout.root / "toy" / "untracked").touch()
        check_checkout(*arguments)
        if len(looks) == 2:
            checkout.commit("two")

    monkeypatch.setattr(measure, "check_checkout", check)

    with pytest.raises(WorkerError, match="something else has checked that out"):
        measure_commit(given, SilentObserver())

    assert looks == [checkout.root] * 3


def test_a_commit_without_the_pipeline_is_refused(
    tmp_path: Path, order: Callable[..., Order]
) -> None:
    with pytest.raises(DeclarationError, match="is no pipeline"):
        measure_commit(order(tmp_path), SilentObserver())


def test_a_simulation_has_a_seed_of_its_own_for_each_commit_and_round(
    onnx_toy: Callable[..., Path], order: Callable[..., Order]
) -> None:
    root = onnx_toy().parent
    given = order(root, backends=["simulated"], simulation={"macs_per_s": 1e9, "seed": 4})
    seeds = []
    for changes in ({}, {}, {"round": 3}, {"commit": "f" * 40}):
        context = HistoryContext(**{**asdict(CONTEXT), **changes})
        record = measure_commit(replace(given, context=context), SilentObserver())
        series = {(m.component, m.simulated): m.latency_s for m in record.measurements}
        seeds.append(series["pipeline", True])
        variants = {one["params"][0] for one in values_of(record) if len(one["params"]) == 2}
        assert "simulated fp32" in variants

    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 3


@pytest.fixture
def command(
    tmp_path: Path, onnx_toy: Callable[..., Path], order: Callable[..., Order]
) -> list[object]:
    made = order(onnx_toy().parent)
    return [
        *("history", "measure", "--plan", made.plan, "--checkout", made.checkout),
        *("--python", made.python, "--exports", made.exports, "--records", tmp_path / "records"),
        *("--context", json.dumps(asdict(CONTEXT)), "--round", 1),
    ]


def test_the_command_keeps_the_record_and_tells_the_figures(
    tmp_path: Path,
    harness: Callable[..., tuple[int, str, str]],
    command: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRT_HARNESS_HISTORY_EVENTS", str(tmp_path / "events"))

    code, out, _ = harness(*command, "--out", tmp_path / "figures.json")

    assert code == 0, out
    (record,) = ParquetStore(tmp_path / "records").query()
    context = context_of(record)
    assert context is not None
    assert (context.commit, context.round) == (COMMIT, 1)
    assert read_progress(tmp_path / "records", "shared-py3.11")["01234567"].rounds == 2
    assert json.loads((tmp_path / "figures.json").read_text())
    event = json.loads((tmp_path / "events").read_text())
    assert (event["event"], event["commit"], event["round"]) == ("measured", COMMIT, 1)


def test_the_command_notes_why_a_commit_cannot_be_measured(
    tmp_path: Path,
    toy: ToyFactory,
    harness: Callable[..., tuple[int, str, str]],
    command: list[object],
) -> None:
    toy(('name = "toy"', "name = 1"))

    code, _, err = harness(*command, "--out", tmp_path / "figures.json")

    assert code == 2
    assert "name" in err
    (failure,) = read_failures(tmp_path / "records")
    assert (failure.commit, failure.stage) == (COMMIT, "measure")
    assert failure.reason.startswith("toy/pipeline.toml: name")
    assert not (tmp_path / "figures.json").exists()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the harness find something about the machine in whatever it measures."""

    def judge(level: str, what: str, fix: str) -> None:
        execute = Run.execute

        def found(run: Run) -> RunResult:
            done = execute(run)
            validity = Validity((Finding(level, what, fix),))
            return replace(done, record=replace(done.record, validity=validity))

        monkeypatch.setattr(Run, "execute", found)

    return judge


def test_an_invalid_measurement_is_kept_and_is_no_figure_of_the_commit(
    tmp_path: Path,
    harness: Callable[..., tuple[int, str, str]],
    command: list[object],
    judged: Callable[..., None],
) -> None:
    judged(FAIL, "the clock fell to 600 MHz", "cool it")

    code, _, err = harness(*command, "--out", tmp_path / "figures.json")

    assert code == 3
    assert "the figures are invalid: the clock fell to 600 MHz; cool it; then try again" in err
    assert not (tmp_path / "figures.json").exists()
    (kept,) = ParquetStore(tmp_path / "records").query()
    assert kept.record_id.endswith("-r1-invalid")
    (failure,) = read_failures(tmp_path / "records")
    assert "the clock fell to 600 MHz" in failure.reason
    progress = read_progress(tmp_path / "records", "shared-py3.11")["01234567"]
    assert progress == Progress(0, has_failed=True)


def test_what_is_only_flagged_counts_and_is_told(
    tmp_path: Path,
    harness: Callable[..., tuple[int, str, str]],
    command: list[object],
    judged: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRT_HARNESS_HISTORY_EVENTS", str(tmp_path / "events"))
    judged(FLAG, "something else ran", "")

    assert harness(*command)[0] == 0

    assert json.loads((tmp_path / "events").read_text())["flagged"] == ["something else ran"]
    assert read_progress(tmp_path / "records", "shared-py3.11")["01234567"].rounds == 2


@pytest.mark.parametrize("command_of", [harness_command, asv_command])
def test_what_measures_is_this_harness_wherever_it_is_started(
    command_of: Callable[[], list[str]], tmp_path: Path
) -> None:
    """A commit that changes the sampler, or anything else of the harness, is not what measures."""
    if command_of is asv_command:
        pytest.importorskip("asv")
    (tmp_path / "harness" / "measure").mkdir(parents=True)
    for name in ("__init__", "measure/sampler"):
        (tmp_path / "harness" / f"{name}.py").write_text("raise RuntimeError('not this one')")
    [*start, script] = command_of()
    script = script.rpartition("; ")[0] + "; import harness.measure.sampler as s; print(s.__file__)"

    done = subprocess.run(
        [*start, script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == str(PACKAGE / "measure" / "sampler.py"), done.stderr


def test_exports_of_the_commit_are_what_is_measured(
    tmp_path: Path, toy: ToyFactory, order: Callable[..., Order]
) -> None:
    """What is not there is never exported by this interpreter instead."""
    (tmp_path / "exports" / KIND).mkdir(parents=True)

    with pytest.raises(Exception, match="is no cache of exported graphs, or an empty one"):
        measure_commit(order(toy().parent), SilentObserver())
