"""Expressions that construct modules, such as `MLP(64, 256)`, and their layout as code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LINE_LENGTH = 120
INDENT = "    "


@dataclass(frozen=True)
class Constant:
    """A number, a string, True, False or None: its code, and the name of its type."""

    code: str
    kind: str


@dataclass(frozen=True)
class Group:
    """A tuple."""

    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Scaled:
    """A parameter of the `__init__` around it, `times` a whole number and divided by another (`over`)."""

    parameter: str
    times: int = 1
    over: int = 1


@dataclass(frozen=True)
class Argument:
    """An argument of a call.

    Args:
        name: of the parameter; empty for one of `*args`.
        value: what is given.
        default: that of the parameter; an equal value is left out of the code.
        positional: whether the code gives it by its position.
    """

    name: str
    value: Expression
    default: Constant | Group | None = None
    positional: bool = True


@dataclass(frozen=True)
class Call:
    """A call of `function`: the name of one of torch's, or a class whose definition is part of the file."""

    function: str | type
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class Repeated:
    """`times` times the same expression among the arguments of a call, each evaluated anew."""

    value: Expression
    times: int


Expression = Constant | Group | Scaled | Call | Repeated
NameOf = Callable[[type], str]


def constant(value: object) -> Constant | Group | None:
    """The expression of a plain value; None if it is none."""
    if value is None or isinstance(value, bool | int):
        return Constant(repr(value), type(value).__name__)
    if isinstance(value, float):
        text = repr(value).replace("e-0", "e-")
        return Constant(text if text[-1].isdigit() else f'float("{text}")', "float")
    if isinstance(value, str):
        return Constant(quoted(value), "str")
    if isinstance(value, tuple):
        items = [constant(item) for item in value]
        return None if None in items else Group(tuple(item for item in items if item is not None))
    return None


def quoted(text: str) -> str:
    """A literal of `text`, in double quotes unless it has more of them than of single ones; escapes for what is not printable."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    escapes = {"\\": "\\\\", mark: "\\" + mark}
    return mark + "".join(escapes.get(c, c if c.isprintable() else repr(c)[1:-1]) for c in text) + mark


def repeated(values: Sequence[Expression]) -> list[Expression]:
    """`values` with equal neighbours as one."""
    runs: list[tuple[Expression, int]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    return [value if times == 1 else Repeated(value, times) for value, times in runs]


def flat(expression: Expression, name_of: NameOf) -> str:
    """The code of `expression` in one line."""
    match expression:
        case Constant(code=code):
            return code
        case Group(items=items):
            parts = [flat(item, name_of) for item in items]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        case Scaled(parameter=parameter, times=times, over=over):
            product = parameter if times == 1 else f"{times} * {parameter}"
            return product if over == 1 else f"{product} // {over}"
        case Repeated(value=value, times=times):
            return f"*({flat(value, name_of)} for _ in range({times}))"
        case Call():
            parts = [head + flat(value, name_of) for head, value in _given(expression)]
            return f"{_function(expression, name_of)}({', '.join(parts)})"


def layout(expression: Expression, name_of: NameOf, depth: int, head: str = "", tail: str = "") -> list[str]:
    """The lines of `head`, `expression` and `tail`, at `depth` indentations, broken where they are too long."""
    margin = INDENT * depth
    line = margin + head + flat(expression, name_of) + tail
    if len(line) <= LINE_LENGTH or isinstance(expression, Constant | Scaled):
        return [line]
    if isinstance(expression, Repeated):
        inner = layout(expression.value, name_of, depth + 1)
        return [f"{margin}{head}*(", *inner, f"{margin}{INDENT}for _ in range({expression.times})", f"{margin}){tail}"]
    given = _given(expression) if isinstance(expression, Call) else [("", item) for item in expression.items]
    if not given:
        return [line]
    function = _function(expression, name_of) if isinstance(expression, Call) else ""
    inside = margin + INDENT + ", ".join(key + flat(value, name_of) for key, value in given)
    if len(inside) <= LINE_LENGTH:
        lines = [inside]
    else:
        lines = [part for key, value in given for part in layout(value, name_of, depth + 1, key, ",")]
    return [f"{margin}{head}{function}(", *lines, f"{margin}){tail}"]


def _function(call: Call, name_of: NameOf) -> str:
    return call.function if isinstance(call.function, str) else name_of(call.function)


def _given(call: Call) -> list[tuple[str, Expression]]:
    """What comes before each argument that the code gives, and its value."""
    given = []
    positional = True
    for argument in call.arguments:
        if argument.default is not None and argument.default == argument.value:
            positional = False
            continue
        by_position = positional and argument.positional
        given.append(("" if by_position or not argument.name else f"{argument.name}=", argument.value))
        positional = by_position
    return given
