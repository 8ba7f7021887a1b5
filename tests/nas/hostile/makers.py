"""What makes bad inputs in the folder of a row; the tables combine these."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from bad_input import Make
from PIL import Image

SPACE = "space: {stem: {patch: 4}, stages: [{mixer: conv, width: [8, 16], depth: 1}]}\n"
STUDY = f"trials: 2\ndata: {{source: digits, limit: 200}}\n{SPACE}train: {{epochs: 1}}\n"
"""A study file without faults."""
DEEP = "[" * 100_000 + "]" * 100_000
DEEP_MAPPING = '{"a":' * 100_000 + "1" + "}" * 100_000
HUGE_INT = "9" * 5_000


def text(content: str | bytes, name: str = "study.yaml") -> Make:
    """Writes `content` to the file `name`."""

    def make(folder: Path) -> None:
        plain = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(plain)

    return make


def link(target: str, name: str = "study.yaml") -> Make:
    """Makes `name` a link to `target`."""
    return lambda folder: at(name, lambda place: place.symlink_to(target))(folder)


def pipe(name: str = "study.yaml") -> Make:
    """Makes `name` a pipe that nobody writes to."""
    return at(name, os.mkfifo)


def at(name: str, make: Callable[[Path], object]) -> Make:
    """Makes something in the place `name`, in the stead of a file that is there."""

    def made(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return made


def sized(size_bytes: int, name: str = "study.yaml") -> Make:
    """Makes `name` a file of zeros, of which the disk keeps nothing."""

    def make(place: Path) -> None:
        place.touch()
        os.truncate(place, size_bytes)

    return at(name, make)


def cut(size_bytes: int, name: str) -> Make:
    """Cuts the file `name` off."""
    return lambda folder: os.truncate(folder / name, size_bytes)


def several(*makes: Make) -> Make:
    """Makes one after the other."""

    def make(folder: Path) -> None:
        for each in makes:
            each(folder)

    return make


def images(name: str = "photos", count: int = 8) -> Make:
    """Makes a folder of images of two classes."""

    def make(folder: Path) -> None:
        for label, animal in enumerate(("cat", "dog")):
            (folder / name / animal).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), (number, label, 0)).save(folder / name / animal / f"{number}.png")

    return make
