"""What a module of workflows imports without saying that it is to be passed through, by its source: nothing is run again."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name
from types import ModuleType


def open_imports(module: ModuleType) -> list[str]:
    """The modules that it imports when it is loaded, outside of `imports_passed_through()`; none where there is no source."""
    try:
        body = ast.parse(inspect.getsource(module)).body
    except (OSError, TypeError, SyntaxError):
        return []
    return list(dict.fromkeys(_names(body, str(module.__package__ or ""))))


_WITH_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)


def _names(body: Iterable[ast.AST], package: str) -> Iterator[str]:
    for each in body:
        match each:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=name, level=level):
                yield resolve_name("." * level + (name or ""), package) if level else str(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                continue                                         # runs later, if at all
            case ast.With(items=items) if any(_says(item.context_expr, "imports_passed_through") for item in items):
                continue
            case ast.If(test=test, orelse=otherwise) if _says(test, "TYPE_CHECKING"):
                yield from _names(otherwise, package)
            case _:
                below = ast.iter_child_nodes(each)
                yield from _names((part for part in below if isinstance(part, _WITH_STATEMENTS)), package)


def _says(expression: ast.expr, word: str) -> bool:
    if isinstance(expression, ast.Call):
        expression = expression.func
    return (isinstance(expression, ast.Attribute) and expression.attr == word) or (
        isinstance(expression, ast.Name) and expression.id == word
    )
