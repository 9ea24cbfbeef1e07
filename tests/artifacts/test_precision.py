"""A pipeline's graphs in other precisions: what is made, what is kept of it, what is refused."""

from __future__ import annotations

import importlib
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.artifacts import graph_precision, precision
from harness.artifacts.cache import Cache
from harness.artifacts.calibration import CalibrationSet, make_set
from harness.artifacts.contract import check_contract
from harness.artifacts.export import OnnxModel, _export_component, export_pipeline
from harness.artifacts.precision import (
    HISTOGRAMS_KIND,
    KIND,
    PRECISIONS,
    ClippingRule,
    Quantization,
    check_precisions,
    convert_pipeline,
    find_or_make_histograms,
    needs_calibration,
)
from harness.artifacts.precision_worker import convert_component
from harness.artifacts.worker import WorkerPool
from harness.calibrate import CalibrationOptions, make_calibration_set
from harness.errors import ModelError, OptionError
from harness.pipeline.feeds import calibration_inputs, synthetic_inputs
from harness.pipeline.fingerprint import hash_file
from harness.pipeline.loader import load_pipeline
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.pipeline.pipeline import Pipeline

FLOAT, FLOAT16, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
INT8_PRECISIONS = ("int8", "int8-ort", "int8+fp16")

Feed = dict[str, "NDArray[Any]"]


def run(path: Path, feed: Feed) -> Feed:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def snr_db(reference: NDArray[Any], output: NDArray[Any]) -> float:
    noise = np.linalg.norm((output - reference).astype(np.float64))
    signal = np.linalg.norm(reference.astype(np.float64))
    return float(20 * np.log10(signal / noise)) if noise else np.inf


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    found = {i.name: i.data_type for i in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        found[value.name] = value.type.tensor_type.elem_type
    return found


# Two components given as ONNX, so that nothing has to be exported

SMALL = """
schema_version = 1
name = "small"
[generators]
synthetic = "inputs.py:synthetic"
[dimensions]
frames = { min = 2, opt = 8, max = 16 }
[inputs]
x = { dtype = "float32", shape = ["frames", 4] }
[components.first]
onnx = "first.onnx"
inputs.x = { dtype = "float32", shape = ["frames", 4], from = "x" }
outputs.y = { dtype = "float32", shape = ["frames", 3] }
[components.second]
onnx = "second.onnx"
inputs.y = { dtype = "float32", shape = ["frames", 3], from = "first.y" }
outputs.z = { dtype = "float32", shape = ["frames", 5] }
"""


def save_component(path: Path, nodes: list[onnx.NodeProto], *sizes: int, seed: int = 1) -> None:
    """A graph of ``nodes`` from the tensor named first to the one named last, with a weight w."""
    taken, given = nodes[0].input[0], nodes[-1].output[0]
    weight = np.random.default_rng(seed).standard_normal(sizes).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(taken, FLOAT, ["frames", sizes[0]])],
        [helper.make_tensor_value_info(given, FLOAT, ["frames", sizes[1]])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


FIRST = (("MatMul", "x w", "a"), ("Abs", "a", "y"))
SECOND = (("Sqrt", "y", "root"), ("MatMul", "root w", "z"))


def nodes_of(recipe: tuple[tuple[str, str, str], ...]) -> list[onnx.NodeProto]:
    return [helper.make_node(op, inputs.split(), [output]) for op, inputs, output in recipe]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    root = tmp_path_factory.mktemp("small")
    (root / "pipeline.toml").write_text(SMALL)
    (root / "inputs.py").write_text("def synthetic(sizes, rng): ...\n")
    save_component(root / "first.onnx", nodes_of(FIRST), 4, 3)
    save_component(root / "second.onnx", nodes_of(SECOND), 3, 5)
    return load_pipeline(root)


@pytest.fixture(scope="module")
def small_models(small: Pipeline) -> dict[str, OnnxModel]:
    models = export_pipeline(small, Cache(small.root / "no-cache"), SameProcess())
    # As for one that was exported: what it was checked with does not hold for another precision.
    return {name: replace(model, worst_relative_l2=1e-6) for name, model in models.items()}


def small_set(small: Pipeline, seed: int = 0, **changes: NDArray[Any]) -> CalibrationSet:
    rng = np.random.default_rng(seed)
    tensors = {
        "x": rng.standard_normal((4, 8, 4)).astype(np.float32),
        "first.y": np.abs(rng.standard_normal((4, 8, 3))).astype(np.float32),
    }
    return make_set(small, {**tensors, **changes}, {"seed": seed}, "the set")


class SameProcess(WorkerPool):
    """Does the work here and now: a server that imports PyTorch takes seconds to start."""

    def __init__(self) -> None:
        super().__init__()
        self._one_at_a_time = threading.Lock()

    def run(self, function: str, request: Mapping[str, Any], *, threads: int) -> dict[str, Any]:
        module, _, name = function.partition(":")
        with self._one_at_a_time:
            # Through JSON and back, as to a process of its own.
            answer = getattr(importlib.import_module(module), name)(json.loads(json.dumps(request)))
            return dict(json.loads(json.dumps(answer)))


class Converter:
    """Converts the small pipeline into one cache, and tells what that has put there."""

    def __init__(self, pipeline: Pipeline, models: dict[str, OnnxModel], root: Path) -> None:
        self.pipeline = pipeline
        self.models = models
        self.cache = Cache(root / "cache")
        self.pool = SameProcess()

    def __call__(
        self,
        name: str,
        calibration: CalibrationSet | None = None,
        rule: ClippingRule | None = None,
        **options: Any,
    ) -> dict[str, OnnxModel]:
        quantization = None
        if calibration is not None:
            quantization = Quantization(calibration, rule or ClippingRule())
        return convert_pipeline(
            self.pipeline,
            self.models,
            name,
            quantization,
            self.cache,
            self.pool,
            workers=2,
            **options,
        )

    def count(self, kind: str, cache: Cache | None = None) -> int:
        return sum(entry.kind == kind for entry in (cache or self.cache).entries())

    @property
    def counts(self) -> tuple[int, int]:
        return self.count(KIND), self.count(HISTOGRAMS_KIND)


@pytest.fixture
def convert(small: Pipeline, small_models: dict[str, OnnxModel], tmp_path: Path) -> Converter:
    return Converter(small, small_models, tmp_path)


def hashes(models: Mapping[str, OnnxModel]) -> list[str]:
    return [model.content_hash for model in models.values()]


def test_fp32_is_what_was_exported(
    convert: Converter, small_models: dict[str, OnnxModel], tmp_path: Path
) -> None:
    assert convert("fp32") == small_models
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", PRECISIONS[1:])
def test_a_graph_says_how_it_was_made(
    convert: Converter, small: Pipeline, small_models: dict[str, OnnxModel], name: str
) -> None:
    calibration = small_set(small)
    done: list[OnnxModel] = []

    models = convert(name, calibration, on_done=done.append)

    assert list(models) == list(small_models) == ["first", "second"]
    assert {model.component for model in done} == set(models)
    for component, model in models.items():
        assert model.precision == name
        assert model.path.name == f"{component}.onnx"
        assert model.content_hash == hash_file(model.path) != small_models[component].content_hash
        assert model.size_bytes == model.path.stat().st_size
        assert model.worst_relative_l2 is None
        assert not model.was_cached
        assert model.export_s > 0
        assert model.nodes == (NodeCounts(fp16=1) if name == "fp16" else NodeCounts(int8=1))
        recipe: dict[str, Any] = {"converter": precision._CONVERTER_VERSION, "kept_fp32": []}
        if name != "fp16":
            recipe["calibration"] = calibration.component_hash(small, component)
            recipe["clipping"] = {"method": "percentile", "percentile": 99.99}
        assert model.recipe == recipe


@pytest.mark.parametrize("name", ["fp16", "int8"])
def test_a_second_conversion_does_nothing(convert: Converter, small: Pipeline, name: str) -> None:
    first = convert(name, small_set(small))
    counts = convert.counts
    done: list[OnnxModel] = []

    second = convert(name, small_set(small), on_done=done.append)

    assert all(model.was_cached and model.export_s == 0 for model in second.values())
    assert len(done) == 2
    assert [model.path for model in second.values()] == [model.path for model in first.values()]
    assert hashes(second) == hashes(first)
    assert convert.counts == counts


def test_histograms_serve_every_rule_and_precision(convert: Converter, small: Pipeline) -> None:
    calibration = small_set(small)
    first = convert("int8", calibration)
    assert convert.counts == (2, 2)

    other = convert("int8", calibration, ClippingRule(percentile=90))
    assert convert.counts == (4, 2)
    assert not any(model.was_cached for model in other.values())
    assert set(hashes(other)).isdisjoint(hashes(first))

    convert("int8", calibration, ClippingRule("minmax"))
    convert("int8-ort", calibration)
    convert("int8+fp16", calibration)
    assert convert.counts == (10, 2)
    assert hashes(convert("int8", calibration)) == hashes(first)


def test_another_set_makes_other_graphs(convert: Converter, small: Pipeline) -> None:
    first = convert("int8", small_set(small, seed=0))

    second = convert("int8", small_set(small, seed=1))

    assert convert.counts == (4, 4)
    assert set(hashes(first)).isdisjoint(hashes(second))


def test_a_graph_depends_on_what_feeds_its_own_component(
    convert: Converter, small: Pipeline
) -> None:
    first = convert("int8", small_set(small))
    louder = small_set(small).tensors["x"] * np.float32(2)

    second = convert("int8", small_set(small, x=louder))

    assert (second["first"].was_cached, second["second"].was_cached) == (False, True)
    assert convert.counts == (3, 3)
    assert second["first"].content_hash != first["first"].content_hash


def test_fp16_has_nothing_to_do_with_a_set(convert: Converter, small: Pipeline) -> None:
    convert("fp16", small_set(small))

    assert all(model.was_cached for model in convert("fp16").values())
    assert convert.counts == (2, 0)


def test_another_graph_in_fp32_makes_another(
    convert: Converter, small: Pipeline, small_models: dict[str, OnnxModel], tmp_path: Path
) -> None:
    convert("int8", small_set(small))
    path = tmp_path / "first.onnx"
    save_component(path, nodes_of(FIRST), 4, 3, seed=5)
    changed = replace(small_models["first"], path=path, content_hash=hash_file(path))
    convert.models = {**small_models, "first": changed}

    models = convert("int8", small_set(small))

    assert (models["first"].was_cached, models["second"].was_cached) == (False, True)
    assert convert.counts == (3, 3)


@pytest.mark.parametrize(
    ("constant", "expected"),
    [("_CONVERTER_VERSION", (4, 2)), ("_HISTOGRAMS_VERSION", (2, 4)), ("_versions", (4, 4))],
)
def test_other_versions_make_new_entries(
    convert: Converter,
    small: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    constant: str,
    expected: tuple[int, int],
) -> None:
    convert("int8", small_set(small))
    later = (lambda: {"versions": {"onnx": "99"}}) if constant == "_versions" else 99
    monkeypatch.setattr(precision, constant, later)

    convert("int8", small_set(small))

    assert convert.counts == expected


def test_the_versions_of_the_tools_are_in_the_key() -> None:
    assert set(precision._versions()["versions"]) == {"onnx", "onnxruntime", "numpy"}


def test_graphs_that_are_not_to_be_kept_go_elsewhere(
    convert: Converter, small: Pipeline, tmp_path: Path
) -> None:
    scratch = Cache(tmp_path / "scratch")

    models = convert("int8", small_set(small), scratch=scratch)

    assert convert.counts == (0, 2)
    assert convert.count(KIND, scratch) == 2
    assert convert.count(HISTOGRAMS_KIND, scratch) == 0
    assert all(model.path.is_relative_to(tmp_path / "scratch") for model in models.values())


def test_the_inputs_of_the_collection_are_not_kept(
    convert: Converter, small: Pipeline, small_models: dict[str, OnnxModel]
) -> None:
    """They are as large as the set, once for each component."""
    entry = find_or_make_histograms(
        small, small_models["first"], small_set(small), convert.cache, convert.pool
    )

    assert {p.name for p in entry.path.iterdir()} == {"manifest.json", "histograms.npz"}
    assert entry.info["data_hash"] == small_set(small).component_hash(small, "first")
    assert entry.label == "small/first histograms"


@pytest.mark.parametrize("name", INT8_PRECISIONS)
def test_int8_is_accurate_on_what_it_was_calibrated_with(
    convert: Converter, small: Pipeline, small_models: dict[str, OnnxModel], name: str
) -> None:
    calibration = small_set(small)

    models = convert(name, calibration, ClippingRule("minmax"))

    for component, model in models.items():
        check_contract(small, component, model.path)
        feed = calibration.component_inputs(small, component, 2)
        (expected,) = run(small_models[component].path, feed).values()
        (actual,) = run(model.path, feed).values()
        assert 30 < snr_db(expected, actual) < 70


def test_a_rule_that_clips_shows_in_the_accuracy(
    convert: Converter, small: Pipeline, small_models: dict[str, OnnxModel]
) -> None:
    calibration = small_set(small)
    feed = calibration.component_inputs(small, "first", 2)
    (expected,) = run(small_models["first"].path, feed).values()

    model = convert("int8", calibration, ClippingRule(percentile=80))["first"]

    (actual,) = run(model.path, feed).values()
    assert snr_db(expected, actual) < 20


# Refusals


@pytest.mark.parametrize("name", ["int4", "", "FP16", "int8 + fp16"])
def test_a_precision_that_there_is_none_is_refused_with_those_there_are(
    convert: Converter, tmp_path: Path, name: str
) -> None:
    with pytest.raises(OptionError, match="there is no precision") as caught:
        convert(name)

    assert repr(name) in caught.value.what
    assert caught.value.where == "--precision"
    assert all(known in caught.value.fix for known in PRECISIONS)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(OptionError):
        check_precisions(["fp32", name])


def test_all_precisions_there_are_pass() -> None:
    check_precisions(PRECISIONS)
    assert PRECISIONS == ("fp32", "fp16", "int8", "int8-ort", "int8+fp16")
    assert [name for name in PRECISIONS if needs_calibration(name)] == [*INT8_PRECISIONS]


@pytest.mark.parametrize("name", INT8_PRECISIONS)
def test_int8_without_a_set_is_refused(convert: Converter, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="needs a calibration set") as caught:
        convert(name)

    assert caught.value.what.startswith(name)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("method", ["", "mean", "Entropy"])
def test_an_unknown_method_is_refused(method: str) -> None:
    with pytest.raises(OptionError, match="percentile, entropy, minmax") as caught:
        ClippingRule(method)

    assert caught.value.where == "--calibration-method"


@pytest.mark.parametrize("percentile", [0, -1, 100.001, float("nan"), float("inf")])
def test_a_percentile_that_is_none_is_refused(percentile: float) -> None:
    with pytest.raises(OptionError, match="is no percentile") as caught:
        ClippingRule(percentile=percentile)

    assert caught.value.where == "--percentile"


def test_a_rule_is_told_in_words() -> None:
    assert str(ClippingRule()) == "percentile 99.99"
    assert str(ClippingRule(percentile=100)) == "percentile 100"
    assert str(ClippingRule("entropy")) == "entropy"


def test_what_becomes_nan_is_named_and_nothing_is_kept(
    convert: Converter, small: Pipeline, small_models: dict[str, OnnxModel]
) -> None:
    negative = np.full((4, 8, 3), -1, np.float32)

    with pytest.raises(ModelError, match="root becomes NaN or infinite") as caught:
        convert("int8", small_set(small, **{"first.y": negative}))

    assert caught.value.where == str(small_models["second"].path)
    assert {entry.label for entry in convert.cache.entries()} <= {
        "small/first histograms",
        "small/first int8",
    }
    assert list((convert.cache.root / "tmp").iterdir()) == []
    assert convert.pool.is_closed


def test_a_conversion_that_fails_leaves_nothing_and_can_be_repeated(
    convert: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("broken", where="here")

    with monkeypatch.context() as patch:
        patch.setattr(graph_precision, "to_fp16", fail)
        with pytest.raises(ModelError, match="broken"):
            convert("fp16")
    assert convert.counts == (0, 0)
    assert list((convert.cache.root / "tmp").iterdir()) == []

    assert list(convert("fp16")) == ["first", "second"]


# The tiny voice converter, exported from PyTorch


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    return load_pipeline("tiny")


@pytest.fixture(scope="module")
def tiny_models(tiny: Pipeline, shared_cache: Cache, shared_pool: WorkerPool) -> dict[str, Any]:
    return export_pipeline(tiny, shared_cache, shared_pool)


@pytest.fixture(scope="module")
def tiny_sets(
    tiny: Pipeline, shared_cache: Cache, shared_pool: WorkerPool
) -> tuple[CalibrationSet, CalibrationSet]:
    """One to calibrate with, and one to be held against."""
    options = (CalibrationOptions(samples=8), CalibrationOptions(samples=4, seed=1))
    first, second = (make_calibration_set(tiny, o, shared_cache, shared_pool) for o in options)
    return first, second


# Of each component, its convolutions and products with a weight, and those of two activations.
PRODUCTS = {
    "content_encoder": (4, 2),
    "pitch_encoder": (1, 0),
    "conditioner": (0, 0),
    "flow_decoder": (6, 0),
    "latent_to_mel": (1, 0),
    "vocoder": (4, 0),
}


def expected_nodes(name: str, component: str) -> NodeCounts:
    weighted, dynamic = PRODUCTS[component]
    if name == "fp16":
        return NodeCounts(fp16=weighted + dynamic)
    if name == "int8-ort":
        # ONNX Runtime's CPU has no INT8 kernel for the vocoder's three transposed convolutions.
        transposed = 3 * (component == "vocoder")
        return NodeCounts(int8=weighted + dynamic - transposed, fp32=transposed)
    rest = {"fp16" if name == "int8+fp16" else "fp32": dynamic}
    return NodeCounts(int8=weighted, **rest)


@pytest.mark.parametrize("name", PRECISIONS[1:])
def test_every_component_of_a_pipeline_is_converted(
    tiny: Pipeline,
    tiny_models: dict[str, OnnxModel],
    tiny_sets: tuple[CalibrationSet, CalibrationSet],
    shared_cache: Cache,
    shared_pool: WorkerPool,
    name: str,
) -> None:
    calibration, others = tiny_sets

    models = convert_pipeline(
        tiny,
        tiny_models,
        name,
        Quantization(calibration),
        shared_cache,
        shared_pool,
        workers=2,
    )

    assert list(models) == list(tiny.components)
    for component, model in models.items():
        check_contract(tiny, component, model.path)
        onnx.checker.check_model(onnx.load(model.path), full_check=True)
        assert model.nodes == expected_nodes(name, component)
        snrs = []
        for index in range(len(others)):
            feed = others.component_inputs(tiny, component, index)
            expected = run(tiny_models[component].path, feed)
            actual = run(model.path, feed)
            assert set(actual) == set(tiny.components[component].outputs)
            snrs += [snr_db(expected[output], actual[output]) for output in expected]
        assert min(snrs) >= (35 if name == "fp16" else 15), f"{component}: {snrs}"
    # The flow's convolutions are of a kind that every precision has.
    assert models["flow_decoder"].size_bytes < tiny_models["flow_decoder"].size_bytes
    sizes = tiny.sizes(duration_s=0.1, batch=2)
    mel = np.zeros((2, 20, sizes["frames"]), np.float32)
    assert run(models["vocoder"].path, {"mel_input": mel})["audio"].shape == (2, sizes["samples"])


def test_what_a_component_is_calibrated_with_is_what_fp32_feeds_it(
    tiny: Pipeline,
    tiny_models: dict[str, OnnxModel],
    tiny_sets: tuple[CalibrationSet, CalibrationSet],
) -> None:
    calibration, _ = tiny_sets
    for index in (0, len(calibration) - 1):
        feed = calibration.component_inputs(tiny, "latent_to_mel", index)
        flow = calibration.component_inputs(tiny, "flow_decoder", index)
        (latent,) = run(tiny_models["flow_decoder"].path, flow).values()
        assert snr_db(latent, feed["latent"]) > 80


# The pitch encoder that ships with the harness


@pytest.fixture(scope="module")
def converter() -> Pipeline:
    return load_pipeline("voice_conversion")


@pytest.fixture(scope="module")
def pitch_encoder(converter: Pipeline, shared_cache: Cache, shared_pool: WorkerPool) -> OnnxModel:
    return _export_component(converter, "pitch_encoder", shared_cache, 20, shared_pool, 2)


@pytest.fixture(scope="module")
def pitch_histograms(
    converter: Pipeline, pitch_encoder: OnnxModel, shared_cache: Cache, shared_pool: WorkerPool
) -> Path:
    sizes = converter.profile("opt")
    feeds = [calibration_inputs(converter, sizes, seed=0, index=index) for index in range(8)]
    tensors = {name: np.stack([feed[name] for feed in feeds]) for name in ("f0", "voiced")}
    calibration = CalibrationSet(tensors, content_hash="", info={})
    entry = find_or_make_histograms(
        converter, pitch_encoder, calibration, shared_cache, shared_pool
    )
    return entry.file("histograms.npz")


def convert_pitch_encoder(
    model: OnnxModel, histograms: Path, name: str, folder: Path
) -> tuple[Path, list[str]]:
    answer = convert_component(
        {
            "component": "pitch_encoder",
            "graph": str(model.path),
            "precision": name,
            "histograms": str(histograms),
            "clipping": {"method": "percentile", "percentile": 99.99},
            "folder": str(folder),
        }
    )
    return folder / "pitch_encoder.onnx", answer["kept_fp32"]


def pitch_snrs(converter: Pipeline, model: OnnxModel, path: Path) -> Iterator[float]:
    sizes = converter.sizes(duration_s=2.0)
    for seed in (11, 12):
        inputs = synthetic_inputs(converter, sizes, seed=seed)
        feed = {"f0_input": inputs["f0"], "voiced_mask": inputs["voiced"]}
        (expected,) = run(model.path, feed).values()
        (actual,) = run(path, feed).values()
        yield snr_db(expected, actual)


def upstream(model: onnx.ModelProto, kinds: Mapping[str, int]) -> list[onnx.NodeProto]:
    """The cast from a real number to an index, and every node that leads to it."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    pending = [
        node
        for node in model.graph.node
        if node.op_type == "Cast" and kinds[node.input[0]] in {FLOAT, FLOAT16}
        if kinds[node.output[0]] == INT64
    ]
    found: list[onnx.NodeProto] = []
    while pending:
        node = pending.pop()
        if node not in found:
            found.append(node)
            pending += [made_by[name] for name in node.input if name in made_by]
    return found


@pytest.mark.parametrize(
    ("name", "least_db"), [("fp16", 55), ("int8", 25), ("int8+fp16", 25), ("int8-ort", 25)]
)
def test_the_shipped_pitch_encoder_keeps_its_chain_in_fp32(
    converter: Pipeline,
    pitch_encoder: OnnxModel,
    pitch_histograms: Path,
    tmp_path: Path,
    name: str,
    least_db: float,
) -> None:
    path, kept = convert_pitch_encoder(pitch_encoder, pitch_histograms, name, tmp_path)

    model = onnx.load(path)
    kinds = types(model)
    chain = upstream(model, kinds)
    operations = {node.op_type for node in chain}
    assert {"Log", "Round", "Cast"} <= operations
    assert operations.isdisjoint({"QuantizeLinear", "DequantizeLinear"})
    weights = {initializer.name for initializer in model.graph.initializer}
    assert {node.name for node in chain if not set(node.input) <= weights} <= set(kept)
    for node in chain:
        assert FLOAT16 not in {kinds[tensor] for tensor in (*node.input, *node.output) if tensor}
    assert "f0_input" in {tensor for node in chain for tensor in node.input}
    check_contract(converter, "pitch_encoder", path)
    assert min(pitch_snrs(converter, pitch_encoder, path)) > least_db


@pytest.mark.parametrize(("name", "most_db"), [("fp16", 30), ("int8-ort", 10)])
def test_without_its_chain_it_is_another_pitch(
    converter: Pipeline,
    pitch_encoder: OnnxModel,
    pitch_histograms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    most_db: float,
) -> None:
    monkeypatch.setattr(graph_precision, "index_chain", lambda _: [])

    path, _ = convert_pitch_encoder(pitch_encoder, pitch_histograms, name, tmp_path)

    assert max(pitch_snrs(converter, pitch_encoder, path)) < most_db
