"""What a pipeline's Python files say before they are run: syntax, factories, parameters.

To run them takes seconds, most often: they import PyTorch.
"""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Final

from harness.errors import DeclarationError, ModelError
from harness.pipeline.modules import check_arguments

if TYPE_CHECKING:
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline

# With one of these a file can bind a name that it does not spell out.
_HIDDEN_BINDINGS: Final = frozenset({"exec", "globals", "setattr", "vars", "__getattr__", "*"})
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def check_factories(pipeline: Pipeline) -> None:
    """Check that each factory is there and takes its arguments, as far as its file tells unrun.

    Raises:
        ModelError: a file is no Python.
        DeclarationError: a file binds no such name, or the function takes no such argument.
    """
    trees: dict[Path, ast.Module] = {}
    for name, component in pipeline.components.items():
        if component.factory is None:
            continue
        file_name, _, factory = component.factory.partition(":")
        path = pipeline.root / file_name
        if path not in trees:
            trees[path] = _parse(path)
        tree = trees[path]
        where = f"{pipeline.manifest}: components.{name}"
        bound = _bound_names(tree)
        if factory not in bound and not _hides_bindings(tree):
            own = [d.name for d in tree.body if isinstance(d, (*_FUNCTIONS, ast.ClassDef))]
            what = f"{path.name} has no function {factory!r}"
            fix = f"it has: {', '.join(n for n in own if not n.startswith('_')) or 'none'}"
            raise DeclarationError(what, where=f"{where}.factory", fix=fix)
        found = [d for d in tree.body if isinstance(d, ast.FunctionDef) and d.name == factory]
        if len(found) == bound.count(factory) == 1 and not found[0].decorator_list:
            check_arguments(_signature(found[0]), component, f"{where}.arguments")


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        what = f"cannot be imported: {type(error).__name__}: {error}"
        raise ModelError(what, where=str(path), fix="mend the file") from error


def _bound_names(tree: ast.Module) -> list[str]:
    """Every name that is bound anywhere in the file, once for each time."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.alias):
            names.append((node.asname or node.name).partition(".")[0])
    return names


def _hides_bindings(tree: ast.Module) -> bool:
    # A star import binds "*".
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return not _HIDDEN_BINDINGS.isdisjoint(used.union(_bound_names(tree)))


def _signature(function: ast.FunctionDef) -> inspect.Signature:
    """The parameters of ``function``; what they default to does not matter here."""
    given = function.args
    kind = inspect.Parameter
    parameters = []
    by_position = [*given.posonlyargs, *given.args]
    first_default = len(by_position) - len(given.defaults)
    for index, argument in enumerate(by_position):
        of = kind.POSITIONAL_ONLY if index < len(given.posonlyargs) else kind.POSITIONAL_OR_KEYWORD
        default = kind.empty if index < first_default else None
        parameters.append(kind(argument.arg, of, default=default))
    if given.vararg is not None:
        parameters.append(kind(given.vararg.arg, kind.VAR_POSITIONAL))
    for argument, value in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        default = kind.empty if value is None else None
        parameters.append(kind(argument.arg, kind.KEYWORD_ONLY, default=default))
    if given.kwarg is not None:
        parameters.append(kind(given.kwarg.arg, kind.VAR_KEYWORD))
    return inspect.Signature(parameters)
