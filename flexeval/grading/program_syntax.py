"""What Python's parser says about a program that may be incomplete, in parts, or mixed with prose. Nothing is run."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
_FILTERS = threading.Lock()

_MOST_LINES = 1000
_MOST_STATEMENTS = 1000
"""Lines of a program, and statements of its other parts: they keep the search short for any text."""
_IDLE = (
    ast.Expr | ast.Name | ast.expr_context | ast.List | ast.Tuple | ast.Set | ast.Attribute | ast.Constant | ast.BinOp
    | ast.UnaryOp | ast.BoolOp | ast.Compare | ast.operator | ast.unaryop | ast.boolop | ast.cmpop
)  # fmt: skip


def valid_prefix(source: str) -> str:
    """The longest beginning, in whole lines, that is valid Python."""
    lines = source.split("\n")[:_MOST_LINES]
    while lines:
        error_line = _syntax_error_line("\n".join(lines))
        if error_line is None:
            return "\n".join(lines)
        lines = lines[: min(error_line, len(lines)) - 1]
    return ""


def _syntax_error_line(source: str) -> int | None:
    """The number of the line that is not Python; None when all are."""
    try:
        _parse(source)
    except SyntaxError as error:
        return max(error.lineno or 1, 1)
    return None


def defines(code: str, name: str) -> bool:
    """Whether the program defines a global of this name, as far as an incomplete program shows."""
    try:
        tree = _parse(textwrap.dedent(code))
    except SyntaxError:
        return re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\b", textwrap.dedent(code), re.MULTILINE) is not None
    return name in set(_global_names(tree))


def has_body(program: str, entry_point: str) -> bool:
    """Whether the entry point does more than carry a docstring, and all of it could run."""
    try:
        tree = _parse(program)
        # A return that slipped out of its function is a valid tree, but no valid program.
        _quietly(lambda: compile(tree, "<program>", "exec", dont_inherit=True))
    except SyntaxError:
        return False
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    body = [statement for function in functions if function.name == entry_point for statement in function.body]
    # Prose of one word is a valid statement, too.
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant | ast.Name))
        for statement in body
    )


def without_idle_lines(code: str) -> str:
    """A program without the top-level lines that do nothing useful: `[DONE]`, `Output`, `Note: x`."""
    statements = _statements(code)
    idle = [node for node in statements if _is_idle(node)]
    lines = code.split("\n")
    busy = {n for node in statements if node not in idle for n in range(node.lineno, (node.end_lineno or 0) + 1)}
    cut = {n for node in idle for n in range(node.lineno, (node.end_lineno or 0) + 1)} - busy
    return "\n".join(line for n, line in enumerate(lines, start=1) if n not in cut) if cut else code


def _is_idle(node: ast.stmt) -> bool:
    """Whether a statement is an expression of names, or a capitalised word with a colon and no value."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Expr():
            return all(isinstance(part, _IDLE) for part in ast.walk(node))
        case ast.AnnAssign(target=ast.Name(id=name), value=None):
            return name[:1].isupper()
    return False


def with_what_it_uses(code: str, others: list[str], prompt: str) -> str:
    """A program with the imports, helpers and constants before it that it uses and only other blocks define."""
    try:
        missing = _free_names(_parse(code)) - _names_of(prompt)
    except SyntaxError:
        return code
    statements = [(source, node) for source in others for node in _statements(textwrap.dedent(source))]
    statements = statements[-_MOST_STATEMENTS:]
    bound = [_bound_names(node) for _, node in statements]
    # The last definition of a name is the one that counts; what a star brings along is not known.
    makers = {name: n for n, names in enumerate(bound) for name in names}
    taken = {n for n, names in enumerate(bound) if "*" in names} if missing else set()
    while new := {makers[name] for name in missing if name in makers} - taken:
        taken |= new
        missing = {name for n in new for name in _free_names(ast.Module(body=[statements[n][1]], type_ignores=[]))}
    return "\n".join([*(_source_of(*statements[n]) for n in sorted(taken)), code])


def _source_of(source: str, node: ast.stmt) -> str:
    """The lines of a statement, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])


def _statements(source: str) -> list[ast.stmt]:
    """The statements of a block; none when it is not valid Python."""
    try:
        return _parse(source).body
    except SyntaxError:
        return []


def _names_of(source: str) -> set[str]:
    """The globals that a program defines, as far as it is valid Python."""
    return {name for node in _statements(valid_prefix(source)) for name in _bound_names(node)}


def _global_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _bound_names(node: ast.stmt) -> set[str]:
    """The globals that a statement defines."""
    match node:
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.If() | ast.Try():
            return {
                name
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt)
                for name in _bound_names(child)
            }
    return set(_global_names(ast.Module(body=[node], type_ignores=[])))


def _free_names(tree: ast.Module) -> set[str]:
    """The names that a program reads but never defines, builtins aside."""
    read, made = set(), set(dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name):
                made.add(name)
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                made.add(name)
            case ast.stmt():
                made |= _bound_names(node)
    return read - made


def _parse(source: str) -> ast.Module:
    """The syntax tree. Whatever cannot be one is a SyntaxError."""
    return _quietly(lambda: ast.parse(source))


def _quietly(step: Callable[[], T]) -> T:
    """Parse or compile: no warnings about doubtful code, and no error but SyntaxError."""
    # Filters of warnings belong to the process, while programs are graded in several threads.
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return step()
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(f"cannot be parsed: {error}") from None
