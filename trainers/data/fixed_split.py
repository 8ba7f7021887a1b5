"""A split that the user fixes in a table (`data.split.file`): it takes the place of the parts that a folder has. No torch.

Values of the table are train, val and test, or other words for them in any case (`trainers.data.part_names.PART_WORDS`).
The validation or the test split is drawn from train where the table has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from trainers.data.listing import ImageFile, Listing
from trainers.data.part_names import PART_WORDS
from trainers.data.tables import Table, listed
from trainers.data.types import PARTS, Part, relative_name

KEY = "split.file"


def apply_split_file(listing: Listing, file: Path, root: str, *, skip: bool) -> Listing:
    """`listing` with the parts that the table in `file` gives its images.

    Args:
        listing: all images of a folder, whatever parts it has.
        file: the table.
        root: the folder.
        skip: leave out images that no row names, and report them.

    Raises:
        DataError: the table cannot be read, has another value, names no train image or leaves a class out of a split; a row
            names no image, or (unless `skip`) an image has no row.
    """
    table = Table.read(KEY, file, "split").within(root)
    for path, value in table.values.items():
        if value.lower() not in PART_WORDS:
            raise table.error("a split must be train, val or test", value, table.lines[path])
    images = {relative_name(image.path, root): image for part in listing.parts.values() for image in part}
    table = table.spelled_as(images)
    table.check_rows(images, Path(root) if skip else None)
    missing = [name for name in images if name not in table.values]
    if missing and not skip:
        rule = (
            f"must have a row for every image (`on_error: skip` leaves the others out); {len(missing)} of {len(images)}"
        )
        raise table.error(f"{rule} have none", listed(missing))
    members: dict[Part, list[ImageFile]] = {part: [] for part in PARTS}
    for name, image in images.items():
        if name in table.values:
            members[PART_WORDS[table.values[name].lower()]].append(image)
    parts = {part: tuple(sorted(images, key=_order)) for part, images in members.items() if images or part == "train"}
    _check_classes(table, parts, listing)
    skipped = (*listing.skipped, *(f"{name}: has no row in {file.name}" for name in missing))
    return replace(listing, parts=parts, skipped=skipped)


def _order(image: ImageFile) -> tuple[int, str]:
    return image.label, image.path


def _check_classes(table: Table, parts: Mapping[Part, tuple[ImageFile, ...]], listing: Listing) -> None:
    """Check that every class is in every split of the table."""
    for part, images in parts.items():
        absent = set(range(len(listing.class_names))) - {image.label for image in images}
        if absent:
            names = listed(listing.class_names[label] for label in sorted(absent))
            raise table.error(f"must put an image of every class into the {part} split; it has none of", names)
