"""Verifies a file of prepared images by its fingerprint, once on each machine.

The fingerprint is a SHA-256 over all images, labels and class names, so files of any version can be verified. Reading 1 GB
takes about a second and a half; a mark in the machine's own folder spares it to the other processes of the machine. The mark
is keyed by what changes whenever the file is written (inode, size, times), and holds for `MAX_MARK_AGE_S`, since a disk that
decays changes none of these.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trainers.data.types import PARTS
from trainers.disk import error_kind
from trainers.errors import DataError
from trainers.input_files import open_input
from trainers.json_text import parse_json
from trainers.node_folder import node_folder

MAX_MARK_AGE_S = 86_400.0
"""A file is verified again after a day."""

BLOCK_BYTES = 1 << 20

DAMAGED = (
    "is damaged: its images or labels are not those that were decoded; `nas search` on the study decodes them again"
)

METADATA_DIGEST = "metadata_digest"
"""The key of the metadata with their own digest; files of earlier versions have none."""

log = logging.getLogger(__name__)


def verify(file: Path, heartbeat: Callable[[], None] = lambda: None) -> None:
    """Check that the images, labels and metadata in `file`, written by `prepare`, are those that were written.

    Args:
        file: the file; `describe` says more of one that is none of prepared images.
        heartbeat: called between blocks; what it raises ends the work.

    Raises:
        DataError: they are not, or the file cannot be read.
    """
    try:
        with _mark(file) as mark:
            if mark is not None and _is_recent(mark):
                return
            start = time.perf_counter()
            try:
                _check(file, heartbeat)
            except DataError:
                raise
            except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
                raise DataError(str(file), DAMAGED) from error
            log.debug("verified %s in %.2f s", file, time.perf_counter() - start)
            if mark is not None:
                with suppress(OSError):  # the temporary folder is full: the file is verified again
                    mark.touch()
    except OSError as error:
        raise error_kind(error)(str(file), f"cannot be read ({error.strerror or error})") from error


def metadata_digest(metadata: dict[str, Any]) -> str:
    """The digest of the `metadata` of a file, without the digest itself."""
    content = {key: value for key, value in metadata.items() if key != METADATA_DIGEST}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _check(file: Path, heartbeat: Callable[[], None]) -> None:
    """Raise `DataError` if the file is damaged."""
    with open_input(file) as stream:
        header_bytes = min(int.from_bytes(stream.read(8), "little"), os.fstat(stream.fileno()).st_size)
        header = parse_json(stream.read(header_bytes))
        metadata = parse_json(header["__metadata__"]["dataset"])
        digest = hashlib.sha256(json.dumps(list(metadata["class_names"])).encode())
        for part in PARTS:
            images, labels = header[f"{part}.images"], header[f"{part}.labels"]
            digest.update(f"{part} {tuple(images['shape'])}".encode())
            for tensor in (images, labels):
                start, end = tensor["data_offsets"]
                _update(digest, stream, 8 + header_bytes + start, end - start, heartbeat)
    is_intact = digest.hexdigest()[:32] == metadata["fingerprint"]
    if not is_intact or metadata.get(METADATA_DIGEST, metadata_digest(metadata)) != metadata_digest(metadata):
        raise DataError(str(file), DAMAGED)


def _update(digest: Any, stream: BinaryIO, start: int, size: int, heartbeat: Callable[[], None]) -> None:
    """Add `size` bytes of `stream` from `start` on to `digest`."""
    stream.seek(start)
    left = size
    while left > 0:
        block = stream.read(min(BLOCK_BYTES, left))
        if not block:
            return  # cut off; the digest will not fit
        digest.update(block)
        left -= len(block)
        heartbeat()


@contextmanager
def _mark(file: Path) -> Iterator[Path | None]:
    """The mark of the file as it is now, locked, so that one process of a machine verifies it; None: there is no place for it."""
    status = file.stat()
    key = [str(file.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    with ExitStack() as stack:
        try:
            folder = node_folder("verified")
            _remove_old_marks(folder)
            lock = stack.enter_context((folder / f"{name}.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            mark: Path | None = folder / name
        except OSError as error:  # a machine without a temporary folder, or without locks in it: each process verifies
            log.info("no mark for %s: %s", file, error)
            mark = None
        yield mark


def _is_recent(mark: Path) -> bool:
    try:
        return 0 <= time.time() - mark.stat().st_mtime < MAX_MARK_AGE_S
    except FileNotFoundError:
        return False


def _remove_old_marks(folder: Path) -> None:
    for file in folder.iterdir():
        try:
            if time.time() - file.stat().st_mtime > MAX_MARK_AGE_S:
                file.unlink(missing_ok=True)
        except FileNotFoundError:
            continue  # another process has removed it
