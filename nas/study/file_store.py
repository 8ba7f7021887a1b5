"""Where the files of a study are if workers do not share its folder: what can be done with them, and how they are named."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from nas.study.layout import DATA, trial_folder


class FileStore(Protocol):
    """Copies whole files between a disk and a place that several machines reach.

    Names are relative POSIX paths, those of the study's folder (`nas.study.layout`).
    """

    def fetch(self, name: str, target: Path) -> bool:
        """Copy the file `name` to `target`, whole or not at all; False if there is none.

        Raises:
            OSError: the place cannot be reached, the file is damaged, or the disk is full.
        """

    def publish(self, name: str, source: Path) -> None:
        """Copy the file `source` to `name`; others see the whole old file or the whole new one.

        Raises:
            OSError: the place cannot be reached or has no room.
        """

    def size(self, name: str) -> int | None:
        """Size of the file `name` in bytes; None if there is none."""

    def remove(self, name: str) -> None:
        """Remove the file `name`; it may be gone already."""


def trial_name(number: int, file: str) -> str:
    """The name of the `file` (`WEIGHTS`, `CHECKPOINT`) of the trial `number`."""
    return (trial_folder(Path(), number) / file).as_posix()


def data_name(file: str) -> str:
    """The name of the `file` of decoded images."""
    return f"{DATA}/{file}"


def fingerprint_name(fingerprint: str) -> str:
    """The name of the decoded images of this `fingerprint` at a URL."""
    return data_name(f"{fingerprint}.safetensors")
