"""A folder of images, with a subfolder for each class; see `trainers.data.listing` for the layouts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainers.data.decode import decode_all
from trainers.data.earlier_listing import scan_as_before
from trainers.data.fixed_split import apply_split_file
from trainers.data.grouping import check_groups
from trainers.data.listing import Listing, scan, thin_listing
from trainers.data.pixels import EncodedImage
from trainers.data.sources.base import Source, check_parts, register
from trainers.data.types import DecodedData, LocatedData, ReadContext, SourceRequest
from trainers.errors import DataError


@dataclass(frozen=True)
class Folder(Source):
    """Images in a folder, with a subfolder for each class."""

    def locate(self, request: SourceRequest) -> LocatedData:
        root = _root(request)
        return _locate(root, scan(root, skip=request.on_error == "skip", classes=request.classes), request)

    def locate_as_before(self, request: SourceRequest) -> LocatedData:
        root = _root(request)
        return _locate(root, scan_as_before(root, skip=request.on_error == "skip"), request)


def _root(request: SourceRequest) -> Path:
    if request.path is None:
        raise DataError("path", "has to be given: it is the folder that holds the images")
    return Path(os.path.realpath(request.path))


def _locate(root: Path, listing: Listing, request: SourceRequest) -> LocatedData:
    skip = request.on_error == "skip"
    if request.split is not None:
        listing = apply_split_file(listing, request.split.file, str(root), skip=skip)
    paths = [image.path for images in listing.parts.values() for image in images]
    check_groups(request.group_by, paths, str(root), skip=skip)
    thinned = thin_listing(listing, request.limit, request.seed)
    read = partial(_read, root, thinned, request.image_size, skip)
    return LocatedData(_identity(root, listing), read, sum(map(len, thinned.parts.values())))


def _identity(root: Path, listing: Listing) -> str:
    """A digest of the paths, sizes and modification times of all images, and of the lines on those left out.

    It names the prepared file: other messages in `trainers.data.listing` orphan the files of folders with such images. The
    images are in the order of their classes, so another order of classes is another file.
    """
    digest = hashlib.sha256("\n".join((root.name, *listing.skipped)).encode("utf-8", "surrogateescape"))
    for part, images in listing.parts.items():
        for image in images:
            line = f"{part} {image.path.removeprefix(str(root))!r} {image.bytes} {image.mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _read(root: Path, listing: Listing, image_size: int | None, skip: bool, context: ReadContext) -> DecodedData:
    encoded = (
        EncodedImage(image.path, part, image.label, partial(str, image.path))
        for part, images in listing.parts.items()
        for image in images
    )
    total = sum(map(len, listing.parts.values()))
    decoded = decode_all(encoded, total, image_size, context, skip=skip)
    skipped = (*listing.skipped, *decoded.skipped)
    parts = check_parts(str(root), listing.parts, decoded.parts, skipped)
    return DecodedData(
        root.name, listing.class_names, parts, skipped, listing.passed_over, decoded.summaries, str(root)
    )


register(Folder(name="folder", path="required", augment="flip", options=frozenset({"group_by", "split", "classes"})))
