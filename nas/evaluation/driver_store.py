"""The driver's folder as a `FileStore`: whole files, in parts, each verified by its SHA-256.

Parts are not compressed: with zlib at its fastest level a checkpoint keeps 90% of its size and images of photos 93%, at
12 MB/s, which is slower than most networks (measured; weights and moments are noise to a compressor).
"""

from __future__ import annotations

import errno
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from nas.execution.driver_files import DriverFiles, FileStat
from trainers.files import atomic_write

PART_BYTES = 4 << 20

MAX_ATTEMPTS = 3
"""A file that another worker replaces meanwhile is copied again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriverStore:
    """Copies files from and to the driver's folder; a `FileStore`.

    Args:
        files: the files of that folder.
    """

    files: DriverFiles

    def fetch(self, name: str, target: Path) -> bool:
        """As `FileStore.fetch`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(MAX_ATTEMPTS):
            stat = self.files.stat(name)
            if stat is None:
                return False
            try:
                with atomic_write(target) as draft:
                    self._read(name, stat, draft)
            except _ChangedError:
                logger.info("%s: its digest differs; it is fetched again", name)
                continue
            except FileNotFoundError:  # removed since
                return False
            return True
        raise OSError(errno.EIO, "its content does not have its digest", name)

    def _read(self, name: str, stat: FileStat, draft: Path) -> None:
        """Write the content of the file to `draft`."""
        digest, offset = hashlib.sha256(), 0
        with draft.open("wb") as file:
            while offset < stat.size:
                part = self.files.read(name, offset, min(PART_BYTES, stat.size - offset))
                if not part:
                    break
                file.write(part)
                offset += len(part)
                if stat.digest is not None:
                    digest.update(part)
        if offset != stat.size or stat.digest not in (None, digest.hexdigest()):
            raise _ChangedError

    def publish(self, name: str, source: Path) -> None:
        """As `FileStore.publish`."""
        with source.open("rb") as file:  # stays the same file if `source` is replaced
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            for attempt in range(1, MAX_ATTEMPTS + 1):
                try:
                    for offset in range(0, max(1, size), PART_BYTES):
                        file.seek(offset)
                        is_last = offset + PART_BYTES >= size
                        self.files.write(name, file.read(PART_BYTES), offset, is_last, digest)
                except FileNotFoundError:  # the driver's side has lost the first parts
                    if attempt == MAX_ATTEMPTS:
                        raise
                else:
                    return

    def size(self, name: str) -> int | None:
        """As `FileStore.size`."""
        stat = self.files.stat(name)
        return None if stat is None else stat.size

    def remove(self, name: str) -> None:
        """As `FileStore.remove`."""
        self.files.remove(name)


class _ChangedError(Exception):
    """The content of a file is not that of its digest."""
