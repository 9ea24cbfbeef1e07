"""Load a function of a pipeline's Python file."""

from __future__ import annotations

import importlib
import sys
import types
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from typing import TYPE_CHECKING, Any, Final

from harness.errors import DeclarationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline

_PREFIX: Final = "harness_pipeline_"


class _FromSource(SourceFileLoader):
    """Compiles a file each time, and leaves nothing beside it.

    Python takes the bytecode of a file for current by its size and the second it was written in: a
    file that was changed within that second to as many bytes would be measured as it was before.
    """

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(MetaPathFinder):
    """Finds the modules of pipelines, and no others."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        # In Python's order: what was compiled of a source is taken in its place.
        loaders = (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES)
        specs = (FileFinder(folder, *loaders).find_spec(fullname, target) for folder in path or ())
        # A folder without __init__.py has no loader, and is left to Python.
        return next((spec for spec in specs if spec is not None and spec.loader is not None), None)


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

    name = f"{_PREFIX}{hash_text(str(root))[:12]}"
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(root)]
        sys.modules[name] = package
    return name
