"""A component's module: its factory, arguments, weights and submodule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from harness.errors import DeclarationError, ModelError
from harness.pipeline.loader import load_pipeline
from harness.pipeline.modules import build_module, check_module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ToyFactory

FACTORY = 'factory = "models.py:encoder"'
TRAINED = """

class Choice(torch.nn.Module):
    def forward(self, features: torch.Tensor, voiced: torch.Tensor) -> torch.Tensor:
        return features


class Trained(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.{name} = Choice()
        self.other = torch.nn.Linear(1, 1)


def trained() -> torch.nn.Module:
    return Trained()
"""


def test_a_factory_gives_a_module_in_evaluation_mode(toy: ToyFactory) -> None:
    module = build_module(load_pipeline(toy()), "encoder")

    assert not module.training


def test_a_factory_that_raises_is_named_with_its_error(toy: ToyFactory) -> None:
    toy()
    root = toy(("return Encoder(width)", "raise ValueError('no such width')"), file="models.py")

    with pytest.raises(ModelError, match="ValueError: no such width") as caught:
        build_module(load_pipeline(root), "encoder")

    assert "components.encoder.factory" in caught.value.where


def test_a_misnamed_argument_names_the_right_ones(toy: ToyFactory) -> None:
    root = toy(("arguments = { width = 6 }", "arguments = { cond_channels = 6 }"))

    with pytest.raises(DeclarationError, match="its parameters are: width"):
        build_module(load_pipeline(root), "encoder")


def test_a_factory_that_is_not_there_names_those_that_are(toy: ToyFactory) -> None:
    toy(
        ("import torch\n", "import torch\nfrom torch import Tensor as Imported\n"), file="models.py"
    )
    root = toy((FACTORY, 'factory = "models.py:encode"'))

    with pytest.raises(DeclarationError, match=r"it has: .*encoder") as caught:
        build_module(load_pipeline(root), "encoder")

    assert "Imported" not in caught.value.fix


def test_a_file_that_cannot_be_imported_is_named(toy: ToyFactory) -> None:
    toy()
    root = toy(("import torch", "import torch\nimport no_such_package"), file="models.py")

    with pytest.raises(ModelError, match="install no_such_package"):
        build_module(load_pipeline(root), "encoder")


@pytest.mark.parametrize("name", ["helper.py", "helper/__init__.py"])
def test_a_helper_beside_it_is_imported_with_a_dot(toy: ToyFactory, name: str) -> None:
    root = toy()
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("K = 6\n")
    toy(("import torch\n", "import torch\nfrom helper import K\n"), file="models.py")

    with pytest.raises(ModelError, match="no module named 'helper'") as caught:
        build_module(load_pipeline(root), "encoder")
    assert "write 'from .helper import ...', with the dot" in caught.value.fix
    toy(("from helper", "from .helper"), file="models.py")

    build_module(load_pipeline(root), "encoder")


def test_a_factory_of_something_else_is_refused(toy: ToyFactory) -> None:
    toy()
    root = toy(("return Encoder(width)", "return width"), file="models.py")

    with pytest.raises(ModelError, match="returned int"):
        build_module(load_pipeline(root), "encoder")


@pytest.mark.parametrize("name", ["latent_to_mel", "mel_projection"])
def test_a_submodule_is_taken_by_either_name(toy: ToyFactory, name: str) -> None:
    old = 'factory = "models.py:decoder"'
    new = 'factory = "models.py:trained"\nsubmodule = ["latent_to_mel", "mel_projection"]'
    root = toy((old, new))
    with (root / "models.py").open("a") as models:
        models.write(TRAINED.format(name=name))

    module = build_module(load_pipeline(root), "decoder")

    assert type(module).__name__ == "Choice"


def test_a_submodule_of_no_such_name_lists_the_models_own(toy: ToyFactory) -> None:
    root = toy((FACTORY, f'{FACTORY}\nsubmodule = ["latent_to_mel", "mel_projection"]'))

    with pytest.raises(ModelError, match="its submodules are: layer"):
        build_module(load_pipeline(root), "encoder")


def _weights(scale: float, prefix: str = "") -> dict[str, torch.Tensor]:
    return {
        f"{prefix}layer.weight": torch.full((6, 4), scale),
        f"{prefix}layer.bias": torch.zeros(6),
    }


def _save(weights: dict[str, torch.Tensor], path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save({"state_dict": weights}, path)


@pytest.mark.parametrize("file", ["encoder.safetensors", "encoder.pt"])
def test_weights_are_loaded(toy: ToyFactory, file: str) -> None:
    root = toy((FACTORY, f'{FACTORY}\nweights = "{file}"'))
    _save(_weights(3.0), root / file)

    module = build_module(load_pipeline(root), "encoder")

    assert torch.equal(module.state_dict()["layer.weight"], torch.full((6, 4), 3.0))


def test_weights_of_another_model_are_refused_by_name(toy: ToyFactory) -> None:
    root = toy((FACTORY, f'{FACTORY}\nweights = "encoder.safetensors"'))
    _save(_weights(3.0, prefix="flow."), root / "encoder.safetensors")

    with pytest.raises(ModelError, match=r"first missing: layer.bias, first unknown: flow.layer"):
        build_module(load_pipeline(root), "encoder")


def test_weights_of_another_size_are_refused(toy: ToyFactory) -> None:
    root = toy((FACTORY, f'{FACTORY}\nweights = "encoder.safetensors"'))
    _save({k: v[:3] for k, v in _weights(3.0).items()}, root / "encoder.safetensors")

    with pytest.raises(ModelError, match="do not fit the model"):
        build_module(load_pipeline(root), "encoder")


def test_a_checkpoint_that_runs_code_is_refused(toy: ToyFactory) -> None:
    root = toy((FACTORY, f'{FACTORY}\nweights = "encoder.pt"'))
    torch.save({"state_dict": torch.nn.Linear(1, 1)}, root / "encoder.pt")

    with pytest.raises(ModelError, match="cannot be read"):
        build_module(load_pipeline(root), "encoder")


OUTPUT = 'outputs.features = { dtype = "float32", shape = ["batch", "frames", 6] }'
NEXT_INPUT = 'inputs.features = { dtype = "float32", shape = ["batch", "frames", 6],'
ONE_MORE = 'outputs.more = { dtype = "float32", shape = [] }'


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            [(text, text.replace("6", "5")) for text in (OUTPUT, NEXT_INPUT)],
            r"gives float32 \[1, 8, 6\], declared is float32 \[1, 8, 5\]",
        ),
        (
            [(text, text.replace("float32", "float16")) for text in (OUTPUT, NEXT_INPUT)],
            "gives float32 .* declared is float16",
        ),
        ([(OUTPUT, f"{OUTPUT}\n{ONE_MORE}")], "gives 1 outputs, 2 are declared"),
    ],
)
def test_a_forward_that_gives_something_else_is_refused(
    toy: ToyFactory, edits: list[tuple[str, str]], message: str
) -> None:
    pipeline = load_pipeline(toy(*edits))

    with pytest.raises(ModelError, match=message):
        check_module(
            pipeline, "encoder", build_module(pipeline, "encoder"), pipeline.profile("opt")
        )


def test_a_forward_that_raises_is_told_with_what_it_was_given(toy: ToyFactory) -> None:
    toy()
    root = toy(("unflatten(1, (-1, 4))", "unflatten(1, (-1, 5))"), file="models.py")
    pipeline = load_pipeline(root)

    with pytest.raises(ModelError, match=r"given signal \[1, 32\], gain \[\]"):
        check_module(
            pipeline, "encoder", build_module(pipeline, "encoder"), pipeline.profile("opt")
        )
