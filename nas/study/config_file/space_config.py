"""The `space` section of a study: choices as written in the file, which become a `SearchSpace` for given images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PrivateAttr

from search_space import SearchSpace
from search_space.architecture import ImageSize
from search_space.errors import ArchitectureError
from search_space.field_types import Positive
from search_space.spaces.space import SpaceChoices

DATA_FIELDS = ("image_size", "in_chans", "num_classes")
"""Fields whose values come from the images; a study may state them, too."""


class SpaceConfig(SpaceChoices):
    """Choices, and the image properties that the study states.

    Args:
        stages, num_stages, layout, stem, head: as in `SpaceChoices`.
        image_size, in_chans, num_classes: properties of the images; None if the study does not state them. The data must agree.

    Raises:
        SpaceError: a choice breaks a rule.
    """

    image_size: ImageSize | None = None
    in_chans: Positive | None = None
    num_classes: Positive | None = None

    _source: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def parse(cls, given: object) -> SpaceConfig:
        """Validate the mapping `given`; `to_dict` returns it unchanged."""
        if isinstance(given, SpaceConfig):
            return given
        if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
            raise ArchitectureError("", "a search space must be a mapping", given)
        config = cls(**given)
        config._source = given
        return config

    def to_dict(self) -> dict[str, Any]:
        """The mapping from which the configuration was parsed."""
        return dict(self._source)

    def on(self, image_size: tuple[int, int], in_chans: int, num_classes: int) -> SearchSpace:
        """Create the search space for images of this size, number of channels and classes.

        Raises:
            SpaceError: the study states other values, or no architecture fits the images.
        """
        data_values = {"image_size": image_size, "in_chans": in_chans, "num_classes": num_classes}
        for name, value in data_values.items():
            stated = getattr(self, name)
            if stated is not None and stated != value:
                plain = list(value) if isinstance(value, tuple) else value
                raise ArchitectureError(name, f"must be that of the data, {plain}", self._source.get(name, stated))
        choices = {name: getattr(self, name) for name in SpaceChoices.model_fields}
        return SearchSpace.from_dict({**choices, **data_values})

    def check_size(self, size: int | None) -> None:
        """Raise `SpaceError` if no architecture fits the image size that the study states, or else `size`; None: no check."""
        image_size = self.image_size or (None if size is None else (size, size))
        if image_size is not None:
            self.on(image_size, self.in_chans or 3, self.num_classes or 10)


AnySpaceConfig = Annotated[
    SpaceConfig, BeforeValidator(SpaceConfig.parse), PlainSerializer(lambda config: config.to_dict())
]
