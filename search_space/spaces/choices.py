"""The choices in a search space: options of mixers, the stem, the head; those of stages are in `stage_choices.py`.

A list is a choice, a single value is fixed:

    mixer:
      conv: {k: [3, 5, 7]}          # three mixers
      pool:                         # its defaults
    channel_mixer:
      mlp: {expansion: [1, 2], groups: full}
    depth: [1, 2, 3]
    width: 32
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from search_space.errors import ArchitectureError, SpaceError, unknown_name
from search_space.field_types import Activation, Positive
from search_space.norm import Norm
from search_space.registry import SpecRegistry
from search_space.stem import StemSpec
from search_space.value import Value, distinct_choices

Options = dict[str, tuple[Any, ...]]  # option -> the values it may take


def mixer_choices(registry: SpecRegistry[Any]) -> BeforeValidator:
    """A validator of `{name: {option: value or list}}`, also given as a name or a list of names."""

    def normalise(given: object) -> dict[str, Options]:
        if isinstance(given, str):
            given = [given]
        if isinstance(given, list | tuple):
            given = dict.fromkeys(given)
        if not isinstance(given, Mapping) or not given:
            raise ArchitectureError(
                "", f"must be the name of a {registry.kind}, a list of names, or a mapping of names to options", given
            )
        return {name: _options(registry, name, options) for name, options in given.items()}

    return BeforeValidator(normalise)


def _options(registry: SpecRegistry[Any], name: str, given: object) -> Options:
    try:
        named = registry.find(name)
    except SpaceError as error:
        raise error.at(str(name)) from None
    if given is not None and not isinstance(given, Mapping):
        raise ArchitectureError(name, "must be a mapping of options to values", given)
    options: Options = {}
    for option, value in (given or {}).items():
        if option not in named.model_fields:
            raise unknown_name(f"{name}.{option}", f"option of {name}", option, named.model_fields)
        options[option] = named.choices(option, value)
        if not options[option]:
            raise ArchitectureError(f"{name}.{option}", "must have at least one choice", value)
        for index, choice in enumerate(options[option]):
            try:
                named.check_choice(option, choice)
            except SpaceError as error:
                place = f"{name}.{option}[{index}]" if isinstance(value, list | tuple) else f"{name}.{option}"
                raise ArchitectureError(place, error.rule, error.value) from None
    return options


Choices = Strict(False), BeforeValidator(distinct_choices), Field(min_length=1)
EachOnce = AfterValidator(
    lambda values: tuple(dict.fromkeys(values))
)  # `layer` and `{name: layer, eps: 1e-6}` are one norm


class StemChoices(Value):
    """The choices in the stem; each field as in `StemSpec`, a list where there is a choice."""

    patch: Annotated[tuple[Positive, ...], *Choices] = (4,)
    kernel: Annotated[tuple[Positive | None, ...], *Choices] = (None,)
    act: Annotated[tuple[Activation | None, ...], *Choices] = (None,)
    norm: Annotated[tuple[Norm | None, ...], *Choices, EachOnce] = (None,)
    pos_embed: Annotated[tuple[bool, ...], *Choices] = (False,)
    ratio: Annotated[tuple[Annotated[float, Field(gt=0)], ...], *Choices] = (1.0,)
    order: Annotated[tuple[Literal["act_norm", "norm_act"], ...], *Choices] = ("act_norm",)
    tiered: Annotated[tuple[bool, ...], *Choices] = (False,)
    pool: Annotated[tuple[bool, ...], *Choices] = (False,)
    bias: Annotated[tuple[bool, ...], *Choices] = (True,)

    def variants(self) -> tuple[StemSpec, ...]:
        """The distinct valid stems, in the order of their choices.

        Raises:
            SpaceError: no combination is valid; the error of the first.
        """
        fields = list(type(self).model_fields)
        stems: dict[StemSpec, None] = {}
        first_error: SpaceError | None = None
        for values in itertools.product(*(getattr(self, field) for field in fields)):
            try:
                stems[StemSpec(**dict(zip(fields, values, strict=True)))] = None
            except SpaceError as error:
                first_error = first_error or error
        if not stems and first_error is not None:
            raise first_error
        return tuple(stems)


class HeadChoices(Value):
    """The choices in the head: the place of its norm. The norm's kind, as in `HeadSpec`, is fixed."""

    norm: Annotated[tuple[Literal["before", "after"] | None, ...], *Choices] = ("before",)
    kind: Norm | None = None


def field_values(values: Sequence[Any], field: str) -> tuple[Any, ...]:
    """The distinct values that `field` has in `values`, in order."""
    return tuple(dict.fromkeys(map(attrgetter(field), values)))
