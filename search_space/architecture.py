"""An architecture is a value: a stem, stages of equal blocks, a linear head. It is valid if it exists.

    image (B, in_chans, H, W)
      stem      patches of `patch` x `patch` pixels -> tokens on a map (H/patch, W/patch)
      stage*    [downsampling] then `depth` blocks of token mixer + channel mixer
      head      norm, global average pool, linear -> (B, num_classes)

The parts are described in `stem.py`, `downsampling.py`, `squeeze_excite.py` and `head.py`, the mixers in `mixers/` and
`channel_mixers/`, the blocks in `residual_forms/`.

The JSON of an architecture contains every option (those that a later release added to a mixer, where they differ from their
default), so equal architectures have equal JSON; `id` is a short digest.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BeforeValidator, Field, Strict, model_validator

from search_space import yaml_text
from search_space.errors import ArchitectureError, SpaceError
from search_space.field_types import MAX_STAGES, Positive
from search_space.head import HeadSpec
from search_space.html_table import html_table
from search_space.shapes import MapShape, Size
from search_space.stage import Stage
from search_space.stem import StemSpec
from search_space.value import Value


def _height_and_width(value: object) -> object:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


ImageSize = Annotated[tuple[Positive, Positive], Strict(False), BeforeValidator(_height_and_width)]


class Architecture(Value):
    """A vision backbone with its classifier.

    Args:
        stages: one or more stages.
        stem: how pixels become tokens.
        head: how the last map becomes classes.
        image_size: (height, width) in pixels; one number for a square.
        in_chans: channels of the image.
        num_classes: classes of the head.

    Raises:
        ArchitectureError: something does not fit; the error names the place, the rule and the value.
    """

    stages: Annotated[tuple[Stage, ...], Strict(False), Field(min_length=1, max_length=MAX_STAGES)]
    stem: StemSpec = StemSpec()
    head: HeadSpec = HeadSpec()
    image_size: ImageSize = (32, 32)
    in_chans: Positive = 3
    num_classes: Positive = 10

    FORMAT: ClassVar[str] = "mixfront architecture"

    @model_validator(mode="after")
    def _check_stem(self) -> Architecture:
        for side in self.image_size:
            if side < self.stem.patch or side % self.stem.patch:
                height, width = self.image_size
                raise ArchitectureError("stem.patch", f"must divide the image {height}x{width}", self.stem.patch)
        try:
            self.stem.check(self.stages[0].width)
        except SpaceError as error:
            raise error.at("stem") from None
        return self

    def canonical_changes(self) -> dict[str, Any]:
        """Stages that are not canonical for their input; a norm of the head that is of the last stage's kind anyway.

        Raises:
            SpaceError: a stage does not fit its input.
        """
        changes: dict[str, Any] = {}
        stages = tuple(self._canonical_stage(index) for index in range(len(self.stages)))
        if any(canonical is not stage for canonical, stage in zip(stages, self.stages, strict=True)):
            changes["stages"] = stages
        if self.head.kind == stages[-1].norm:
            changes["head"] = self.head.replace(kind=None)
        return changes

    def _canonical_stage(self, index: int) -> Stage:
        try:
            return self.stages[index].canonical(self.stage_inputs[index])
        except SpaceError as error:
            raise error.at(f"stages[{index}]") from None

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The map size (height, width) of each stage."""
        return tuple(stage.size_after(size) for stage, (_, size) in zip(self.stages, self.stage_inputs, strict=True))

    @cached_property
    def stage_inputs(self) -> tuple[MapShape, ...]:
        """Channels and map size (height, width) of the input of each stage; of the first, the output of the stem."""
        width = self.stem.width(self.stages[0].width)
        size = (self.image_size[0] // self.stem.patch, self.image_size[1] // self.stem.patch)
        inputs = []
        for stage in self.stages:
            inputs.append(MapShape(width, size))
            width, size = stage.width, stage.size_after(size)
        return tuple(inputs)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits: equal architectures, and only they, have equal ids, also in later releases.

        A digest of what differs from the defaults, so that a new option does not change existing ids.
        """
        text = json.dumps(self.non_defaults(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """The canonical form as plain JSON values, with every option."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """The canonical form as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def _repr_html_(self) -> str:
        """The stages as a table, for notebooks."""
        rows = [
            (
                number,
                f"{height} x {width} x {stage.width}",
                stage.mixer.name,
                stage.channel_mixer.name,
                stage.depth,
                stage.residual,
            )
            for number, (stage, (height, width)) in enumerate(zip(self.stages, self.sizes, strict=True), start=1)
        ]
        height, width = self.image_size
        images = f"images of {height} x {width} x {self.in_chans}, patch {self.stem.patch}, {self.num_classes} classes"
        heads = ("stage", "map", "token mixer", "channel mixer", "depth", "residual form")
        return html_table(f"Architecture {self.id}: {images}", heads, rows)

    def to_yaml(self) -> str:
        """The canonical form as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_dict(cls, data: object) -> Architecture:
        """The architecture that `data` (as `to_dict` gives it; defaults may be left out) describes."""
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise ArchitectureError("", "an architecture must be a mapping", data)
        return cls(**data)

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """The architecture that the JSON `text` describes."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ArchitectureError(f"{error.lineno}:{error.colno}", f"not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; a thousand brackets
            raise ArchitectureError("", f"not JSON that can be read: {error}") from None
        return cls.from_dict(data)

    @classmethod
    def from_yaml(cls, text: str) -> Architecture:
        """The architecture that the YAML `text` describes."""
        try:
            data = yaml_text.load(text)
        except yaml.YAMLError as error:
            raise ArchitectureError("", yaml_text.describe_error(error)) from None
        return cls.from_dict(data)

    @classmethod
    def from_file(cls, path: str | Path) -> Architecture:
        """The architecture in the YAML file `path`; errors name the file."""
        text = yaml_text.read(path)
        try:
            return cls.from_yaml(text)
        except SpaceError as error:
            raise error.in_file(path) from None
