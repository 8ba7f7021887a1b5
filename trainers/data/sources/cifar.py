"""CIFAR-10 and CIFAR-100 in their published binary layout (A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html).

A file is a row of records, each one or two label bytes and 3072 bytes of pixels, channels first: `(3, 32, 32)`, RGB.

    cifar-10-batches-bin/   data_batch_1.bin ... data_batch_5.bin, test_batch.bin   1 + 3072 bytes; batches.meta.txt
    cifar-100-binary/       train.bin, test.bin                   coarse + fine + 3072 bytes; fine_label_names.txt

The test batch is the test split; the validation split is drawn from the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainers.data.decode import resize_all
from trainers.data.sources.base import Decoded, Found, Part, Pictures, Reading, Source, register
from trainers.errors import DataError

if TYPE_CHECKING:
    from trainers.config import DataConfig

PIXEL_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar(Source):
    """A CIFAR in its binary layout.

    Args:
        folder: the name of the folder that the archive unpacks to.
        python_folder: that of the pickled layout, which is not read.
        names_file: the file that holds a class name a line.
        classes: number of classes.
        label_bytes: bytes before the pixels; the last one is the label.
        files: the part and the records of each file.
    """

    folder: str
    python_folder: str
    names_file: str
    classes: int
    label_bytes: int
    files: tuple[tuple[str, Part, int], ...]

    def find(self, config: DataConfig) -> Found:
        folder = self._locate(config)
        status = [(name, (folder / name).stat()) for name in (self.names_file, *(name for name, _, _ in self.files))]
        identity = "\n".join(f"{name} {found.st_size} {found.st_mtime_ns}" for name, found in status)
        return Found(identity, partial(self._read, folder, config.image_size))

    def _read(self, folder: Path, image_size: int | None, reading: Reading) -> Decoded:
        class_names = self._class_names(folder / self.names_file)
        total = sum(records for _, _, records in self.files)
        done = 0
        parts: dict[Part, list[Pictures]] = {}
        for name, part, records in self.files:
            parts.setdefault(part, []).append(self._read_file(folder / name, records, image_size))
            done += records
            if reading.progress is not None:
                reading.progress(done, total)
        return Decoded(self.name, class_names, {part: _joined(pieces) for part, pieces in parts.items()})

    def _locate(self, config: DataConfig) -> Path:
        """The folder of the files: the path itself, or the one of the published name in it."""
        if config.path is None:
            raise DataError("path", f"has to be given: it is the folder {self.folder}, or the one that holds it")
        path = config.path
        if not path.exists():
            raise DataError(str(path), "no such folder")
        if not path.is_dir():
            raise DataError(str(path), f"is not a folder; unpack the archive and name the folder {self.folder}")
        first = self.files[0][0]
        folder = next((place for place in (path, path / self.folder) if (place / first).is_file()), None)
        if folder is None:
            if (path / self.python_folder).is_dir() or (path / Path(first).stem).is_file():
                raise DataError(
                    str(path), f"holds the pickled layout, which is not read; fetch the binary one ({self.folder})"
                )
            raise DataError(str(path), f"holds neither {first} nor the folder {self.folder}")
        for name in (self.names_file, *(name for name, _, _ in self.files)):
            if not (folder / name).is_file():
                raise DataError(str(folder / name), f"no such file; {self.name} consists of {self._contents()}")
        return folder

    def _contents(self) -> str:
        return ", ".join([*(name for name, _, _ in self.files), self.names_file])

    def _class_names(self, file: Path) -> tuple[str, ...]:
        names = tuple(file.read_text(encoding="utf-8", errors="replace").split())
        if len(names) != self.classes or len(set(names)) != self.classes:
            raise DataError(str(file), f"must hold {self.classes} different names, a line each", len(names))
        return names

    def _read_file(self, file: Path, records: int, image_size: int | None) -> Pictures:
        """The images of one file.

        Raises:
            DataError: it is too short or too long, or holds a label that no class has.
        """
        raw = np.fromfile(file, np.uint8)
        wanted = records * (self.label_bytes + PIXEL_BYTES)
        if len(raw) != wanted:
            raise DataError(str(file), f"must be {wanted} bytes long ({records} records); fetch it again", len(raw))
        table = raw.reshape(records, self.label_bytes + PIXEL_BYTES)
        labels = table[:, self.label_bytes - 1].astype(np.int64)
        if labels.max() >= self.classes:
            raise DataError(str(file), f"must hold labels below {self.classes}; fetch it again", int(labels.max()))
        images = table[:, self.label_bytes :].reshape(records, 3, 32, 32)
        return Pictures(images if image_size is None else resize_all(images, image_size), labels)


def _joined(pieces: list[Pictures]) -> Pictures:
    return Pictures(np.concatenate([p.images for p in pieces]), np.concatenate([p.labels for p in pieces]))


register(
    Cifar(
        name="cifar10",
        path="required",
        augment="flip",
        folder="cifar-10-batches-bin",
        python_folder="cifar-10-batches-py",
        names_file="batches.meta.txt",
        classes=10,
        label_bytes=1,
        files=(*((f"data_batch_{i}.bin", "train", 10_000) for i in range(1, 6)), ("test_batch.bin", "test", 10_000)),
    )
)
register(
    Cifar(
        name="cifar100",
        path="required",
        augment="flip",
        folder="cifar-100-binary",
        python_folder="cifar-100-python",
        names_file="fine_label_names.txt",
        classes=100,
        label_bytes=2,
        files=(("train.bin", "train", 50_000), ("test.bin", "test", 10_000)),
    )
)
