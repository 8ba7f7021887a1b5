"""Files that are written atomically, and arrays that grow on disk instead of in memory. No torch.

A file of tensors is safetensors: 8 bytes with the length of a JSON header, the header, the tensors one after another.
`TensorFile` writes one in a single pass, a few rows at a time, so that no tensor has to be in memory as a whole, and its
metadata last, when they are known.

An error of the disk names the file that could not be written, not its temporary one.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainers.errors import DataError, DiskError
from trainers.json_text import parse_json

MAX_INPUT_BYTES = 1 << 30
"""Of a table: more than 10 million rows."""
MAX_JSON_BYTES = 1 << 28
"""Of a file of JSON that a program keeps; those of large studies have a few megabytes."""

RESERVED_METADATA_BYTES = 4096
"""Bytes of a header that are reserved for metadata, above the estimate that the caller gives."""

NO_ROOM_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk, the quota or the limit on the size of a file is used up: room can be made, and the work goes on."""

DISK_ERRNOS = NO_ROOM_ERRNOS | {
    errno.EIO,
    errno.EROFS,
    errno.ESTALE,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENXIO,
    errno.ENODEV,
}
"""Errors of the disk and of the machine, whatever file is read or written."""


def is_disk_error(error: BaseException) -> bool:
    """Whether `error` is trouble of the disk or of the machine, which says nothing about the file that is read."""
    return isinstance(error, OSError) and error.errno in DISK_ERRNOS


def error_kind(error: BaseException) -> type[DataError]:
    """The class of the error about a file whose reading raised `error`."""
    return DiskError if is_disk_error(error) else DataError


class IrregularFileError(OSError):
    """There is a pipe, a device, a folder or a link (one that leads nowhere, where links are followed) in the place of a file."""


def open_regular(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of the regular file `path`, which child processes do not inherit.

    No link is followed, so that nobody who may write to the folder can make this process write elsewhere.

    Args:
        path: the file.
        flags: as for `os.open`.
        mode: of a file that is created.

    Raises:
        IrregularFileError: there is something else at `path`.
        OSError: it cannot be opened.
    """
    try:
        # O_NONBLOCK: a pipe is opened at once instead of when somebody writes to it.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _irregular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return descriptor


def open_input(path: Path) -> io.BufferedReader:
    """Open a file to read it, whatever somebody has put in its place; links are followed.

    Raises:
        IrregularFileError: it is a folder, a link to itself, or a device, a pipe or a socket, which may have no end or no writer.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise IrregularFileError(error.errno, error.strerror, str(path)) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IrregularFileError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise IrregularFileError(errno.EINVAL, "is a device, a pipe or a socket, and no file", str(path))
    return os.fdopen(descriptor, "rb")


def check_input(path: Path) -> None:
    """Check that `path` is a file, for readers of other packages, which would wait for the writer of a pipe.

    Raises:
        OSError: as `open_input`.
    """
    open_input(path).close()


def read_input(path: Path, max_bytes: int = MAX_INPUT_BYTES) -> bytes:
    """The content of a file; links are followed.

    Raises:
        OSError: it cannot be read, is larger than `max_bytes`, or is a device, a pipe or a socket.
    """
    with open_input(path) as file:
        is_larger = os.fstat(file.fileno()).st_size > max_bytes
        content = b"" if is_larger else file.read(max_bytes + 1)  # files of the system say that they have 0 bytes
    if is_larger or len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes >> 20} MiB", str(path))
    return content


def read_json(path: Path) -> Any:
    """The value in a file of JSON that a program keeps.

    Raises:
        OSError: it cannot be read, is larger than `MAX_JSON_BYTES`, or is a device, a pipe or a socket.
        ValueError: it is no JSON, or is nested too deeply.
    """
    return parse_json(read_input(path, MAX_JSON_BYTES))


def _irregular(path: Path) -> IrregularFileError:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(path.lstat().st_mode), "a device")
    return IrregularFileError(errno.EINVAL, f"must be a regular file, found {kind}", str(path))


_DTYPES = {np.dtype(np.int64): "I64", np.dtype(np.uint8): "U8"}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside `path`. It replaces `path` if the block ends without an error; otherwise it is removed.

    Raises:
        OSError: the disk is full or broken; the error names `path`.
    """
    temporary = _temporary_file(path)
    _remove_link(temporary)
    try:
        with _named(path, temporary):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`, whose files are moved into `folder` if the block ends without an error.

    Files of other names in `folder` stay. After an error all is as it was. What killed processes have left is removed first. The
    files get the permissions that new files have (safetensors gives its files to their owner alone).
    """
    temporary = _temporary_file(folder.absolute())
    _remove_leftovers(temporary.parent, folder.absolute().name)
    missing = [parent for parent in temporary.parents if not parent.exists()]
    temporary.mkdir(parents=True)
    try:
        with _locked(temporary):
            yield temporary
            folder.mkdir(parents=True, exist_ok=True)
            mode = _mode_of_new_files(temporary)
            for file in temporary.iterdir():
                file.chmod(mode)
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):  # not empty: the folder is written
            for parent in missing:
                parent.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """A lock on `folder` that ends with the process; yields whether no other process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        except OSError:  # some network file systems have no locks on folders, either
            is_free = False
        yield is_free
    finally:
        os.close(descriptor)


def _remove_leftovers(parent: Path, name: str) -> None:
    """Remove the temporary folders for `parent / name`, and those for them, that killed processes have left."""
    pattern = re.compile(rf"\.+{re.escape(name)}(\.[0-9]+\.tmp)+")
    with suppress(OSError):
        for temporary in [path for path in parent.iterdir() if pattern.fullmatch(path.name)]:
            with suppress(OSError), _locked(temporary) as is_free:
                if is_free:
                    shutil.rmtree(temporary, ignore_errors=True)


def _mode_of_new_files(folder: Path) -> int:
    """The permissions of a file that is created in `folder`, by the umask of this process, which cannot be read otherwise."""
    probe = folder / ".probe"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    return mode


@contextmanager
def reserve(path: Path, size_bytes: int) -> Iterator[None]:
    """Within the block the disk has room for `size_bytes` in `path`, written by `atomic_write` and `write_reserved`.

    Work whose result would find no room fails before it starts. The room is taken by the temporary file of `atomic_write`.
    File systems that cannot reserve room are not an error.

    Raises:
        OSError: there is no room; the error names `path`.
    """
    temporary = _temporary_file(path)
    _remove_link(temporary)
    try:
        with _named(path, temporary), temporary.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
            except OSError as error:
                if error.errno in NO_ROOM_ERRNOS:
                    raise
        yield
    finally:
        temporary.unlink(missing_ok=True)


def write_reserved(temporary: Path, content: bytes) -> None:
    """Write `content` into the file `temporary` that `atomic_write` yields, into the room that `reserve` took, if it did."""
    with temporary.open("r+b" if temporary.exists() else "wb") as file:
        file.write(content)
        file.truncate()


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files of `atomic_write` in `folder` that killed processes left."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def _temporary_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _remove_link(temporary: Path) -> None:
    """Remove a link at `temporary`: what is written there must not change the file that it leads to."""
    if temporary.is_symlink():
        temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """Give an `OSError` of the block the name `path` if it names `temporary`, or no file: a failed write names none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, temporary, str(temporary)):
            error.filename = str(path)
        raise


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


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Raise an `OSError` of the block as a `DataError` that names the file, or `folder` where the error names none.

    Raises:
        DiskError: the disk is full or broken.
        DataError: another error, such as a file that is missing or that may not be read.
    """
    try:
        yield
    except OSError as error:
        raise error_kind(error)(
            str(error.filename or folder), f"cannot be read or written ({error.strerror or error})"
        ) from error
