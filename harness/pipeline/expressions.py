"""Integer expressions of dimension symbols, such as ``320 * frames``."""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPERATORS: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def symbols_of(expression: str) -> frozenset[str]:
    """The names that ``expression`` uses.

    Raises:
        ValueError: it is not an expression of integers, names and ``+ - * //``.
    """
    tree = _parse(expression)
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def evaluate(expression: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The value of ``expression`` with its names taken from ``values``.

    The values may be integers, or symbolic dimensions that overload the operators.

    Raises:
        ValueError: it is not an expression of integers, names and ``+ - * //``, is too long, or
            divides by zero.
        KeyError: it uses a name that ``values`` lacks.
    """
    try:
        return _evaluate(_parse(expression), values)
    except ZeroDivisionError as error:
        message = f"{expression!r} divides by zero"
        raise ValueError(message) from error
    except RecursionError as error:
        message = f"{expression!r} is too long"
        raise ValueError(message) from error


def _parse(expression: str) -> ast.expr:
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        message = f"{expression!r} is not an expression"
        raise ValueError(message) from error
    for node in ast.walk(tree):
        if not _is_allowed(node):
            message = f"{expression!r} may hold only whole numbers, dimension names and + - * //"
            raise ValueError(message)
    return tree


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    return isinstance(node, (ast.BinOp, ast.Name, ast.Load, *_OPERATORS))


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if isinstance(node, ast.BinOp):
        apply = _OPERATORS[type(node.op)]
        return apply(_evaluate(node.left, values), _evaluate(node.right, values))
    if isinstance(node, ast.Name):
        return values[node.id]
    return node.value  # type: ignore[attr-defined]  # _parse lets nothing else through
