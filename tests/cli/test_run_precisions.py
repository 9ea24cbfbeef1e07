"""``harness run`` and ``harness build`` of the tiny pipeline in every precision."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from harness.artifacts.precision import ClippingRule
from harness.cli import main
from harness.errors import OptionError
from harness.pipeline.fingerprint import hash_file
from harness.pipeline.loader import load_pipeline
from harness.runner import RunOptions
from harness.store.parquet import ParquetStore
from tests.records import measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache

    Harness = Callable[..., tuple[int, str, str]]

PRECISIONS = ("fp32", "fp16", "int8", "int8-ort", "int8+fp16")
QUANTIZED = ("int8", "int8-ort", "int8+fp16")
COMPONENTS = (
    "content_encoder",
    "pitch_encoder",
    "conditioner",
    "flow_decoder",
    "latent_to_mel",
    "vocoder",
)
SERIES = [(name, precision) for name in (*COMPONENTS, "pipeline") for precision in PRECISIONS]


def _options(*precisions: str) -> list[str]:
    return [text for precision in precisions for text in ("--precision", precision)]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    folder: Path
    document: dict[str, Any]

    @property
    def rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(r["component"], r["precision"]): r for r in self.document["measurements"]}


@pytest.fixture(scope="module")
def done(shared_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One run for all tests that only look at it."""
    folder = tmp_path_factory.mktemp("every-precision")
    arguments = [
        *("run", "tiny", *_options(*PRECISIONS), "--max-time", "1", "--samples", "20"),
        *("--json", str(folder / "run.json"), "--out", str(folder / "out")),
        *("--cache", str(shared_cache.root)),
    ]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    assert code == 0, err.getvalue()
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return Done(code, out.getvalue(), folder, document)


# What is measured.


def test_every_component_is_measured_in_every_precision(done: Done) -> None:
    assert sorted(done.rows) == sorted(SERIES)
    assert len(done.document["measurements"]) == len(SERIES)
    (record,) = ParquetStore(done.folder / "out").query()
    assert {(m.component, m.precision) for m in measured(record)} == set(SERIES)
    assert {m.backend for m in measured(record)} == {"onnxruntime"}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", [*COMPONENTS, "pipeline"])
def test_floating_point_is_accurate(done: Done, name: str, precision: str) -> None:
    row = done.rows[name, precision]

    # Null stands for an infinite ratio where there is no error at all.
    snr_db = np.inf if row["relative_l2"] == 0.0 else row["snr_db"]
    assert snr_db >= (40.0 if precision == "fp16" else 100.0)
    assert row["misses_floor"] is False


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("name", [*COMPONENTS, "pipeline"])
def test_int8_is_far_better_than_a_constant(done: Done, name: str, precision: str) -> None:
    row = done.rows[name, precision]

    snr_db = np.inf if row["relative_l2"] == 0.0 else row["snr_db"]
    assert snr_db > row["constant_snr_db"] + 10.0
    if np.isfinite(snr_db):
        assert snr_db < 80.0  # quantized it is
        assert 10.0 < row["dependent_snr_db"] < 80.0
        assert row["relative_l2"] == pytest.approx(10 ** (-snr_db / 20))
    else:
        assert name == "conditioner"  # nothing in it is quantized


def test_the_constant_is_the_same_for_every_precision(done: Done) -> None:
    """It is a property of the references, of which there are 4 at 1 s."""
    for name in (*COMPONENTS, "pipeline"):
        rows = [done.rows[name, precision] for precision in PRECISIONS]
        assert len({row["constant_snr_db"] for row in rows}) == 1
        assert 0.0 < rows[0]["constant_snr_db"] < 10.0
        assert {row["accuracy_inputs"] for row in rows} == {4}


def test_a_spectral_distance_is_given_for_the_audio_alone(done: Done) -> None:
    for (name, precision), row in done.rows.items():
        distance = row["log_spectral_distance_db"]
        if name in {"vocoder", "pipeline"}:
            assert 0.0 <= distance < 5.0
            assert (distance > 0.05) == (precision in QUANTIZED)
        else:
            assert distance is None


@pytest.mark.parametrize(("name", "precision"), SERIES)
def test_every_series_has_its_costs(done: Done, name: str, precision: str) -> None:
    row = done.rows[name, precision]

    median = row["summary"]["median"]["value"]
    base = done.rows[name, "fp32"]["summary"]["median"]["value"]
    assert row["ratio_to_fp32"] == pytest.approx(median / base)
    assert row["ratio_to_torch"] is None
    assert row["size_bytes"] > 0
    assert row["memory_bytes"] >= 0
    assert set(row["engine_nodes"]) == {"int8", "fp16", "fp32"}
    if precision != "fp32":
        assert set(row["graph_nodes"]) == {"int8", "fp16", "fp32"}


def test_a_graph_in_fewer_bits_is_smaller(done: Done) -> None:
    for name in ("content_encoder", "flow_decoder", "pipeline"):
        sizes = {p: done.rows[name, p]["size_bytes"] for p in PRECISIONS}
        assert all(sizes[p] < sizes["fp32"] for p in PRECISIONS if p != "fp32"), name


def test_figures_of_the_pipeline_are_the_sums_of_its_components(done: Done) -> None:
    for precision in PRECISIONS:
        whole = done.rows["pipeline", precision]
        parts = [done.rows[name, precision] for name in COMPONENTS]
        for key in ("size_bytes", "memory_bytes"):
            assert whole[key] == sum(part[key] for part in parts)
        for key in ("engine_nodes", "graph_nodes")[: 1 + (precision != "fp32")]:
            for kind in ("int8", "fp16", "fp32"):
                assert whole[key][kind] == sum(part[key][kind] for part in parts)


def test_the_graphs_hold_what_their_precision_names(done: Done) -> None:
    nodes = {p: done.rows["pipeline", p]["graph_nodes"] for p in PRECISIONS if p != "fp32"}

    total = sum(nodes["fp16"].values())
    assert total == 18
    assert nodes["fp16"] == {"int8": 0, "fp16": 18, "fp32": 0}
    # The two products of the attention are of two activations, which TensorRT's form leaves alone.
    assert nodes["int8"] == {"int8": 16, "fp16": 0, "fp32": 2}
    assert nodes["int8+fp16"] == {"int8": 16, "fp16": 2, "fp32": 0}
    # ONNX Runtime's CPU has no INT8 kernel for the vocoder's three transposed convolutions.
    assert nodes["int8-ort"] == {"int8": 15, "fp16": 0, "fp32": 3}


def test_what_really_ran_in_int8_is_told_apart_from_what_was_asked_for(done: Done) -> None:
    encoder = {p: done.rows["content_encoder", p] for p in PRECISIONS}

    assert encoder["int8"]["mostly"] == "fp32"
    assert encoder["int8-ort"]["mostly"] is None
    assert encoder["fp32"]["mostly"] is None
    ran = encoder["int8-ort"]["engine_nodes"]
    assert ran["int8"] >= ran["fp32"] + ran["fp16"]
    assert sum(encoder["fp32"]["engine_nodes"].values()) == 6


def _block(text: str, title: str, name: str) -> list[str]:
    """The lines of a component in the table of that title."""
    lines = text[text.index(title) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [name])
    return lines[start : start + len(PRECISIONS)]


def test_the_tables_show_all_precisions_and_name_what_they_are(done: Done) -> None:
    for title in ("onnxruntime, 1 s, hot: latency in ms", "onnxruntime, 1 s: accuracy against"):
        for name in (*COMPONENTS, "pipeline"):
            block = _block(done.out, title, name)
            words = [line.split() for line in block]
            assert [p in row for p, row in zip(PRECISIONS, words, strict=True)] == [True] * 5
    encoder = _block(done.out, "hot: latency in ms", "content_encoder")
    assert "int8 (mostly fp32)" in encoder[2]
    assert "mostly" not in encoder[3]
    assert "int8-ort" in encoder[3]
    assert "wrong" not in done.out
    assert "…" not in done.out
    assert max(map(len, done.out.split("Record: ")[0].splitlines())) <= 80


def test_the_record_tells_what_int8_was_made_with(done: Done) -> None:
    calibration = done.document["calibration"]
    recipes = {(a["component"], a["precision"]): a["recipe"] for a in done.document["artifacts"]}

    assert calibration["kind"] == "synthetic"
    assert calibration["seed"] == 0
    assert calibration["samples"] == 16
    assert calibration["clipping"] == "percentile 99.99"
    assert len(calibration["content_hash"]) == 40
    assert len(recipes) == 30
    assert recipes["vocoder", "int8"]["clipping"] == {"method": "percentile", "percentile": 99.99}
    assert recipes["vocoder", "fp32"] == {}
    assert "clipping" not in recipes["vocoder", "fp16"]
    # The pitch is rounded to a bin: what leads to it stays in fp32.
    assert recipes["pitch_encoder", "fp16"]["kept_fp32"]
    assert recipes["vocoder", "fp16"]["kept_fp32"] == []


def test_engines_are_looked_into_at_the_longest_case(done: Done) -> None:
    engines = done.document["engines"]

    assert {(e["component"], e["precision"]) for e in engines} == {
        key for key in SERIES if key[0] != "pipeline"
    }
    assert {(e["duration_s"], e["batch"], e["backend"]) for e in engines} == {
        (1.0, 1, "onnxruntime")
    }


# What is kept.


def test_a_build_finds_the_graphs_of_a_run_and_copies_them(
    done: Done, harness: Harness, shared_cache: Cache, tmp_path: Path
) -> None:
    before = {entry.path for entry in shared_cache.entries()}
    folder = tmp_path / "graphs"

    code, out, _ = harness(
        "build", "tiny", "--precision", "int8", "--out", folder, "--cache", shared_cache.root
    )

    assert code == 0
    assert {entry.path for entry in shared_cache.entries()} == before
    assert sorted(folder.rglob("*")) == sorted(
        [folder / "int8", *(folder / "int8" / f"{name}.onnx" for name in COMPONENTS)]
    )
    hashes = {
        a["component"]: a["content_hash"]
        for a in done.document["artifacts"]
        if a["precision"] == "int8"
    }
    for name in COMPONENTS:
        assert hash_file(folder / "int8" / f"{name}.onnx") == hashes[name]
    kinds = {node.op_type for node in onnx.load(folder / "int8" / "vocoder.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert (
        "content_encoder int8 (4 of 6 convolutions and products in int8): "
        f"{folder / 'int8' / 'content_encoder.onnx'}"
    ) in out
    assert "conditioner int8 (no convolutions or matrix products): " in out


def test_a_build_of_several_precisions_has_a_folder_for_each(
    done: Done, harness: Harness, shared_cache: Cache, tmp_path: Path
) -> None:
    folder = tmp_path / "graphs"

    code, out, _ = harness(
        *("build", "tiny", *_options("fp32", "int8+fp16", "fp32"), "--out", folder),
        *("--cache", shared_cache.root),
    )

    assert code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["fp32", "int8+fp16"]
    assert len(list(folder.rglob("*.onnx"))) == 12
    assert len(out.splitlines()) == 12


def test_a_set_in_a_file_makes_the_same_graphs_as_the_one_that_is_made(
    done: Done, harness: Harness, shared_cache: Cache, tmp_path: Path
) -> None:
    """With the manifest and without: the graphs are keyed on the values that feed them."""
    cache = ("--cache", shared_cache.root)
    own, foreign = tmp_path / "own.npz", tmp_path / "foreign.npz"
    assert harness("calibrate", "tiny", "--out", own, *cache)[0] == 0
    with np.load(own) as file:
        np.savez(foreign, **{name: file[name] for name in file.files if name != "manifest.json"})
    before = {entry.path for entry in shared_cache.entries()}

    for path in (own, foreign):
        code, _, _ = harness(
            "build", "tiny", *_options("int8", "int8-ort"), "--calibration", path, *cache
        )
        assert code == 0

    assert {entry.path for entry in shared_cache.entries()} == before


# Floors.


def test_what_is_under_its_floor_is_marked_and_enforced(
    done: Done, harness: Harness, shared_cache: Cache, tmp_path: Path
) -> None:
    root = tmp_path / "tiny"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(load_pipeline("tiny").root, root, ignore=ignored)
    manifest = root / "pipeline.toml"
    text = manifest.read_text(encoding="utf-8")
    assert "fp16 = 40.0" in text
    manifest.write_text(text.replace("fp16 = 40.0", "fp16 = 90.0"), encoding="utf-8")

    code, out, _ = harness(
        *("run", root, *_options("fp32", "fp16"), "--samples", 5, "--max-time", 0.2, "--enforce"),
        *("--cache", shared_cache.root, "--out", tmp_path / "out"),
    )

    assert code == 1
    words = " ".join(out.split())
    assert "content_encoder (onnxruntime, fp16 (mostly fp32)) is wrong: " in words
    assert "the floor is 90 dB" in words
    assert "(onnxruntime fp32) is wrong" not in words
    # Every component and the whole, each once in the table.
    table = out[out.index("accuracy against") : out.index("over 4 inputs")]
    assert table.count("wrong") == 7


# Options.


@pytest.fixture
def refused(harness: Harness, tmp_path: Path) -> Callable[..., str]:
    def call(command: str, *arguments: object) -> str:
        cache, out = tmp_path / "cache", tmp_path / "out"

        code, _, err = harness(command, "tiny", "--cache", cache, "--out", out, *arguments)

        assert code == 2
        assert len(err.splitlines()) == 1
        assert not cache.exists()
        assert not out.exists()
        return err

    return call


@pytest.mark.parametrize("command", ["run", "build"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--precision", "bogus"),
            "there is no precision 'bogus'; choose one of: fp32, fp16, int8, int8-ort, int8+fp16",
        ),
        (("--precision", "INT8"), "--precision: there is no precision 'INT8'"),
        (
            ("--precision", "int8", "--calibration-method", "max"),
            "there is no method 'max'; choose one of: percentile, entropy, minmax",
        ),
        (("--precision", "int8", "--percentile", "0"), "--percentile: 0 is no percentile"),
        (("--precision", "int8", "--percentile", "-1"), "--percentile: -1 is no percentile"),
        (("--precision", "int8", "--percentile", "100.5"), "--percentile: 100.5 is no percentile"),
        (("--precision", "int8", "--percentile", "nan"), "--percentile: nan is no percentile"),
        (("--precision", "int8", "--percentile", "most"), "'most' is not a valid float"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    refused: Callable[..., str], command: str, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(command, *arguments)


@pytest.mark.parametrize("precisions", [("fp16",), ("int8", "int8-ort")])
def test_pytorch_runs_fp32_only(refused: Callable[..., str], precisions: tuple[str, ...]) -> None:
    line = refused("run", "--backend", "torch", *_options(*precisions))

    assert "--precision: torch runs fp32 only, and " in line
    assert ", ".join(precisions) in line
    assert "add --precision fp32" in line


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ((), ClippingRule("percentile", 99.99)),
        (("--percentile", "99.5"), ClippingRule("percentile", 99.5)),
        (("--calibration-method", "minmax"), ClippingRule("minmax")),
        (("--calibration-method", "entropy"), ClippingRule("entropy")),
    ],
)
def test_the_rule_of_the_options_is_what_int8_is_made_with(
    harness: Harness,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    rule: ClippingRule,
) -> None:
    asked: list[RunOptions] = []

    def run(*parts: object) -> None:
        asked.extend(part for part in parts if isinstance(part, RunOptions))
        raise OptionError("seen")

    monkeypatch.setattr("harness.cli.run.Run", run)

    harness("run", "tiny", "--precision", "int8", "--out", tmp_path / "out", *arguments)

    assert [options.build.rule for options in asked] == [rule]


def test_a_plan_names_what_would_be_converted(harness: Harness, tmp_path: Path) -> None:
    cache = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")

    code, out, _ = harness("run", "tiny", *_options("fp32", "fp16", "int8"), "--plan", *cache)

    assert code == 0
    lines = out.splitlines()
    for name in COMPONENTS:
        for precision in ("fp16", "int8"):
            (line,) = (li for li in lines if li.startswith(f"convert {name} to {precision}: about"))
            assert "never done here" in line
    assert "convert vocoder to fp32" not in out
    assert len([line for line in lines if line.startswith("calibrate int8: ")]) == 1
    assert "calibrate fp16" not in out
    assert "measure 21 series at 1 s by onnxruntime fp32 and onnxruntime fp16 and " in out
    assert list(tmp_path.iterdir()) == []


def test_a_plan_knows_how_long_a_conversion_took(
    done: Done, harness: Harness, shared_cache: Cache, tmp_path: Path
) -> None:
    cache = ("--cache", shared_cache.root, "--out", tmp_path / "out")

    _, out, _ = harness("run", "tiny", *_options("int8"), "--plan", *cache)

    for name in COMPONENTS:
        (line,) = (li for li in out.splitlines() if li.startswith(f"convert {name} to int8: "))
        assert "as last time" in line


def test_a_plan_with_a_set_makes_none(harness: Harness, tmp_path: Path) -> None:
    options = (*_options("int8"), "--calibration", tmp_path / "set.npz", "--plan")

    code, out, _ = harness("run", "tiny", *options, "--cache", tmp_path / "cache")

    assert code == 0
    assert "calibrate int8" not in out
