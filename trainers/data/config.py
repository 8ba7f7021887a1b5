"""Which images a training uses, at which size, and how they are split: a frozen value, validated when made. No torch.

Each default has its reason beside it. A pydantic `ValidationError` names the field, the rule and the value found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainers.data import sources
from trainers.data.grouping import is_table
from trainers.data.types import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE, OnError, Part


class SplitConfig(BaseModel):
    """A fixed split."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: Path = Field(description="a .csv or .tsv file with the columns path and split, or .json: {split: [paths]}")

    @field_validator("file")
    @classmethod
    def _expand_home(cls, file: Path) -> Path:
        return Path(os.path.expanduser(file))  # noqa: PTH111 - `~x` stays where x is no user


class DataConfig(BaseModel):
    """Which images, at which size, and how they are split.

    Names, order and defaults of the fields are part of the name of a file of prepared images
    (`trainers.data.prepared`): a change of any of them orphans the files that exist.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    source: str = Field(default="digits", description="where the images come from")  # needs no files of the user's
    path: Path | None = Field(default=None, description="the folder that the source reads")  # digits need none
    splits: Mapping[Part, str] | None = Field(
        default=None, description="timm's names: the source's own name of each split that is taken from it"
    )
    input_key: str | None = Field(default=None, description="timm's names: the column of the images")
    target_key: str | None = Field(default=None, description="timm's names: the column of the classes")
    # The network is used only on request.
    download: bool = Field(default=False, description="timm's names: whether to download missing data")
    image_size: int | None = Field(
        default=None, ge=MIN_IMAGE_SIZE, le=MAX_IMAGE_SIZE, description="pixels a side; none: the source's own size"
    )
    # A fifth each: on 1,797 digits about 360 images, a standard error of 0.6 points at 98.5 % accuracy; less is noise.
    val_fraction: float = Field(default=0.2, gt=0, lt=1, description="share of the train part used for validation")
    test_fraction: float = Field(default=0.2, gt=0, lt=1, description="share of the train part used for the test")
    limit: int | None = Field(
        default=None, ge=6, description="number of images to keep, stratified by class; none: all"
    )  # at least 2 classes x 3 splits
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the split")  # another seed gives another split
    # A silently smaller data set would be noticed too late, if at all.
    on_error: OnError = Field(default="fail", description="broken images: an error, or left out and reported")

    group_by: str | None = Field(
        default=None,
        min_length=1,
        description="keeps images of one group (patient, video, scene) in one split: a regular expression on their paths, or"
        " a .csv or .tsv file with the columns path and group",
    )
    split: SplitConfig | None = Field(default=None, description="a fixed split")
    classes: tuple[str, ...] | None = Field(
        default=None,
        min_length=2,
        description="folders that are read as classes, with all images below them; none: all",
    )

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is not None and len(set(classes)) < len(classes):
            raise ValueError(f"must name each class once, found {list(classes)}")
        return classes

    @field_validator("group_by")
    @classmethod
    def _check_group_by(cls, group_by: str | None) -> str | None:
        if group_by is not None and not is_table(group_by):
            try:
                re.compile(group_by)
            except re.error as error:
                place = "" if error.pos is None else f" at position {error.pos}"
                rule = f"must be a regular expression, or a file whose name ends in .csv, .tsv or .json ({error.msg}{place})"
                raise ValueError(f"{rule}, found {group_by!r}") from None
        return group_by

    @field_validator("source")
    @classmethod
    def _check_source(cls, name: str) -> str:
        sources.get(name)
        return name

    @field_validator("path")
    @classmethod
    def _expand_home(cls, path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.expanduser(path))  # noqa: PTH111 - `~x` stays where x is no user

    @model_validator(mode="after")
    def _check_fields_together(self) -> DataConfig:
        sources.get(self.source).check(self)
        if self.splits is not None and "train" not in self.splits:
            raise ValueError(f"splits: must name the train split, found {dict(self.splits)}")
        if self.val_fraction + self.test_fraction >= 1:
            total = self.val_fraction + self.test_fraction
            raise ValueError(
                f"val_fraction + test_fraction: must leave images to train on, so be below 1, found {total:g}"
            )
        return self
