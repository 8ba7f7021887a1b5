"""CIFAR-10 and CIFAR-100 in their published binary layout (A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html).

A file is a sequence of records, each of one or two label bytes and 3072 bytes of pixels, channels first: `(3, 32, 32)`, RGB.

    cifar-10-batches-bin/   data_batch_1.bin ... data_batch_5.bin, test_batch.bin   1 + 3072 bytes; batches.meta.txt
    cifar-100-binary/       train.bin, test.bin                   coarse + fine + 3072 bytes; fine_label_names.txt

The test batch is the test split; the validation split is drawn from the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from trainers.data.pixels import resize_all
from trainers.data.sources.base import Source, register
from trainers.data.summary import summarize_arrays
from trainers.data.types import DecodedData, LabeledImages, LocatedData, Part, ReadContext, SourceRequest
from trainers.errors import DataError
from trainers.input_files import read_input

PIXEL_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar(Source):
    """CIFAR-10 or CIFAR-100 in the binary layout.

    Args:
        folder: the name of the folder that the archive unpacks to.
        python_folder: the folder of the pickled layout, which is not read.
        names_file: the file with one class name a line.
        classes: number of classes.
        label_bytes: number of bytes before the pixels; the last one is the label.
        files: the name, the part and the number of records of each file.
    """

    folder: str
    python_folder: str
    names_file: str
    classes: int
    label_bytes: int
    files: tuple[tuple[str, Part, int], ...]

    def locate(self, request: SourceRequest) -> LocatedData:
        folder = self._find_folder(request)
        status = [(name, (folder / name).stat()) for name in self._file_names]
        identity = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in status)
        return LocatedData(identity, partial(self._read, folder, request.image_size))

    def _read(self, folder: Path, image_size: int | None, context: ReadContext) -> DecodedData:
        class_names = self._class_names(folder / self.names_file)
        total = sum(records for _, _, records in self.files)
        done = 0
        parts: dict[Part, list[LabeledImages]] = {}
        for name, part, records in self.files:
            piece = self._read_file(folder / name, records)
            if image_size is not None:
                piece = replace(piece, images=resize_all(piece.images, image_size, context.resizing))
            parts.setdefault(part, []).append(piece)
            done += records
            if context.progress is not None:
                context.progress(done, total)
        images = {part: _concatenate(pieces) for part, pieces in parts.items()}
        return DecodedData(self.name, class_names, images, summaries=summarize_arrays(images, (32, 32), "RGB"))

    def _find_folder(self, request: SourceRequest) -> Path:
        """The folder of the files: the path itself, or the one of the published name in it."""
        if request.path is None:
            raise DataError("path", f"has to be given: it is the folder {self.folder}, or the one that holds it")
        path = request.path
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
        for name in self._file_names:
            if not (folder / name).is_file():
                all_names = ", ".join((*self._file_names[1:], self.names_file))
                raise DataError(str(folder / name), f"no such file; {self.name} consists of {all_names}")
        return folder

    @property
    def _file_names(self) -> tuple[str, ...]:
        return (self.names_file, *(name for name, _, _ in self.files))

    def _class_names(self, file: Path) -> tuple[str, ...]:
        names = tuple(read_input(file).decode(errors="replace").split())
        if len(names) != self.classes or len(set(names)) != self.classes:
            raise DataError(str(file), f"must hold {self.classes} different names, one a line", len(names))
        return names

    def _read_file(self, file: Path, records: int) -> LabeledImages:
        """The images of one file.

        Raises:
            DataError: the file is too short or too long, or holds a label that is not the number of a class.
        """
        raw = np.fromfile(file, np.uint8)
        expected_bytes = records * (self.label_bytes + PIXEL_BYTES)
        if len(raw) != expected_bytes:
            raise DataError(
                str(file), f"must be {expected_bytes} bytes long ({records} records); fetch it again", len(raw)
            )
        table = raw.reshape(records, self.label_bytes + PIXEL_BYTES)
        labels = table[:, self.label_bytes - 1].astype(np.int64)
        if labels.max() >= self.classes:
            raise DataError(str(file), f"must hold labels below {self.classes}; fetch it again", int(labels.max()))
        images = table[:, self.label_bytes :].reshape(records, 3, 32, 32)
        return LabeledImages(images, labels)


def _concatenate(pieces: list[LabeledImages]) -> LabeledImages:
    return LabeledImages(np.concatenate([p.images for p in pieces]), np.concatenate([p.labels for p in pieces]))


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
