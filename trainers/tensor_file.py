"""Arrays that grow on disk instead of in memory, and files of tensors that are written in a single pass. No torch.

A file of tensors is safetensors: 8 bytes with the length of a JSON header, the header, the tensors one after another.
`TensorFile` writes one a few rows at a time, so that no tensor has to be in memory as a whole, and its metadata last, when they
are known.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

RESERVED_METADATA_BYTES = 4096
"""Bytes of a header that are reserved for metadata, above the estimate that the caller gives."""

_DTYPES = {np.dtype(np.int64): "I64", np.dtype(np.uint8): "U8"}


class Scratch:
    """Arrays uint8 of one shape, appended to a file without a name, which is deleted when nothing reads it any more.

    Args:
        folder: where the file is kept; None: the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115 (closed by `close`)
        self._count = 0
        self._shape: tuple[int, ...] = ()

    def append(self, array: NDArray[np.uint8]) -> None:
        """Add `array` after the others, which must have its shape."""
        self._shape = array.shape
        self._file.write(array.tobytes())
        self._count += 1

    def replace(self, row: int, array: NDArray[np.uint8]) -> None:
        """Write `array` in the place of the one that was appended as number `row`."""
        self._file.seek(row * array.nbytes)
        self._file.write(array.tobytes())
        self._file.seek(0, os.SEEK_END)

    def array(self) -> NDArray[np.uint8]:
        """All arrays appended so far, `(N, *shape)`, mapped into memory."""
        self._file.flush()
        shape = (self._count, *self._shape)
        if not self._count:
            return np.empty(shape, np.uint8)
        # A plain view, because indexing a `memmap` takes longer than hashing the row.
        return np.asarray(np.memmap(self._file, np.uint8, "r", shape=shape))

    def close(self) -> None:
        """Append no more; arrays of `array` stay valid."""
        self._file.close()


class TensorFile:
    """Writes a safetensors file: every tensor in the order of `shapes`, then `finish`.

    Args:
        file: an empty file, open for writing.
        shapes: dtype and shape of each tensor; wider dtypes first, because readers want them aligned.
        metadata_bytes: estimated length of the metadata's values.
    """

    def __init__(
        self, file: BinaryIO, shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], metadata_bytes: int
    ) -> None:
        self._file = file
        self._header: dict[str, Any] = {}
        end = 0
        for name, (dtype, shape) in shapes.items():
            start, end = end, end + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            self._header[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        max_bytes = len(json.dumps(self._header)) + metadata_bytes + RESERVED_METADATA_BYTES
        self._header_bytes = -(-max_bytes // 8) * 8
        self._end = 8 + self._header_bytes + end
        file.seek(8 + self._header_bytes)

    def write(self, rows: NDArray[Any]) -> None:
        """Write the next rows of the current tensor, or the first rows of the next."""
        self._file.write(np.ascontiguousarray(rows).data)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write the header.

        Raises:
            ValueError: the tensors have too few or too many bytes, or the metadata are longer than estimated.
        """
        if self._file.tell() != self._end:
            raise ValueError(f"the tensors must end at byte {self._end}, found {self._file.tell()}")
        header = json.dumps({"__metadata__": dict(metadata), **self._header}).encode()
        if len(header) > self._header_bytes:
            raise ValueError(f"the header must fit into {self._header_bytes} bytes, found {len(header)}")
        self._file.seek(0)
        self._file.write(self._header_bytes.to_bytes(8, "little") + header.ljust(self._header_bytes))
