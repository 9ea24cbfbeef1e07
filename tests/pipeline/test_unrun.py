"""What is wrong with a factory is told without running its file, and so without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.artifacts.cache import Cache
from harness.artifacts.export import export_pipeline
from harness.artifacts.worker import WorkerPool
from harness.errors import DeclarationError, HarnessError, ModelError
from harness.pipeline.loader import load_pipeline
from harness.pipeline.unrun import check_factories

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import ToyFactory

DEFINED = "def encoder(width: int) -> torch.nn.Module:\n    return Encoder(width)\n"


@pytest.mark.parametrize(
    "code",
    [
        DEFINED,
        "encoder = Encoder\n",
        "from elsewhere import encoder\n",
        "from elsewhere import *\n",
        "globals()['encoder'] = Encoder\n",
        "def __getattr__(name):\n    return Encoder\n",
        "if torch:\n    def encoder(width):\n        return Encoder(width)\n",
        "def encoder(other):\n    pass\n\n\ndef encoder(width):\n    return Encoder(width)\n",
        "@torch.no_grad\ndef encoder(other):\n    return Encoder(6)\n",
        "def encoder(**sizes):\n    return Encoder(**sizes)\n",
        "def encoder(*sizes, width, depth=1):\n    return Encoder(width)\n",
        "class encoder(Encoder):\n    pass\n",
    ],
)
def test_what_may_be_right_passes(toy: ToyFactory, code: str) -> None:
    toy()

    check_factories(load_pipeline(toy((DEFINED, code), file="models.py")))


@pytest.mark.parametrize(
    ("code", "error", "where", "message"),
    [
        (
            "def encode(width):\n    pass\n",
            DeclarationError,
            "encoder.factory",
            "it has: Encoder, ",
        ),
        ("def encoder(widht):\n    pass\n", DeclarationError, "encoder.arguments", "are: widht"),
        ("def encoder(width, depth):\n    pass\n", DeclarationError, "arguments", "'depth'"),
        ("def encoder(width, /):\n    pass\n", DeclarationError, "arguments", "are: width"),
        ("def encoder(*, depth):\n    pass\n", DeclarationError, "arguments", "are: depth"),
        ("def encoder(width:\n", ModelError, "models.py", "cannot be imported: SyntaxError"),
        ("\0", ModelError, "models.py", "cannot be imported: "),
    ],
)
def test_what_is_wrong_is_told(
    toy: ToyFactory, code: str, error: type[HarnessError], where: str, message: str
) -> None:
    toy()
    pipeline = load_pipeline(toy((DEFINED, code), file="models.py"))

    with pytest.raises(error) as caught:
        check_factories(pipeline)

    assert where in caught.value.where
    assert message in str(caught.value)


def test_an_export_is_refused_before_any_process_is_started(
    toy: ToyFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load_pipeline(toy(("arguments = { width = 6 }", "arguments = { widht = 6 }")))
    monkeypatch.setattr(WorkerPool, "run", lambda *_, **__: pytest.fail("a process was started"))

    with WorkerPool() as pool, pytest.raises(DeclarationError, match="its parameters are: width"):
        export_pipeline(pipeline, Cache(tmp_path / "cache"), pool)


def test_a_plan_tells_it_too(
    toy: ToyFactory, harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    root = toy(("arguments = { width = 6 }", "arguments = { widht = 6 }"))

    code, _, err = harness("run", root, "--plan", "--cache", tmp_path, "--out", tmp_path)

    assert code == 2
    assert "components.encoder.arguments: " in err
