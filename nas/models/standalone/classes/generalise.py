"""One `__init__` for all instances of a class.

What the expressions of its parts have in common is written into it, and what they have not becomes a parameter (the least general
generalisation of terms; Plotkin, 1970). Parts that differ in the same way share a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nas.models.standalone.syntax.expressions import Call, Constant, Expression, Group, Scaled

MAX_PARAMETERS_OF_A_PART = 3
"""Where the instances of a part differ in more, the part itself is the parameter."""
INPUT_NAMES = frozenset({"in_channels", "in_features", "width"})
NORM_NAMES = frozenset({"channels", "normalized_shape", "num_channels", "num_features"})
OUTPUT_NAMES = frozenset({"out_channels", "out_features"})

Values = tuple[Expression, ...]
"""An expression for each instance."""


@dataclass(frozen=True)
class General:
    """The common form of several instances.

    Args:
        parameters: name -> its value in each instance.
        parts: name of an attribute -> its expression, which may refer to the parameters.
    """

    parameters: Mapping[str, Values]
    parts: Mapping[str, Expression]


class DifferentFormsError(Exception):
    """Expressions have no common form but a parameter for the whole."""


@dataclass
class _Holes:
    """Where instances differ: the values of each place, and what the parameters there are called."""

    places: list[tuple[Values, list[str]]] = field(default_factory=list)

    def copy(self) -> _Holes:
        return _Holes([(values, list(hints)) for values, hints in self.places])

    def add(self, values: Values, hint: str) -> Scaled:
        """A placeholder for `values`, which `_fill` replaces by a parameter; places of equal plain values share it."""
        is_plain = all(isinstance(value, Constant) for value in values)
        for index, (others, hints) in enumerate(self.places):
            if is_plain and others == values:
                hints.append(hint)
                return Scaled(str(index))
        self.places.append((values, [hint]))
        return Scaled(str(len(self.places) - 1))


def generalise(parts: Mapping[str, Values]) -> General:
    """The common form of instances with these parts: name of an attribute -> its expression in each instance."""
    holes = _Holes()
    forms: dict[str, Expression] = {}
    for name, values in parts.items():
        tried = holes.copy()
        try:
            forms[name] = _common(values, name, tried)
        except DifferentFormsError:
            forms[name] = holes.add(values, name)
            continue
        if len(tried.places) - len(holes.places) > MAX_PARAMETERS_OF_A_PART:
            forms[name] = holes.add(values, name)
        else:
            holes = tried
    filling = _fill(holes)
    parameters = {scaled.parameter: values for values, scaled in filling if scaled == Scaled(scaled.parameter)}
    by_index = {str(index): scaled for index, (_, scaled) in enumerate(filling)}
    return General(parameters, {name: _filled(form, by_index) for name, form in forms.items()})


def _common(values: Values, hint: str, holes: _Holes) -> Expression:
    first = values[0]
    if all(value == first for value in values):
        return first
    if all(isinstance(value, Constant) for value in values):
        return holes.add(values, hint)
    groups = [value for value in values if isinstance(value, Group)]
    if len(groups) == len(values):
        if len({len(group.items) for group in groups}) > 1:
            raise DifferentFormsError
        columns = zip(*(group.items for group in groups), strict=True)
        return Group(tuple(_common(column, hint, holes) for column in columns))
    calls = [value for value in values if isinstance(value, Call)]
    if len(calls) < len(values) or len({(call.function, _names(call)) for call in calls}) > 1:
        raise DifferentFormsError
    columns = zip(*(call.arguments for call in calls), strict=True)
    arguments = [
        replace(column[0], value=_common(tuple(argument.value for argument in column), column[0].name or hint, holes))
        for column in columns
    ]
    return Call(calls[0].function, tuple(arguments))


def _names(call: Call) -> tuple[str, ...]:
    return tuple(argument.name for argument in call.arguments)


def _fill(holes: _Holes) -> list[tuple[Values, Scaled]]:
    """What stands in the place of each hole: a parameter, or a multiple or a fraction of one before it."""
    filling: list[tuple[Values, Scaled]] = []
    for values, hints in holes.places:
        multiple = next((scaled for other, base in filling if (scaled := _multiple(values, other, base))), None)
        taken = frozenset(scaled.parameter for _, scaled in filling)
        filling.append((values, multiple or Scaled(_parameter_name(hints, taken))))
    return filling


def _multiple(values: Values, others: Values, base: Scaled) -> Scaled | None:
    """`values` as a multiple or a fraction of `others`, which are the values of the parameter `base`."""
    numbers, bases = _whole_numbers(values), _whole_numbers(others)
    if base != Scaled(base.parameter) or not numbers or not bases:
        return None
    for upper, lower in ((numbers, bases), (bases, numbers)):
        factor = upper[0] // lower[0]
        if factor > 1 and all(a == factor * b for a, b in zip(upper, lower, strict=True)):
            return Scaled(base.parameter, *((factor, 1) if upper is numbers else (1, factor)))
    return None


def _whole_numbers(values: Values) -> list[int]:
    """The values as whole numbers above zero; empty if one of them is none."""
    codes = [value.code for value in values if isinstance(value, Constant) and value.kind == "int"]
    numbers = [int(code) for code in codes]
    return numbers if len(numbers) == len(values) and min(numbers) > 0 else []


def _parameter_name(hints: Sequence[str], taken: frozenset[str]) -> str:
    is_input, is_output = INPUT_NAMES.intersection(hints), OUTPUT_NAMES.intersection(hints)
    names = ["width"] if is_input or NORM_NAMES.intersection(hints) else []
    if is_output:
        names += ["hidden", "out"] if is_input else ["out"]
    names += [hint for hint in hints if hint not in INPUT_NAMES | NORM_NAMES | OUTPUT_NAMES]
    numbered = (f"{name}{number}" for number in range(2, 10_000) for name in names or ["width"])
    return next(name for name in [*names, *numbered] if name not in taken)


def _filled(form: Expression, filling: Mapping[str, Scaled]) -> Expression:
    match form:
        case Scaled(parameter=parameter):
            return filling[parameter]
        case Group(items=items):
            return Group(tuple(_filled(item, filling) for item in items))
        case Call(function=function, arguments=arguments):
            return Call(function, tuple(replace(item, value=_filled(item.value, filling)) for item in arguments))
        case _:
            return form
