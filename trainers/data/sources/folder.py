"""A folder of images, a subfolder for each class; see `trainers.data.listing` for how it may be laid out."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from trainers.data.decode import Encoded, read_all
from trainers.data.listing import Listing, scan, thin
from trainers.data.sources.base import Decoded, Found, Reading, Source, complete, register
from trainers.errors import DataError

if TYPE_CHECKING:
    from trainers.config import DataConfig


@dataclass(frozen=True)
class Folder(Source):
    """Images in a folder, a subfolder for each class."""

    def find(self, config: DataConfig) -> Found:
        if config.path is None:
            raise DataError("path", "has to be given: it is the folder that holds the images")
        root = Path(os.path.realpath(config.path))
        skip = config.on_error == "skip"
        listing = scan(root, skip=skip)
        chosen = thin(listing, config.limit, config.seed)
        return Found(_identity(root, listing), partial(_read, root, chosen, config.image_size, skip))


def _identity(root: Path, listing: Listing) -> str:
    """A digest of the paths, sizes and times of all images."""
    digest = hashlib.sha256("\n".join((root.name, *listing.skipped)).encode("utf-8", "surrogateescape"))
    for part, images in listing.parts.items():
        for image in images:
            line = f"{part} {image.path.removeprefix(str(root))!r} {image.bytes} {image.mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _read(root: Path, listing: Listing, image_size: int | None, skip: bool, reading: Reading) -> Decoded:
    encoded = (
        Encoded(image.path, part, image.label, partial(Image.open, image.path))
        for part, images in listing.parts.items()
        for image in images
    )
    total = sum(map(len, listing.parts.values()))
    parts, broken = read_all(encoded, total, image_size, reading, skip=skip)
    skipped = (*listing.skipped, *broken)
    return Decoded(root.name, listing.class_names, complete(str(root), listing.parts, parts, skipped), skipped)


register(Folder(name="folder", path="required", augment="flip"))
