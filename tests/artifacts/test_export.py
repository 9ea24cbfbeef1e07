"""Exports of the toy: checked, kept, and done again only when something changed."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from harness.artifacts.cache import Cache
from harness.artifacts.export import export_pipeline, export_source_key, find_export
from harness.artifacts.export_worker import _verify
from harness.artifacts.sources import is_current, pipeline_hash
from harness.errors import ContractError, ModelError, OptionError, VerificationError
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline
from harness.pipeline.modules import build_module
from harness.reference import KIND as REFERENCE_KIND
from harness.reference import find_or_make_reference, reference_source_key
from tests.lent import LentPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Entry
    from harness.artifacts.worker import WorkerPool
    from tests.conftest import ToyFactory


_READS = """
K = json.loads((Path(__file__).parent / "k.json").read_text())


def _loaded(module):
    module.layer.bias.data = torch.load(Path(__file__).parent / "bias.pt")["bias"] * K
    return module

"""


def _own_sources(entry: Entry) -> set[str]:
    return {path for path in entry.info["outside_sources"] if "/" not in path}


@pytest.fixture
def pool(shared_pool: WorkerPool) -> WorkerPool:
    """For exports that fail, which close the pool."""
    return LentPool(shared_pool)


def test_an_export_has_the_declared_interface_and_runs_at_every_size(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    pipeline = load_pipeline(toy())

    models = export_pipeline(pipeline, shared_cache, shared_pool)

    assert list(models) == ["encoder", "decoder"]
    assert models["encoder"].parameters == 30
    for model in models.values():
        assert model.path.name == f"{model.component}.onnx"
        assert model.worst_relative_l2 is not None
        assert model.worst_relative_l2 <= 1e-4
    session = onnxruntime.InferenceSession(models["decoder"].path)
    for batch, frames in [(1, 2), (1, 8), (2, 16)]:
        feeds = {
            "features": np.ones((batch, frames, 6), np.float32),
            "voiced": np.ones((batch, frames), bool),
        }
        (level,) = session.run(["level"], feeds)
        assert level.shape == (batch, frames)
        assert np.all(level == 6.0)


def test_a_second_export_does_nothing(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    pipeline = load_pipeline(toy())
    first = export_pipeline(pipeline, shared_cache, shared_pool)

    second = export_pipeline(pipeline, shared_cache, shared_pool)

    assert all(model.was_cached for model in second.values())
    assert [m.content_hash for m in second.values()] == [m.content_hash for m in first.values()]


def test_a_change_of_the_code_makes_a_new_entry(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    pipeline = load_pipeline(toy())
    export_pipeline(pipeline, shared_cache, shared_pool)
    assert find_export(pipeline, "encoder", shared_cache, 20) is not None

    toy(("torch.manual_seed(0)", "torch.manual_seed(1)"), file="models.py")

    assert find_export(pipeline, "encoder", shared_cache, 20) is None


def test_a_comment_and_another_folder_make_no_other_graph(
    toy: ToyFactory, tmp_path: Path, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    first = export_pipeline(load_pipeline(toy()), shared_cache, shared_pool)
    elsewhere = shutil.copytree(toy(), tmp_path / "elsewhere")
    models = elsewhere / "models.py"
    models.write_text(f"# One line more.\n{models.read_text()}")
    again = export_pipeline(load_pipeline(elsewhere), shared_cache, shared_pool)

    for name, model in first.items():
        assert not again[name].was_cached
        # The same engine serves both.
        assert again[name].content_hash == model.content_hash


def test_a_change_of_the_declaration_makes_a_new_entry(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    export_pipeline(load_pipeline(toy()), shared_cache, shared_pool)

    changed = load_pipeline(toy(("max = 16", "max = 32")))

    assert find_export(changed, "encoder", shared_cache, 20) is None
    assert find_export(changed, "encoder", shared_cache, 19) is None


def test_a_change_of_words_makes_none(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    export_pipeline(load_pipeline(toy()), shared_cache, shared_pool)

    changed = load_pipeline(
        toy(("[components.encoder]", '[components.encoder]\ndescription = "first"'))
    )

    assert find_export(changed, "encoder", shared_cache, 20) is not None


def test_a_change_of_code_outside_the_folder_is_seen(
    toy: ToyFactory, tmp_path: Path, shared_pool: WorkerPool
) -> None:
    outside = tmp_path / "elsewhere" / "gains.py"
    outside.parent.mkdir()
    outside.write_text("GAIN = 1.0\n")
    root = toy()
    models = root / "models.py"
    models.write_text(
        models.read_text()
        .replace("* gain", "* gain * gains.GAIN")
        .replace(
            "import torch\n",
            "import sys\n\nimport torch\n\n"
            f"sys.path.insert(0, {str(outside.parent)!r})\nimport gains\n",
        )
    )
    pipeline = load_pipeline(root)
    cache = Cache(tmp_path / "cache")
    export_pipeline(pipeline, cache, shared_pool)
    assert find_export(pipeline, "encoder", cache, 20) is not None

    outside.write_text("GAIN = 2.0\n")

    assert find_export(pipeline, "encoder", cache, 20) is None


def test_a_change_of_a_file_that_the_factory_reads_is_seen(
    toy: ToyFactory, tmp_path: Path, shared_pool: WorkerPool
) -> None:
    root = toy(
        ("import torch\n", "import json\nfrom pathlib import Path\n\nimport torch\n\n" + _READS),
        ("return Encoder(width)", "return _loaded(Encoder(width))"),
        file="models.py",
    )
    torch.save({"bias": torch.zeros(6)}, root / "bias.pt")
    (root / "k.json").write_text("1.0")
    pipeline = load_pipeline(root)
    cache = Cache(tmp_path / "cache")
    entry_of = partial(find_export, pipeline, "encoder", cache, 20)

    first = export_pipeline(pipeline, cache, shared_pool)["encoder"]

    entry = entry_of()
    assert entry is not None
    assert _own_sources(entry) == {"bias.pt", "k.json"}
    # A copy elsewhere finds the entry, and is held against the files of its own.
    copy = load_pipeline(shutil.copytree(root, tmp_path / "copy"))
    assert find_export(copy, "encoder", cache, 20) is not None
    (copy.root / "k.json").write_text("2.0")
    assert find_export(copy, "encoder", cache, 20) is None
    assert entry_of() is not None

    torch.save({"bias": torch.ones(6)}, root / "bias.pt")

    assert entry_of() is None
    second = export_pipeline(pipeline, cache, shared_pool)["encoder"]
    assert not second.was_cached
    sizes = pipeline.sizes(duration_s=0.5)
    feeds = [synthetic_inputs(pipeline, sizes, seed=0)]
    find_or_make_reference(pipeline, sizes, feeds, cache, shared_pool, threads=1)
    (reference,) = (entry for entry in cache.entries() if entry.kind == REFERENCE_KIND)
    assert _own_sources(reference) == {"bias.pt", "k.json"}
    assert is_current(pipeline, reference)
    assert not is_current(copy, reference)
    assert second.content_hash != first.content_hash
    assert entry_of() is not None


def test_the_order_of_inputs_and_outputs_makes_a_new_entry(toy: ToyFactory) -> None:
    before = load_pipeline(toy())
    keys = export_source_key(before, "encoder", 20), export_source_key(before, "decoder", 20)
    whole = pipeline_hash(before), reference_source_key(before, {})
    signal, gain = (
        line
        for line in before.manifest.read_text().splitlines()
        if ".signal" in line or ".gain" in line
    )

    after = load_pipeline(toy((f"{signal}\n{gain}\n", f"{gain}\n{signal}\n")))

    assert export_source_key(after, "encoder", 20) != keys[0]
    assert export_source_key(after, "decoder", 20) == keys[1]
    assert pipeline_hash(after) != whole[0]
    assert reference_source_key(after, {}) != whole[1]


def test_an_input_that_forward_ignores_is_refused(
    toy: ToyFactory, tmp_path: Path, pool: WorkerPool
) -> None:
    toy()
    root = toy((".unflatten(1, (-1, 4))) * gain", ".unflatten(1, (-1, 4)))"), file="models.py")

    with pytest.raises(ModelError, match="does not use 'gain'; remove it here") as caught:
        export_pipeline(load_pipeline(root), Cache(tmp_path / "cache"), pool)

    assert caught.value.where.endswith("components.encoder.inputs.gain")


def test_pytorchs_own_nan_is_told_as_such(
    toy: ToyFactory, onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    pipeline = load_pipeline(toy())
    module = build_module(pipeline, "encoder")
    module.load_state_dict({k: v * torch.nan for k, v in module.state_dict().items()})
    onnx_toy()

    with pytest.raises(ModelError, match="PyTorch's own output holds NaN") as caught:
        _verify(pipeline, "encoder", module, pipeline.root / "encoder.onnx", 1)

    assert caught.value.where.endswith("components.encoder.outputs.features")


def test_a_name_that_is_almost_forwards_own_is_told_whenever_the_export_is_used(
    toy: ToyFactory, tmp_path: Path, shared_pool: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = load_pipeline(toy(("inputs.voiced", "inputs.voice")))
    cache = Cache(tmp_path / "cache")

    for _ in range(2):
        caplog.clear()
        export_pipeline(pipeline, cache, shared_pool)

        (message,) = caplog.messages
        assert "components.decoder.inputs.voice: forward() calls it 'voiced'" in message


def test_opset_17_is_exported_on_request(
    toy: ToyFactory, tmp_path: Path, shared_pool: WorkerPool
) -> None:
    models = export_pipeline(load_pipeline(toy()), Cache(tmp_path), shared_pool, opset=17)

    opsets = onnx.load(models["encoder"].path).opset_import
    assert [entry.version for entry in opsets if entry.domain == ""] == [17]


def test_an_unknown_opset_is_refused_with_the_range(
    toy: ToyFactory, tmp_path: Path, pool: WorkerPool
) -> None:
    with pytest.raises(OptionError, match="17, 18, 19, 20"):
        export_pipeline(load_pipeline(toy()), Cache(tmp_path / "cache"), pool, opset=23)

    assert not (tmp_path / "cache").exists()


def test_what_fails_leaves_nothing_and_what_works_is_kept(
    toy: ToyFactory, tmp_path: Path, pool: WorkerPool
) -> None:
    toy()
    root = toy(("return Encoder(width)", "raise ValueError('broken')"), file="models.py")
    cache = Cache(tmp_path / "cache")

    with pytest.raises(ModelError, match="ValueError: broken"):
        export_pipeline(load_pipeline(root), cache, pool, workers=1)

    assert {entry.label for entry in cache.entries()} <= {"toy/decoder"}
    assert list((cache.root / "tmp").iterdir()) == []


def test_a_frozen_time_axis_is_refused(toy: ToyFactory, tmp_path: Path, pool: WorkerPool) -> None:
    toy()
    root = toy(
        ("features.sum(2)", "features.sum(2).view(-1, int(voiced.shape[1]))"), file="models.py"
    )
    frozen = root / "models.py"
    frozen.write_text(frozen.read_text().replace("torch.zeros(())", "torch.zeros(8)"))

    with pytest.raises(ContractError, match="frozen at 8 in the graph, but frames ranges over 2"):
        export_pipeline(load_pipeline(root), Cache(tmp_path / "cache"), pool)


def test_a_graph_that_computes_something_else_is_refused(
    toy: ToyFactory, tmp_path: Path, pool: WorkerPool
) -> None:
    toy()
    root = toy(
        ("features.sum(2)", "features.sum(2) * (2.0 if torch.compiler.is_exporting() else 1.0)"),
        file="models.py",
    )

    with pytest.raises(VerificationError, match=r"differs from PyTorch by 1\.00e\+00"):
        export_pipeline(load_pipeline(root), Cache(tmp_path / "cache"), pool)


def test_random_numbers_in_forward_are_refused(
    toy: ToyFactory, tmp_path: Path, pool: WorkerPool
) -> None:
    toy()
    root = toy(
        ("features.sum(2)", "features.sum(2) + torch.rand_like(features[..., 0])"), file="models.py"
    )

    with pytest.raises(VerificationError, match="random numbers"):
        export_pipeline(load_pipeline(root), Cache(tmp_path / "cache"), pool)


def test_a_renamed_component_is_another_entry(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    export_pipeline(load_pipeline(toy()), shared_cache, shared_pool)
    root = toy(("[components.encoder]", "[components.front]"), ('"encoder.', '"front.'))

    models = export_pipeline(load_pipeline(root), shared_cache, shared_pool)

    assert models["front"].path.is_file()


def test_an_onnx_file_is_hashed_with_its_external_data(
    toy: ToyFactory, shared_cache: Cache, shared_pool: WorkerPool
) -> None:
    exported = export_pipeline(load_pipeline(toy()), shared_cache, shared_pool)["encoder"].path
    root = toy(
        ('factory = "models.py:encoder"\narguments = { width = 6 }', 'onnx = "encoder.onnx"')
    )
    onnx.save(
        onnx.load(exported),
        root / "encoder.onnx",
        save_as_external_data=True,
        location="encoder.data",
        size_threshold=0,
    )
    pipeline = load_pipeline(root)
    before = export_pipeline(pipeline, shared_cache, shared_pool)["encoder"]

    data = bytearray((root / "encoder.data").read_bytes())
    data[0] ^= 0x01
    (root / "encoder.data").write_bytes(bytes(data))
    after = export_pipeline(pipeline, shared_cache, shared_pool)["encoder"]

    assert before.size_bytes == sum(
        (root / f"encoder.{e}").stat().st_size for e in ("onnx", "data")
    )
    assert before.content_hash != after.content_hash
