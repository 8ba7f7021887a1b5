"""The decoded images in the folder of the study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nas.doctor.defect import Defect
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.repairs import move_away
from nas.study.layout import DATA
from trainers.data.description import DatasetInfo, describe
from trainers.data.verification import verify
from trainers.errors import DataError


def _described(study: ExaminedStudy) -> Iterator[tuple[Path, DatasetInfo | DataError]]:
    """Each file of decoded images, and what it holds, or what is wrong with it."""
    for file in sorted((study.folder / DATA).glob("*.safetensors")):
        try:
            yield file, describe(file)
        except DataError as error:
            yield file, error


def _defect(file: Path, text: str) -> Defect:
    return Defect(f"{DATA}/{file.name}", text, move_away(file))


@check("images-missing", "note")
def find_missing_images(study: ExaminedStudy) -> Iterator[Defect]:
    """A study whose decoded images are not there, as after a backup without them."""
    if study.content is None or not study.content.dataset or study.content.files_url is not None:
        return  # images at the URL of the study's files are fetched when they are needed
    fingerprint = study.content.fingerprint
    if not any(isinstance(info, DatasetInfo) and info.fingerprint == fingerprint for _, info in _described(study)):
        yield Defect(DATA, "the decoded images of the study are missing; `nas search` on it decodes them again")


@check("images-damaged", "warning")
def find_damaged_images(study: ExaminedStudy) -> Iterator[Defect]:
    """A file of decoded images that cannot be read, or has other images than those that were decoded."""
    for file, info in _described(study):
        if isinstance(info, DataError):
            yield _defect(file, "is damaged, or no file of decoded images")
            continue
        try:
            verify(file)
        except DataError as error:
            yield _defect(file, str(error).removeprefix(f"{file}: "))


@check("images-unused", "warning")
def find_unused_images(study: ExaminedStudy) -> Iterator[Defect]:
    """A file of decoded images that are not the study's."""
    if study.content is None or study.is_searched:
        return
    expected = study.content.fingerprint
    for file, info in _described(study):
        if isinstance(info, DatasetInfo) and info.fingerprint != expected:
            yield _defect(file, f"holds other images ({info.fingerprint}) than the study's ({expected})")
