"""Syntax trees as code: statements that are as in their file keep its lines and comments, others are written anew.

The layout is that of ruff and black at `LINE_LENGTH`, as far as the code needs it.
"""

from __future__ import annotations

import ast
import inspect
import re

from nas.models.standalone.syntax.expressions import INDENT, LINE_LENGTH
from nas.models.standalone.syntax.source_files import SourceFile
from nas.models.standalone.syntax.spelling import REMARKS_FOR_TOOLS, spelled

REFERENCES = re.compile(r"[;,]? see `\w+Spec`| \(search_space/[^)]*\)")
"""In docstrings: to what the file does not have."""


def print_function(function: ast.FunctionDef, source: SourceFile, depth: int = 0) -> list[str]:
    """The lines of a function or method at `depth` indentations."""
    return _Printer(source).function(function, depth)


def print_statement(statement: ast.stmt, source: SourceFile, depth: int = 0) -> list[str]:
    """The lines of `statement`, with the comments before it, at `depth` indentations."""
    return _Printer(source).statement(statement, depth)


def docstring_lines(text: str, depth: int) -> list[str]:
    """A docstring with the content `text`, as `ast.get_docstring` returns it."""
    margin = INDENT * depth
    lines = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').splitlines() or [""]
    if lines[-1].endswith('"'):
        lines[-1] += " "
    body = [f'{margin}"""{lines[0]}', *(f"{margin}{line}".rstrip() for line in lines[1:])]
    if len(body) > 1:
        return [*body, f'{margin}"""']
    return [f'{body[0]}"""']


def self_contained(docstring: str) -> str:
    """`docstring` without references to what the file does not have."""
    return REFERENCES.sub("", docstring)


class _Printer:
    def __init__(self, source: SourceFile) -> None:
        self.source = source

    def function(self, node: ast.FunctionDef, depth: int) -> list[str]:
        margin = INDENT * depth
        lines = [f"{margin}@{self.code(decorator)}" for decorator in node.decorator_list]
        lines += self.signature(node, depth)
        return [*lines, *self.block(node.body, depth + 1)]

    def signature(self, node: ast.FunctionDef, depth: int) -> list[str]:
        margin = INDENT * depth
        returns = f" -> {self.code(node.returns)}" if node.returns is not None else ""
        arguments = self.parameters(node.args)
        line = f"{margin}def {node.name}({', '.join(arguments)}){returns}:"
        if len(line) <= LINE_LENGTH:
            return [line]
        inside = f"{margin}{INDENT}{', '.join(arguments)}"
        inner = [inside] if len(inside) <= LINE_LENGTH else [f"{margin}{INDENT}{argument}," for argument in arguments]
        return [f"{margin}def {node.name}(", *inner, f"{margin}){returns}:"]

    def parameters(self, arguments: ast.arguments) -> list[str]:
        """The code of each parameter, with the marks `/` and `*`."""
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
        parts = []
        for index, (parameter, default) in enumerate(zip(positional, defaults, strict=True)):
            parts.append(self.parameter(parameter, default))
            if index + 1 == len(arguments.posonlyargs):
                parts.append("/")
        if arguments.vararg is not None:
            parts.append("*" + self.parameter(arguments.vararg, None))
        elif arguments.kwonlyargs:
            parts.append("*")
        parts += [self.parameter(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
        if arguments.kwarg is not None:
            parts.append("**" + self.parameter(arguments.kwarg, None))
        return parts

    def parameter(self, parameter: ast.arg, default: ast.expr | None) -> str:
        if parameter.annotation is None:
            return parameter.arg + ("" if default is None else f"={self.code(default)}")
        code = f"{parameter.arg}: {self.code(parameter.annotation)}"
        return code if default is None else f"{code} = {self.code(default)}"

    def block(self, statements: list[ast.stmt], depth: int) -> list[str]:
        lines: list[str] = []
        for index, statement in enumerate(statements):
            printed = self.statement(statement, depth)
            after_definition = index > 0 and isinstance(statements[index - 1], ast.FunctionDef | ast.ClassDef)
            if index > 0 and (after_definition or self.has_blank_line_before(statement)):
                lines.append("")
            lines += printed
        return lines or [f"{INDENT * depth}pass"]

    def has_blank_line_before(self, statement: ast.stmt) -> bool:
        line = self.first_line(statement) - 1
        return 0 < line <= len(self.source.lines) and not self.source.lines[line - 1].strip()

    def first_line(self, statement: ast.stmt) -> int:
        """The line on which `statement` begins, with its decorators and the comments before it; 0 if it is new."""
        line = getattr(statement, "lineno", 0)
        for decorator in getattr(statement, "decorator_list", []):
            line = min(line, decorator.lineno)
        while line - 1 in self.source.comments:
            line -= 1
        return line

    def statement(self, statement: ast.stmt, depth: int) -> list[str]:
        margin = INDENT * depth
        numbers = range(self.first_line(statement), getattr(statement, "lineno", 0))
        comments = [margin + self.source.comments[number] for number in numbers if number in self.source.comments]
        return [*comments, *self.bare_statement(statement, depth)]

    def bare_statement(self, statement: ast.stmt, depth: int) -> list[str]:
        margin = INDENT * depth
        match statement:
            case ast.Expr(value=ast.Constant(value=str(text))):
                return docstring_lines(self_contained(inspect.cleandoc(text)), depth)
            case ast.FunctionDef():
                return self.function(statement, depth)
            case ast.If():
                return self.conditional(statement, depth, "if")
            case ast.For(target=target, iter=items, body=body, orelse=[]):
                return [f"{margin}for {self.code(target)} in {self.code(items)}:", *self.block(body, depth + 1)]
            case ast.While(test=test, body=body, orelse=[]):
                return [f"{margin}while {self.code(test)}:", *self.block(body, depth + 1)]
            case ast.With(items=contexts, body=body):
                heads = [self.code(item.context_expr) for item in contexts]
                names = [f" as {self.code(item.optional_vars)}" if item.optional_vars else "" for item in contexts]
                joined = ", ".join(head + name for head, name in zip(heads, names, strict=True))
                return [f"{margin}with {joined}:", *self.block(body, depth + 1)]
            case ast.Match(subject=subject, cases=cases):
                lines = [f"{margin}match {self.code(subject)}:"]
                for case in cases:
                    guard = f" if {self.code(case.guard)}" if case.guard is not None else ""
                    lines.append(f"{margin}{INDENT}case {self.code(case.pattern)}{guard}:")
                    lines += self.block(case.body, depth + 2)
                return lines
        if self.source.is_unchanged(statement):
            return self.as_in_file(statement, depth)
        return self.broken(self.code(statement), depth)

    def conditional(self, statement: ast.If, depth: int, word: str) -> list[str]:
        margin = INDENT * depth
        lines = [f"{margin}{word} {self.code(statement.test)}:", *self.block(statement.body, depth + 1)]
        match statement.orelse:
            case []:
                return lines
            case [ast.If() as other]:
                return [*lines, *self.conditional(other, depth, "elif")]
        return [*lines, f"{margin}else:", *self.block(statement.orelse, depth + 1)]

    def as_in_file(self, statement: ast.stmt, depth: int) -> list[str]:
        """The lines of the file, moved to `depth`; in one line if they fit now."""
        lines = self.source.lines[statement.lineno - 1 : statement.end_lineno]
        lines = [REMARKS_FOR_TOOLS.sub("", line) for line in lines]
        moved = len(INDENT) * depth - statement.col_offset
        if len(lines) > 1 and moved < 0:
            line = INDENT * depth + self.code(statement)
            if len(line) <= LINE_LENGTH:
                return [line]
        return [(" " * moved + line if moved >= 0 else line[-moved:]) if line.strip() else "" for line in lines]

    def broken(self, code: str, depth: int) -> list[str]:
        """`code` broken at its last pair of brackets if it is too long."""
        margin = INDENT * depth
        if len(margin) + len(code) <= LINE_LENGTH or code[-1] not in ")]}":
            return [margin + code]
        start = _opening(code)
        if start + 2 >= len(code):
            return [margin + code]
        inside = code[start + 1 : -1]
        lines = [f"{margin}{INDENT}{inside}"]
        if len(lines[0]) > LINE_LENGTH:
            lines = [f"{margin}{INDENT}{part}," for part in _parts(inside)]
        return [margin + code[: start + 1], *lines, margin + code[-1]]

    def code(self, node: ast.AST) -> str:
        """As `spelled`."""
        return spelled(node, self.source)


def _opening(code: str) -> int:
    """The index of the bracket that the last character of `code` closes."""
    level = 0
    for index in range(len(code) - 1, -1, -1):
        level += (code[index] in ")]}") - (code[index] in "([{")
        if level == 0:
            return index
    return 0


def _parts(code: str) -> list[str]:
    """`code` split at its commas outside of brackets."""
    parts, level, start = [], 0, 0
    for index, character in enumerate(code):
        level += (character in "([{") - (character in ")]}")
        if character == "," and level == 0:
            parts.append(code[start:index].strip())
            start = index + 1
    return [*parts, code[start:].strip()]
