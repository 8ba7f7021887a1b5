"""The `space` of a study: choices as they are written; a `SearchSpace` once the images are known."""

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
"""What the images say; a study may repeat it."""


class SpaceConfig(SpaceChoices):
    """Choices, and what the study says of its images.

    Args:
        stages, num_stages, layout, stem, head: as in `SpaceChoices`.
        image_size, in_chans, num_classes: of the images, if the study says so; then the data must agree.

    Raises:
        SpaceError: a choice that can never be.
    """

    image_size: ImageSize | None = None
    in_chans: Positive | None = None
    num_classes: Positive | None = None

    _given: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def parse(cls, given: object) -> SpaceConfig:
        """The configuration that the mapping `given` describes; it is kept as it was written."""
        if isinstance(given, SpaceConfig):
            return given
        if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
            raise ArchitectureError("", "a search space must be a mapping", given)
        config = cls(**given)
        config._given = given
        return config

    def to_dict(self) -> dict[str, Any]:
        """As it was written."""
        return dict(self._given)

    def on(self, image_size: tuple[int, int], in_chans: int, num_classes: int) -> SearchSpace:
        """The search space on such images.

        Raises:
            SpaceError: the study says otherwise of its images, or no architecture fits them.
        """
        of_data = {"image_size": image_size, "in_chans": in_chans, "num_classes": num_classes}
        for name, value in of_data.items():
            stated = getattr(self, name)
            if stated is not None and stated != value:
                plain = list(value) if isinstance(value, tuple) else value
                raise ArchitectureError(name, f"must be that of the data, {plain}", self._given.get(name, stated))
        choices = {name: getattr(self, name) for name in SpaceChoices.model_fields}
        return SearchSpace.from_dict({**choices, **of_data})

    def check_size(self, size: int | None) -> None:
        """Raise `SpaceError` if nothing fits images of `size`, or of the size that the study says, as far as one is known."""
        image_size = self.image_size or (None if size is None else (size, size))
        if image_size is not None:
            self.on(image_size, self.in_chans or 3, self.num_classes or 10)


AnySpaceConfig = Annotated[
    SpaceConfig, BeforeValidator(SpaceConfig.parse), PlainSerializer(lambda config: config.to_dict())
]
