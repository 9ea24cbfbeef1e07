"""Find a pipeline's folder and read ``pipeline.toml``."""

from __future__ import annotations

import difflib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from harness.errors import DeclarationError
from harness.pipeline.declaration import SCHEMA_VERSION, Component, Declaration
from harness.pipeline.pipeline import MANIFEST_NAME, Pipeline, wire

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

logger = logging.getLogger("harness.pipeline")

_PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the fixtures lie inside the package; in a checkout they lie beside it.
_FIXTURE_FOLDERS = (_PACKAGE / "_fixtures", _PACKAGE.parent / "fixtures")


def shipped_pipelines() -> dict[str, Path]:
    """The folders of the pipelines that come with the harness, by name."""
    for folder in _FIXTURE_FOLDERS:
        if folder.is_dir():
            return {
                path.parent.name: path.parent for path in sorted(folder.glob("*/pipeline.toml"))
            }
    return {}


def load_pipeline(name_or_path: str | Path) -> Pipeline:
    """Load and check a pipeline, by the name of a shipped one or by its folder.

    A text that is the name of a shipped one always means that; write ``./NAME``, or give a path,
    for a folder of the same name.

    Raises:
        DeclarationError: no such pipeline, or its declaration is wrong; the message names the
            file, the key and the fix.
    """
    root = _find(name_or_path)
    manifest = root / MANIFEST_NAME
    try:
        document = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        what = f"is not valid TOML: {error}"
        raise DeclarationError(what, where=str(manifest), fix="mend the syntax") from error
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise DeclarationError(what, where=str(manifest), fix="check its permissions") from error
    try:
        declaration = Declaration.model_validate(document)
    except ValidationError as error:
        raise _explain(error, manifest) from error
    pipeline = wire(declaration, root)
    _check_files(pipeline)
    return pipeline


def _find(name_or_path: str | Path) -> Path:
    shipped = shipped_pipelines()
    path = Path(name_or_path)
    # What a bare name means must not depend on where it is said.
    if isinstance(name_or_path, str) and name_or_path in shipped:
        root = shipped[name_or_path]
        if (path / MANIFEST_NAME).is_file() and path.resolve() != root.resolve():
            told = "is the shipped pipeline; for the folder of that name here, write"
            logger.warning("%s %s ./%s", name_or_path, told, name_or_path)
        return root
    if path.name == MANIFEST_NAME and path.is_file():
        path = path.parent
    if path.is_dir() and (path / MANIFEST_NAME).is_file():
        return path.resolve()
    what = f"has no {MANIFEST_NAME}" if path.is_dir() else "is no pipeline"
    fix = f"give a folder that holds a {MANIFEST_NAME}, or one of: {', '.join(shipped) or 'none'}"
    raise DeclarationError(what, where=str(name_or_path), fix=fix)


def _check_files(pipeline: Pipeline) -> None:
    declaration = pipeline.declaration
    generators = declaration.generators.model_dump(exclude_none=True)
    named: dict[str, str] = {f"generators.{name}": code for name, code in generators.items()}
    for name, component in pipeline.components.items():
        for pattern in component.sources:
            if not pattern or Path(pattern).is_absolute():
                what, fix = f"{pattern!r} is no pattern of files", "give one relative to the folder"
                where = f"{pipeline.manifest}: components.{name}.sources"
                raise DeclarationError(what, where=where, fix=fix)
        for key in ("factory", "onnx", "weights"):
            reference = getattr(component, key)
            if reference is not None:
                named[f"components.{name}.{key}"] = reference
    for key, reference in named.items():
        relative = Path(reference.split(":")[0])
        is_code = ":" in reference
        if is_code and (relative.is_absolute() or ".." in relative.parts):
            what, fix = (
                f"{relative} lies outside the pipeline's folder",
                "import it from a file inside",
            )
            raise DeclarationError(what, where=f"{pipeline.manifest}: {key}", fix=fix)
        file = pipeline.root / relative
        if not file.is_file():
            what = f"there is no file {file}"
            raise DeclarationError(
                what, where=f"{pipeline.manifest}: {key}", fix="mend the path or add the file"
            )


def _explain(error: ValidationError, manifest: Path) -> DeclarationError:
    # A dimension is a table or an expression; what is no table is told for both.
    problems = [p for p in error.errors(include_url=False) if p["loc"][-1] != "str"]
    problems = problems or error.errors(include_url=False)
    # An unknown key is most often a misspelt one, and so the reason why another is missing.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    location = [part for part in first["loc"] if not _is_union_tag(part)]
    where = f"{manifest}: {'.'.join(str(part) for part in location)}"
    what, fix = _describe(first, location)
    if len(problems) > 1:
        fix = f"{fix} (problems in this file: {len(problems)})"
    return DeclarationError(what, where=where, fix=fix)


def _is_union_tag(part: str | int) -> bool:
    # pydantic adds the member of a union that it tried, such as 'Dimension' or 'str'.
    return part in {"Dimension", "str", "int", "float", "bool"} or (
        isinstance(part, str) and part.startswith(("constrained-", "function-after"))
    )


def _describe(problem: ErrorDetails, location: list[Any]) -> tuple[str, str]:
    kind = problem["type"]
    if kind == "extra_forbidden":
        return "unknown key", _suggest(location)
    if kind == "missing":
        return "is missing", "add it"
    if kind == "value_error":
        what, _, fix = str(problem["ctx"]["error"]).partition("; ")
        return what, fix or "mend it"
    return _describe_value(problem, location)


def _describe_value(problem: ErrorDetails, location: list[Any]) -> tuple[str, str]:
    kind, value = problem["type"], problem["input"]
    if kind == "string_pattern_mismatch":
        return f"{value!r} does not have the right form", _forms(location)
    if location == ["schema_version"] and kind == "literal_error":
        what = f"is {value!r}, and this harness reads {SCHEMA_VERSION}"
        fix = f"write schema_version = {SCHEMA_VERSION}, or use the harness that it was written for"
        return what, fix
    if problem["loc"][-1] == "bool" and kind == "bool_type":
        # The first of a union of scalars, none of which it is.
        allowed = "a number, true or false" + (", or a text" if "arguments" in location else "")
        return f"{value!r} is none of these: {allowed}", "give one of them"
    return problem["msg"], f"it is {value!r} now"


def _forms(location: list[Any]) -> str:
    forms = {
        "factory": "write 'file.py:function'",
        "synthetic": "write 'file.py:function'",
        "recording": "write 'file.py:function'",
        "calibration": "write 'file.py:function'",
        "from": "write 'component.output' or the name of an input",
        "output": "write 'component.output'",
    }
    return forms.get(str(location[-1]), "use letters, digits and underscores")


def _suggest(location: list[Any]) -> str:
    model = _model_at(location[:-1])
    if model is None:
        return "remove it"
    allowed = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(allowed)}"


def _model_at(location: list[Any]) -> type[BaseModel] | None:
    from harness.pipeline import declaration as d  # noqa: PLC0415

    by_path: dict[tuple[str, ...], type[BaseModel]] = {
        (): d.Declaration,
        ("generators",): d.Generators,
        ("audio",): d.Audio,
        ("budget",): d.Budget,
        ("dimensions", "*"): d.Dimension,
        ("inputs", "*"): d.Tensor,
        ("components", "*"): Component,
        ("components", "*", "inputs", "*"): d.InputTensor,
        ("components", "*", "outputs", "*"): d.Tensor,
    }
    pattern = tuple(str(part) if index % 2 == 0 else "*" for index, part in enumerate(location))
    return by_path.get(pattern)
