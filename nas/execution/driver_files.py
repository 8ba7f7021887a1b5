"""The files of the driver's folder, for workers that do not see that folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class FileStat:
    """The size of a file in bytes, and the SHA-256 of its content in hexadecimal."""

    size: int
    digest: str


class DriverFiles(Protocol):
    """Reads and writes files of the driver's folder from another machine.

    Names are relative POSIX paths below the folder; the driver's side refuses others.
    """

    def stat(self, name: str) -> FileStat | None:
        """Size and digest of the file `name`; None if there is none."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        """At most `size` bytes of the file `name` from `offset` on."""

    def write(self, name: str, content: bytes, offset: int, is_last: bool, digest: str) -> None:
        """Write a part of the file `name`; the file appears, whole, with the last part, if it has the SHA-256 `digest`."""

    def remove(self, name: str) -> None:
        """Remove the file `name`; it may be gone already."""
