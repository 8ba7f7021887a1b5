"""What a data source is: it locates data cheaply, and decodes them when asked.

`trainers.data.prepared.prepare` calls, in this order,

1. `located = source.locate(request)`: looks where the data are; no image is decoded. `located.identity` is a text that
   changes when the data do; it is part of the name of the cached file.
2. `located.read(context)`: decodes all images, in the parts that the source itself has. Called only if no cached file has
   that name.

Which fields of a configuration a source takes is declared by the source (`path`, `options`) and checked by `Source.check`,
so that nothing outside its file knows it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from trainers.data.types import AugmentPolicy, LabeledImages, LocatedData, Part, SourceOption, SourceRequest
from trainers.errors import DataError, unknown_source


@dataclass(frozen=True)
class Source(ABC):
    """A place that images come from.

    Args:
        name: its name in a configuration; a name that ends in a slash covers all names with that prefix.
        path: whether the request has to name a folder, may name one, or must not.
        augment: the augmentation policy that suits its images.
        options: which of the optional fields of a request the source knows.
    """

    name: str
    path: Literal["required", "optional", "none"]
    augment: AugmentPolicy
    options: frozenset[SourceOption] = field(default=frozenset(), kw_only=True)

    def check(self, request: SourceRequest) -> None:
        """Check that the fields of `request` fit this source. Looks at no file.

        Raises:
            ValueError: a field is missing, or is set and the source does not know it; names the field.
        """
        if self.path == "required" and request.path is None:
            raise ValueError(f"path: source {request.source!r} reads from a folder, so its path has to be given")
        if self.path == "none" and request.path is not None:
            raise ValueError(f"path: source {request.source!r} reads from no folder, found {str(request.path)!r}")
        for option in get_args(SourceOption):
            value = getattr(request, option)
            if value and option not in self.options:
                rule = f"source {request.source!r} has no such option{_REASONS.get(option, '')}"
                raise ValueError(f"{option}: {rule}, found {str(value) if option == 'split' else repr(value)}")

    @abstractmethod
    def locate(self, request: SourceRequest) -> LocatedData:
        """Look for the data that `request` names, without decoding any.

        Raises:
            DataError: they do not exist, or not in the layout that this source reads.
        """

    def locate_as_before(self, request: SourceRequest) -> LocatedData:
        """As `locate`, by the rules of versions 0.1 and 0.2, for the studies that they began; by default the same."""
        return self.locate(request)


_REASONS: Mapping[str, str] = {
    "group_by": " (its images have no paths; those of the source `folder` have)",
    "split": " (the source `folder` has)",
}
"""Why a source may not know an option."""

SOURCES: dict[str, Source] = {}


def register(source: Source) -> Source:
    """Make `source` known by its name.

    Raises:
        ValueError: a source of that name is registered already, or `source` declares an option that no request has.
    """
    if source.name in SOURCES:
        raise ValueError(f"data source {source.name!r} is registered already")
    if unknown := source.options - set(get_args(SourceOption)):
        known = ", ".join(get_args(SourceOption))
        raise ValueError(f"data source {source.name!r}: options must be among {known}, found {sorted(unknown)}")
    SOURCES[source.name] = source
    return source


def get(name: str) -> Source:
    """The source called `name`, or the one that covers its prefix: `torch/` for `torch/cifar10`.

    Raises:
        DataError: there is none; the error lists the known names.
    """
    family, slash, rest = name.partition("/")
    if name in SOURCES and not name.endswith("/"):
        return SOURCES[name]
    if rest and family + slash in SOURCES:
        return SOURCES[family + slash]
    raise unknown_source(name, (f"{key}NAME" if key.endswith("/") else key for key in SOURCES))


def check_parts(
    place: str, expected: Iterable[Part], parts: Mapping[Part, LabeledImages], skipped: Sequence[str]
) -> Mapping[Part, LabeledImages]:
    """`parts`, all the `expected` ones among them.

    A part without images must be an error here: the split would silently draw it from another part.

    Raises:
        DataError: an expected part has no image; names the `place` and what was `skipped`.
    """
    for part in expected:
        if part not in parts:
            note = f"; {len(skipped)} are broken and left out, the first: {skipped[0]}" if skipped else ""
            raise DataError(place, f"holds no {part} image that can be decoded{note}")
    return parts
