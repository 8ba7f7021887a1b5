"""What may be chosen in each stage of a search space, and which of it fits a width and a map size.

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
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict

from search_space.architecture import Stage, checked
from search_space.cdg import ChannelGraph
from search_space.channel_mixers import CHANNEL_MIXERS, ChannelMixer
from search_space.costs import Size
from search_space.errors import ArchitectureError, SpaceError, unknown_name
from search_space.macro import BRANCHES, Activation, Downsampling, Norm, Positive, Residual, SqueezeExcite, Stem
from search_space.mixers import MIXERS, Mixer
from search_space.registry import Registry
from search_space.value import Value, distinct

Options = dict[str, tuple[Any, ...]]  # option -> the values it may take


def mixer_choices(registry: Registry[Any]) -> BeforeValidator:
    """A validator of `{name: {option: value or list}}`, also given as a name or a list of names."""

    def normalise(given: object) -> dict[str, Options]:
        if isinstance(given, str):
            given = [given]
        if isinstance(given, list | tuple):
            given = dict.fromkeys(given)
        if not isinstance(given, Mapping) or not given:
            raise ArchitectureError("", f"must be a {registry.kind}, a list, or a mapping of them to options", given)
        return {name: _options(registry, name, options) for name, options in given.items()}

    return BeforeValidator(normalise)


def _options(registry: Registry[Any], name: str, given: object) -> Options:
    try:
        named = registry.named(name)
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
            raise ArchitectureError(f"{name}.{option}", "must hold one choice at least", value)
        for index, choice in enumerate(options[option]):
            try:
                named.check_choice(option, choice)
            except SpaceError as error:
                place = f"{name}.{option}[{index}]" if isinstance(value, list | tuple) else f"{name}.{option}"
                raise ArchitectureError(place, error.rule, error.value) from None
    return options


Choices = Strict(False), BeforeValidator(distinct), Field(min_length=1)


class StemChoices(Value):
    """What may be chosen in the stem; each field as in `Stem`, a list where there is a choice."""

    patch: Annotated[tuple[Positive, ...], *Choices] = (4,)
    kernel: Annotated[tuple[Positive | None, ...], *Choices] = (None,)
    act: Annotated[tuple[Activation | None, ...], *Choices] = (None,)
    norm: Annotated[tuple[Norm | None, ...], *Choices] = (None,)
    pos_embed: Annotated[tuple[bool, ...], *Choices] = (False,)

    def variants(self) -> tuple[Stem, ...]:
        """The distinct stems, in the order of their choices.

        Raises:
            SpaceError: there is none.
        """
        fields = list(type(self).model_fields)
        found: dict[Stem, None] = {}
        error: SpaceError | None = None
        for values in itertools.product(*(getattr(self, field) for field in fields)):
            try:
                found[Stem(**dict(zip(fields, values, strict=True)))] = None
            except SpaceError as this:
                error = error or this
        if not found and error is not None:
            raise error
        return tuple(found)


class HeadChoices(Value):
    """What may be chosen in the head: where its norm stands. The norm's kind, as in `Head`, is no choice but fixed."""

    norm: Annotated[tuple[Literal["before", "after"] | None, ...], *Choices] = ("before",)
    kind: Norm | None = None


class StageChoices(Value):
    """What may be chosen in a stage; each field as in `Stage`, a list where there is a choice."""

    mixer: Annotated[dict[str, Options], mixer_choices(MIXERS)]
    channel_mixer: Annotated[dict[str, Options], mixer_choices(CHANNEL_MIXERS)] = {"mlp": {}}  # noqa: RUF012 (pydantic copies defaults)
    depth: Annotated[tuple[Positive, ...], *Choices] = (2,)
    width: Annotated[tuple[Positive, ...], *Choices] = (64,)
    norm: Annotated[tuple[Norm, ...], *Choices] = ("batch",)
    act: Annotated[tuple[Activation, ...], *Choices] = ("gelu",)
    residual: Annotated[tuple[Residual, ...], *Choices] = ("pre_norm",)
    layer_scale: Annotated[tuple[Annotated[float, Field(gt=0)] | None, ...], *Choices] = (None,)
    downsampling: Annotated[tuple[Downsampling, ...], *Choices] = (Downsampling(),)
    squeeze_excite: Annotated[tuple[SqueezeExcite | None, ...], *Choices] = (None,)

    @property
    def plain(self) -> tuple[str, ...]:
        """The fields whose choices depend on nothing."""
        return ("depth", "norm", "act", "squeeze_excite")

    @property
    def forms(self) -> tuple[tuple[Residual, float | None], ...]:
        """The residual forms with the layer scales that go with them."""
        pairs = itertools.product(self.residual, self.layer_scale)
        return tuple((residual, scale) for residual, scale in pairs if scale is None or BRANCHES[residual])

    def mixers(self, width: int, size: Size) -> tuple[Mixer, ...]:
        """The distinct token mixers that fit, canonical, in the order of their choices."""
        fitting: dict[Mixer, None] = {}
        for name, options in self.mixer.items():
            for mixer in MIXERS[name].variants(options, width):
                if fits(mixer, width, size):
                    fitting[mixer.canonical(width, size)] = None
        return tuple(fitting)

    def channel_mixers(self, width: int, before: ChannelGraph) -> tuple[ChannelMixer, ...]:
        """The distinct channel mixers that fit behind a token mixer of graph `before`, in the order of their choices."""
        fitting: dict[ChannelMixer, None] = {}
        for name, options in self.channel_mixer.items():
            for mixer in CHANNEL_MIXERS[name].variants(options, width):
                if reaches(mixer, width, before):
                    fitting[mixer] = None
        return tuple(fitting)

    def first_error(self, widths: tuple[int, ...], size: Size) -> SpaceError | None:
        """Why something does not fit here at one of `widths`, to explain an empty space."""
        for width in widths:
            for name, options in self.mixer.items():
                for mixer in MIXERS[name].variants(options, width):
                    for channel_name, channel_options in self.channel_mixer.items():
                        for channel in CHANNEL_MIXERS[channel_name].variants(channel_options, width):
                            error = _error(mixer, channel, width, size)
                            if error is not None:
                                return error
        return None


def fits(mixer: Mixer, width: int, size: Size) -> bool:
    """True if `mixer` fits a map of `width` channels and `size`."""
    try:
        mixer.check(width, size)
    except SpaceError:
        return False
    return True


def reaches(mixer: ChannelMixer, width: int, before: ChannelGraph) -> bool:
    """True if `mixer` fits `width` channels and reaches all of them behind `before`."""
    try:
        mixer.check(width)
        mixer.check_reach(width, before)
    except SpaceError:
        return False
    return True


def _error(mixer: Mixer, channel: ChannelMixer, width: int, size: Size) -> SpaceError | None:
    try:
        checked(Stage(mixer=mixer, channel_mixer=channel, width=width), size)
    except SpaceError as error:
        return error
    return None


def option_values(mixers: Sequence[Value], option: str) -> tuple[Any, ...]:
    """The distinct values that `option` takes in `mixers`, in order."""
    return tuple(dict.fromkeys(getattr(mixer, option) for mixer in mixers))
