"""Small changes of Python code, one at a time: each is a mutant."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one change.

    Attributes:
        file: the module's path within its package.
        function: where the change is: `Class.method`, or a function's name; empty at the top.
        before: the lines that are changed, as they are, without what they are indented by.
        after: what they become.
        line: where that is.
        source: the whole module, changed.
    """

    file: str
    function: str
    before: str
    after: str
    line: int
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What an explanation names it by: it survives changes elsewhere."""
        return self.file, self.function, self.before, self.after


_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "bisect_left": "bisect_right",
    "bisect_right": "bisect_left",
    "OLDEST_FIRST": "NEWEST_FIRST",
    "NEWEST_FIRST": "OLDEST_FIRST",
    "append": "remove",
    "add": "discard",
}
"""Names that somebody could take for each other."""


def mutants_of(file: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    octets = source.encode()
    seen = {source}
    for function, node, text in _changes(ast.parse(source), ""):
        first, last = starts[node.lineno - 1], starts[node.end_lineno]
        begin, end = first + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        changed = octets[:begin] + text.encode() + octets[end:]
        mutated = changed.decode()
        if mutated in seen:
            continue
        seen.add(mutated)
        before, after = octets[first:last], octets[first:begin] + text.encode() + octets[end:last]
        yield Mutant(file, function, _flat(before), _flat(after), node.lineno, mutated)


def _flat(lines: bytes) -> str:
    return " ".join(lines.decode().split())


@dataclass(frozen=True, slots=True)
class _Span:
    """A place in the source that is no node of its own."""

    lineno: int
    col_offset: int
    end_lineno: int
    end_col_offset: int


def _changes(node: ast.AST, function: str) -> Iterator[tuple[str, _Span, str]]:
    """Where, and by which text."""
    for place, text in _of_node(node):
        if "\n" not in text:
            yield function, _span(place), text
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield from _changes(child, f"{function}.{child.name}".lstrip("."))
            elif isinstance(child, ast.AST) and not _says_nothing(child):
                yield from _changes(child, function)


def _span(node: ast.AST | _Span) -> _Span:
    if isinstance(node, _Span):
        return node
    return _Span(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _says_nothing(node: ast.AST) -> bool:
    """Whether a node is a docstring, an import, or a type; or text with values, whose places Python does not tell."""
    return (
        isinstance(node, ast.JoinedStr)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias")
        or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript))
    )


def _with(node: ast.AST, **changes: object) -> str:
    """The text of an expression, with some of its parts changed."""
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    text = ast.unparse(changed)
    return f"({text})" if isinstance(node, ast.BoolOp | ast.Compare | ast.BinOp | ast.UnaryOp | ast.IfExp) else text


def _of_node(node: ast.AST) -> Iterator[tuple[ast.AST | _Span, str]]:  # noqa: C901, PLR0912, PLR0915  # one case a kind of node
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                for other in _COMPARISONS[type(operator)]:
                    yield node, _with(node, ops=[*node.ops[:at], other(), *node.ops[at + 1 :]])
        case ast.BoolOp():
            yield node, _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for at in range(len(node.values)):
                rest = [*node.values[:at], *node.values[at + 1 :]]
                yield node, _with(node, values=rest) if len(rest) > 1 else f"({ast.unparse(rest[0])})"
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node, f"({ast.unparse(node.operand)})"
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield node, _with(node, op=_OPERATORS[type(node.op)]())
            yield node, f"({ast.unparse(node.left)})"
        case ast.AugAssign() if type(node.op) in _OPERATORS:
            yield node, ast.unparse(ast.AugAssign(node.target, _OPERATORS[type(node.op)](), node.value))
            yield node, "pass"
        case ast.IfExp():
            yield node.test, "True"
            yield node.test, "False"
        case ast.If() | ast.While():
            yield node.test, "True"
            yield node.test, "False"
        case ast.comprehension():
            for condition in node.ifs:
                yield condition, "True"
                yield condition, "False"
        case ast.Constant():
            yield from ((node, text) for text in _of_constant(node.value))
        case ast.Name() | ast.Attribute():
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in _NAMES:
                yield node, ast.unparse(node).removesuffix(name) + _NAMES[name]
        case ast.Call():
            yield from _of_call(node)
        case ast.Slice():
            for part in ("lower", "upper"):
                if getattr(node, part) is not None:
                    yield node, _with(node, **{part: None})
        case ast.Expr():
            yield node, "pass"
        case ast.Assign() | ast.AnnAssign() if node.value is not None:
            if not (isinstance(node.value, ast.Constant) and node.value.value is None):
                yield node.value, "None"
        case ast.Delete() | ast.Raise() | ast.Continue() | ast.Break():
            yield node, "pass"
        case ast.Return() if node.value is not None and ast.unparse(node.value) != "None":
            yield node, "return None"
        case ast.Return():
            yield node, "pass"
        case ast.With() if all(item.optional_vars is None for item in node.items):
            last = node.items[-1].context_expr
            yield _Span(node.lineno, node.col_offset, last.end_lineno or 0, last.end_col_offset or 0), "if True"
        case ast.For():
            yield node.iter, f"list({ast.unparse(node.iter)})[1:]"
        case ast.match_case() if not isinstance(node.pattern, ast.MatchAs):
            yield node.pattern, "_ if False"
        case _:
            return


def _of_constant(value: object) -> Iterator[str]:
    match value:
        case bool():
            yield str(not value)
        case int():
            yield str(value + 1)
            if value:
                yield str(value - 1)
        case str():
            yield repr(value + "x")
        case bytes():
            yield repr(value + b"x")
        case _:
            return


def _of_call(node: ast.Call) -> Iterator[tuple[ast.AST, str]]:
    if len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp):
        yield node, f"({ast.unparse(node.args[0])})"
    for at in range(len(node.args)):
        yield node, _with(node, args=[*node.args[:at], *node.args[at + 1 :]])
    for at in range(len(node.keywords)):
        yield node, _with(node, keywords=[*node.keywords[:at], *node.keywords[at + 1 :]])
