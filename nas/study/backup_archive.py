"""The archive of a backup: a tar file with one folder, whose last file is a manifest with size and digest of the others."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from nas.errors import UsageError
from nas.study.layout import MANIFEST
from trainers.files import atomic_write
from trainers.input_files import open_input, read_json

SCHEMA = 1
"""The schema number of manifests; a reader refuses a higher one."""
GZIP_LEVEL = 6
"""9, the default, takes three times as long for 1 % less."""
SUFFIXES: Mapping[str, bool] = {".tar": False, ".tar.gz": True, ".tgz": True}
"""End of the name of an archive -> whether it is compressed by gzip."""


@dataclass(frozen=True)
class FileDigest:
    """A file of a backup.

    Args:
        size_bytes: its size.
        sha256: its digest, hexadecimal.
    """

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class BackupManifest:
    """What a backup holds.

    Args:
        study: the name of the study.
        created: the time of the copy of the database, ISO 8601 in UTC.
        version: of mixfront, which wrote the backup.
        cursor: how far the study was (`nas.study.database.reader.Cursor`), as text.
        files: name below the folder of the study -> size and digest.
    """

    study: str
    created: str
    version: str
    cursor: str
    files: Mapping[str, FileDigest]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        files = {name: {"size": entry.size_bytes, "sha256": entry.sha256} for name, entry in self.files.items()}
        names = ("study", "created", "version", "cursor")
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in names}, "files": files}

    @classmethod
    def read(cls, file: Path) -> BackupManifest:
        """The inverse of `to_dict`, from the JSON in `file`.

        Raises:
            FileNotFoundError: the file does not exist.
            UsageError: it is damaged, or of a later version.
        """
        try:
            plain = read_json(file)
            if plain["schema"] > SCHEMA:
                raise UsageError(f"{file}: schema must be at most {SCHEMA}, found {plain['schema']}")
            files = {
                str(name): FileDigest(int(entry["size"]), str(entry["sha256"]))
                for name, entry in plain["files"].items()
            }
            if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in files):
                raise ValueError("a name leads out of the folder")
            study, created, version, cursor = (str(plain[name]) for name in ("study", "created", "version", "cursor"))
            return cls(study, created, version, cursor, files)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise UsageError(f"{file}: is damaged; it must be the manifest of a backup") from None


def split_name(file: Path) -> tuple[str, bool]:
    """The name of the archive `file` without its suffix, which is that of the folder in it; and whether it is compressed.

    Raises:
        UsageError: the suffix is unknown.
    """
    for suffix, is_compressed in SUFFIXES.items():
        if file.name.endswith(suffix) and file.name != suffix:
            return file.name.removesuffix(suffix), is_compressed
    raise UsageError(f"{file}: a backup must be named {', '.join(f'NAME{suffix}' for suffix in SUFFIXES)}")


class BackupWriter:
    """Writes the files of an archive one after another, and remembers their digests.

    Args:
        archive: the open archive.
        folder: the name of the folder in it.
    """

    def __init__(self, archive: tarfile.TarFile, folder: str) -> None:
        self._archive = archive
        self._folder = folder
        self.files: dict[str, FileDigest] = {}

    def add(self, name: str, source: BinaryIO) -> None:
        """Write what `source`, an open file, holds now, as the file `name`."""
        status = os.fstat(source.fileno())
        self._add(name, source, status.st_size, int(status.st_mtime))

    def add_path(self, name: str, path: Path) -> bool:
        """Write the file `path` as the file `name`; False if it does not exist."""
        try:
            with open_input(path) as source:
                self.add(name, source)
        except FileNotFoundError:
            return False
        return True

    def add_manifest(self, manifest: BackupManifest, time_s: float) -> None:
        """Write the manifest, the last file."""
        content = json.dumps(manifest.to_dict(), indent=1).encode()
        self._add(MANIFEST, io.BytesIO(content), len(content), int(time_s))

    def _add(self, name: str, source: BinaryIO, size_bytes: int, time_s: int) -> None:
        entry = tarfile.TarInfo(f"{self._folder}/{name}")
        entry.size, entry.mtime, entry.mode = size_bytes, time_s, 0o644
        reader = _DigestingReader(source)
        self._archive.addfile(entry, reader)
        self.files[name] = FileDigest(size_bytes, reader.digest.hexdigest())


class _DigestingReader(io.RawIOBase):
    """Reads `source` and digests what was read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._source.read(size)
        self.digest.update(content)
        return content


@contextmanager
def open_archive(file: Path) -> Iterator[BackupWriter]:
    """Within the block the archive `file` is written; it appears at the end of the block, and not after an error.

    Raises:
        UsageError: the suffix of its name is unknown.
        OSError: the disk is full or broken.
    """
    folder, is_compressed = split_name(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary, _open_tar(temporary, is_compressed) as archive:
        yield BackupWriter(archive, folder)


def _open_tar(file: Path, is_compressed: bool) -> tarfile.TarFile:
    if is_compressed:
        return tarfile.open(file, "w:gz", compresslevel=GZIP_LEVEL, format=tarfile.PAX_FORMAT)
    return tarfile.open(file, "w", format=tarfile.PAX_FORMAT)
