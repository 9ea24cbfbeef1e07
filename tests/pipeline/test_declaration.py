"""What is wrong in pipeline.toml is told in one line: file, key, fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import DeclarationError, OptionError
from harness.pipeline.declaration import json_schema
from harness.pipeline.loader import load_pipeline, shipped_pipelines

if TYPE_CHECKING:
    from tests.conftest import ToyFactory

FEATURES = 'inputs.features = { dtype = "float32", shape = ["batch", "frames", 6]'

WRONG = {
    "unknown key": (
        ('factory = "models.py:decoder"', 'factory = "models.py:decoder"\ninput = 1'),
        "components.decoder.input",
        "did you mean 'inputs'?",
    ),
    "unknown key at the top": (
        ("durations_s", "duration_s"),
        "pipeline.toml: duration_s",
        "did you mean 'durations_s'?",
    ),
    "wrong type": (
        ("p99_s = 0.1", 'p99_s = "0.1"'),
        "budget.p99_s",
        "valid number",
    ),
    "a boolean for a number": (
        ("min = 2, opt = 8", "min = true, opt = 8"),
        "dimensions.frames",
        "valid integer",
    ),
    "missing key": (
        ('synthetic = "inputs.py:synthetic"', ""),
        "generators.synthetic",
        "is missing",
    ),
    "min above opt": (
        ("min = 2, opt = 8", "min = 9, opt = 8"),
        "dimensions.frames",
        "min <= opt <= max",
    ),
    "an output of another shape than the input it feeds": (
        (FEATURES, FEATURES.replace("6", "7")),
        "components.decoder.inputs.features",
        "encoder.features is float32 [batch, frames, 6]",
    ),
    "an output of another dtype than the input it feeds": (
        (FEATURES, FEATURES.replace("float32", "float16")),
        "components.decoder.inputs.features",
        "takes float16",
    ),
    "a cycle": (
        ("shape = [], value = 0.5 }", 'shape = ["batch", "frames"], from = "decoder.level" }'),
        "components",
        "cycle: ",
    ),
    "a source that does not exist": (
        ('from = "encoder.features"', 'from = "encoder.feature"'),
        "components.decoder.inputs.features",
        "encoder.features",
    ),
    "an input that feeds nothing": (
        ('from = "voiced"', "value = true"),
        "inputs.voiced",
        "feeds no component",
    ),
    "an input fed twice": (
        ('from = "voiced"', 'from = "voiced", value = true'),
        "components.decoder.inputs.voiced",
        "not both",
    ),
    "an unknown dimension": (
        (
            'outputs.level = { dtype = "float32", shape = ["batch", "frames"]',
            'outputs.level = { dtype = "float32", shape = ["batch", "frame"]',
        ),
        "components.decoder.outputs.level.shape",
        "unknown dimension 'frame'",
    ),
    "a derived dimension of nothing": (
        ('samples = "4 * frames"', 'samples = "4 * frame"'),
        "dimensions",
        "uses frame",
    ),
    "a derived dimension that is no expression": (
        ('samples = "4 * frames"', 'samples = "__import__(1)"'),
        "dimensions",
        "whole numbers",
    ),
    "a derived dimension that vanishes": (
        ('samples = "4 * frames"', 'samples = "frames - 2"'),
        "dimensions.samples",
        "samples is 0 at the profile's min",
    ),
    "a duration outside the profile": (
        ("durations_s = [0.5]", "durations_s = [2.0]"),
        "durations_s",
        "choose 0.125 to 1 s",
    ),
    "a duration of no whole frames": (
        ("durations_s = [0.5]", "durations_s = [0.51]"),
        "durations_s",
        "choose a multiple of 0.0625 s",
    ),
    "a file that is not there": (
        ("models.py:encoder", "model.py:encoder"),
        "components.encoder.factory",
        "there is no file",
    ),
    "a reference without a function": (
        ("models.py:encoder", "models.py"),
        "components.encoder.factory",
        "file.py:function",
    ),
    "neither factory nor onnx": (
        ('factory = "models.py:decoder"', ""),
        "components.decoder",
        "either factory",
    ),
    "a component called pipeline": (
        ("[components.decoder]", "[components.pipeline]"),
        "components.pipeline",
        "choose another",
    ),
    "another schema version": (
        ("schema_version = 1", "schema_version = 2"),
        "schema_version",
        "is 2, and this harness reads 1; write schema_version = 1, or use the harness",
    ),
    "a constant of another kind": (
        ("shape = [], value = 0.5", "shape = [], value = true"),
        "components.encoder.inputs.gain",
        "no float32",
    ),
    "a text for a constant": (
        ("shape = [], value = 0.5", 'shape = [], value = "a"'),
        "components.encoder.inputs.gain.value",
        "'a' is none of these: a number, true or false",
    ),
    "a list for an argument": (
        ("width = 6", "width = [6]"),
        "components.encoder.arguments.width",
        "[6] is none of these: a number, true or false, or a text",
    ),
    "a budget for a batch outside the profile": (
        ("p99_s = 0.1", "p99_s = 0.1\nbatch = 77"),
        "budget.batch",
        "choose 1 to 2",
    ),
    "a misspelt key of a dimension": (
        ("per_second = 16", "persecond = 16"),
        "toy/pipeline.toml: dimensions.frames.persecond",
        "did you mean 'per_second'?",
    ),
    "code outside the folder": (
        ("models.py:encoder", "../models.py:encoder"),
        "components.encoder.factory",
        "outside the pipeline's folder",
    ),
    "sources that are no pattern": (
        ("[components.encoder]", '[components.encoder]\nsources = ["/etc/*.conf"]'),
        "components.encoder.sources",
        "relative to the folder",
    ),
    "no TOML": (
        ("[budget]", "[budget"),
        "pipeline.toml",
        "not valid TOML",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_declaration_names_file_key_and_fix(name: str, toy: ToyFactory) -> None:
    edit, where, message = WRONG[name]
    root = toy(edit)

    with pytest.raises(DeclarationError) as caught:
        load_pipeline(root)

    assert str(root / "pipeline.toml") in caught.value.where
    assert where in caught.value.where
    assert message in str(caught.value)
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_the_toy_is_right_as_it_stands(toy: ToyFactory) -> None:
    pipeline = load_pipeline(toy())

    assert pipeline.order == ("encoder", "decoder")
    assert pipeline.final_outputs == (("decoder", "level"),)


def test_components_are_ordered_by_the_data_not_by_the_file(toy: ToyFactory) -> None:
    root = toy()
    manifest = root / "pipeline.toml"
    head, encoder, decoder = manifest.read_text().partition("[components.encoder]")
    body, key, rest = decoder.partition("[components.decoder]")
    manifest.write_text(head + key + rest + encoder + body)

    assert load_pipeline(root).order == ("encoder", "decoder")


def test_sizes_follow_duration_batch_and_derivation(toy: ToyFactory) -> None:
    pipeline = load_pipeline(toy())

    assert pipeline.sizes(duration_s=0.5, batch=2) == {"batch": 2, "frames": 8, "samples": 32}
    assert pipeline.profile("max") == {"batch": 2, "frames": 16, "samples": 64}


@pytest.mark.parametrize(
    ("duration_s", "batch", "message"),
    [
        (30.0, 1, "choose 0.125 to 1 s"),
        (0.01, 1, "choose 0.125 to 1 s"),
        (0.13, 1, "multiple of 0.0625 s"),
        (0.5, 3, "choose 1 to 2"),
        (0.5, 0, "choose 1 to 2"),
    ],
)
def test_a_size_outside_the_profile_names_the_range(
    toy: ToyFactory, duration_s: float, batch: int, message: str
) -> None:
    pipeline = load_pipeline(toy())

    with pytest.raises(OptionError, match=message):
        pipeline.sizes(duration_s=duration_s, batch=batch)


def test_several_problems_are_counted(toy: ToyFactory) -> None:
    root = toy(("p99_s = 0.1", "p99 = 0.1"))

    with pytest.raises(DeclarationError, match="problems in this file: 2"):
        load_pipeline(root)


def test_a_pipeline_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="voice_conversion"):
        load_pipeline(tmp_path)
    with pytest.raises(DeclarationError, match="voice_conversion"):
        load_pipeline("voice_conversation")


@pytest.mark.parametrize("name", ["tiny", "voice_conversion"])
def test_the_shipped_pipelines_are_right(name: str) -> None:
    assert name in shipped_pipelines()
    assert load_pipeline(name).name == name


def test_the_published_schema_is_that_of_the_code(request: pytest.FixtureRequest) -> None:
    published = request.config.rootpath / "docs" / "pipeline.schema.json"

    assert json.loads(published.read_text(encoding="utf-8")) == json_schema(), (
        "write it anew: harness schema > docs/pipeline.schema.json"
    )


def test_a_bare_name_means_the_shipped_pipeline_wherever_it_is_said(
    toy: ToyFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = toy()
    root.rename(root.parent / "tiny")
    monkeypatch.chdir(root.parent)

    assert load_pipeline("tiny").root == shipped_pipelines()["tiny"]
    assert caplog.messages == [
        "tiny is the shipped pipeline; for the folder of that name here, write ./tiny"
    ]
    caplog.clear()

    assert load_pipeline("./tiny").name == load_pipeline(Path("tiny")).name == "toy"
    monkeypatch.chdir(shipped_pipelines()["tiny"].parent)
    assert load_pipeline("tiny").name == "tiny"
    assert caplog.messages == []
