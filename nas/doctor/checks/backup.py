"""A study that was unpacked from a backup, compared with the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from nas.doctor.defect import Defect
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.repairs import move_away
from nas.errors import UsageError
from nas.study.backup_archive import BackupManifest, FileDigest
from nas.study.layout import CONFIG, DATABASE, MANIFEST, REFERENCE, WEIGHTS


@check("backup-differs", "error")
def find_differences_from_backup(study: ExaminedStudy) -> Iterator[Defect]:
    """A file of a backup that is missing or damaged. What a search changes is compared only until one continues the study."""
    try:
        manifest = BackupManifest.read(study.folder / MANIFEST)
    except (FileNotFoundError, UsageError):
        return
    is_untouched = _is_same(study.folder / DATABASE, manifest.files.get(DATABASE))
    for name, expected in manifest.files.items():
        if not is_untouched and not _never_changes(name):
            continue
        place = study.folder / name
        if not place.is_file():
            yield Defect(name, "is missing; the backup has it: unpack it again")
        elif not _is_same(place, expected):
            yield Defect(name, "is not the file of the backup: unpack it again")


def _never_changes(name: str) -> bool:
    """True for a file that no search, report or repair changes."""
    return name in (CONFIG, REFERENCE) or name.endswith(f"/{WEIGHTS}")


def _is_same(file: Path, expected: FileDigest | None) -> bool:
    if expected is None or not file.is_file() or file.stat().st_size != expected.size_bytes:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == expected.sha256


@check("manifest-damaged", "warning")
def find_damaged_manifest(study: ExaminedStudy) -> Iterator[Defect]:
    """A manifest of a backup that cannot be read."""
    file = study.folder / MANIFEST
    try:
        BackupManifest.read(file)
    except FileNotFoundError:
        return
    except UsageError as error:
        text = str(error).removeprefix(f"{file}: ")
        yield Defect(MANIFEST, text, move_away(file))
