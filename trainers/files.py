"""Files that are either whole or not there, and arrays that grow on disk instead of in memory. No torch.

A file of tensors is safetensors: 8 bytes that tell the length of a JSON header, the header, the tensors one after another.
`TensorFile` writes one in a single pass, from pieces, so that no tensor has to be in memory as a whole, and its metadata
last, when they are known.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainers.errors import DataError

METADATA_ROOM = 4096
"""Bytes kept in a header for metadata that are not known when writing begins, above those that are."""

_DTYPES = {np.dtype(np.int64): "I64", np.dtype(np.uint8): "U8"}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place if the block ends well, and is removed if it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Scratch:
    """Arrays uint8 of one shape, appended to a file that has no name and goes with the last who reads it.

    Args:
        folder: where the file's bytes are kept; none: the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115 (`close` is ours too)
        self._count = 0
        self._shape: tuple[int, ...] = ()

    def append(self, array: NDArray[np.uint8]) -> None:
        """Add `array` after the others, which have its shape."""
        self._shape = array.shape
        self._file.write(array.tobytes())
        self._count += 1

    def array(self) -> NDArray[np.uint8]:
        """All that was appended so far, `(N, *shape)`, mapped into memory."""
        self._file.flush()
        shape = (self._count, *self._shape)
        if not self._count:
            return np.empty(shape, np.uint8)
        # A plain view: to take a row of a `memmap` costs more than to hash it.
        return np.asarray(np.memmap(self._file, np.uint8, "r", shape=shape))

    def close(self) -> None:
        """Append no more; an `array` lives on."""
        self._file.close()


class TensorFile:
    """A safetensors file while it is written: every tensor in the order of `shapes`, then `finish`.

    Args:
        file: open for writing, empty.
        shapes: type and shape of each tensor; those of wider types first, as readers want them aligned.
        metadata_bytes: an estimate of the length of the metadata's values.
    """

    def __init__(
        self, file: BinaryIO, shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], metadata_bytes: int
    ) -> None:
        self._file = file
        self._entries: dict[str, Any] = {}
        end = 0
        for name, (dtype, shape) in shapes.items():
            start, end = end, end + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            self._entries[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        room = len(json.dumps(self._entries)) + metadata_bytes + METADATA_ROOM
        self._header_bytes = -(-room // 8) * 8
        self._end = 8 + self._header_bytes + end
        file.seek(8 + self._header_bytes)

    def write(self, rows: NDArray[Any]) -> None:
        """Add the next rows of the tensor that is being written, or the first ones of the next."""
        self._file.write(np.ascontiguousarray(rows).data)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write the header.

        Raises:
            ValueError: bytes are missing, or too many, or the metadata are longer than was said.
        """
        if self._file.tell() != self._end:
            raise ValueError(f"the tensors must end at byte {self._end}, found {self._file.tell()}")
        header = json.dumps({"__metadata__": dict(metadata), **self._entries}).encode()
        if len(header) > self._header_bytes:
            raise ValueError(f"the header must fit into {self._header_bytes} bytes, found {len(header)}")
        self._file.seek(0)
        self._file.write(self._header_bytes.to_bytes(8, "little") + header.ljust(self._header_bytes))


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Tell of a full disk, or of files that may not be read or written, as a `DataError` that names the file or `folder`."""
    try:
        yield
    except OSError as error:
        raise DataError(
            str(error.filename or folder), f"cannot be read or written ({error.strerror or error})"
        ) from error
