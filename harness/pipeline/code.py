"""Load a function of a pipeline's Python file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import TYPE_CHECKING, Any

from harness.errors import DeclarationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline


def load_function(pipeline: Pipeline, reference: str, *, key: str) -> Callable[..., Any]:
    """The function that ``reference`` (``file.py:name``) names in the pipeline's folder.

    The folder is imported as a package of its own, so its files may import each other with
    ``from . import other`` and never collide with modules of the same name elsewhere.

    Raises:
        ModelError: the file cannot be imported.
        DeclarationError: it has no function of that name.
    """
    file_name, _, function_name = reference.partition(":")
    path = pipeline.root / file_name
    module = _import(pipeline.root, path)
    function = getattr(module, function_name, None)
    if not callable(function):
        # Its own: what it imports, such as Tensor, is none of them.
        functions = {n: v for n, v in vars(module).items() if callable(v) and n[0] != "_"}
        own = module.__name__
        public = [n for n, v in functions.items() if getattr(v, "__module__", "") == own]
        what = f"{path.name} has no function {function_name!r}"
        fix = f"it has: {', '.join(public) or 'none'}"
        raise DeclarationError(what, where=f"{pipeline.manifest}: {key}", fix=fix)
    return function  # type: ignore[no-any-return]


def _import(root: Path, path: Path) -> types.ModuleType:
    package_name = _package_for(root)
    relative = path.relative_to(root).with_suffix("")
    name = ".".join((package_name, *relative.parts))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        what = f"cannot be imported: no module named {error.name!r}"
        fix = f"install {error.name}"
        beside = str(error.name).partition(".")[0]
        if (root / f"{beside}.py").is_file() or (root / beside).is_dir():
            # The folder is no place that Python looks for modules in.
            fix = f"it lies beside it: write 'from .{error.name} import ...', with the dot"
        raise ModelError(what, where=str(path), fix=fix) from error
    except Exception as error:
        what = f"cannot be imported: {type(error).__name__}: {error}"
        raise ModelError(what, where=str(path), fix="mend the file") from error


def _package_for(root: Path) -> str:
    from harness.pipeline.fingerprint import hash_text  # noqa: PLC0415

    name = f"harness_pipeline_{hash_text(str(root))[:12]}"
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(root)]
        sys.modules[name] = package
    return name
