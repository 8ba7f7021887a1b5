"""The file of a network's weights: safetensors with metadata and a digest of the tensors in its header. No torch.

safetensors checks that the header fits the file, and nothing of the tensors: a flipped bit of one is found by the digest alone.
Files of version 0.1 have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from trainers.input_files import IrregularFileError, check_input
from trainers.json_text import parse_json

TENSORS_DIGEST = "tensors_sha256"
"""The key of the metadata that holds the digest."""
LENGTH_BYTES = 8
"""Bytes of the length of the header, at the start of the file."""


class DamagedWeightsError(Exception):
    """The file is damaged, or no file of weights; the message says what is wrong, without the file."""


def tensors_digest(tensors: Iterable[tuple[str, Any]]) -> str:
    """The SHA-256 of `tensors`, pairs of a name and a buffer, in the order of their names."""
    digest = hashlib.sha256()
    for name, content in tensors:
        digest.update(f"{name}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def read_metadata(file: Path) -> dict[str, str]:
    """The metadata of `file`.

    Raises:
        FileNotFoundError: the file does not exist.
        DamagedWeightsError: it is damaged, or no file of weights.
    """
    try:
        check_input(file)
        with safe_open(file, framework="numpy") as content:
            return dict(content.metadata() or {})
    except SafetensorError as error:
        raise DamagedWeightsError(str(error)) from None
    except IrregularFileError as error:
        raise DamagedWeightsError(error.strerror) from None


def check_tensors(file: Path) -> None:
    """Compare the tensors of `file` with the digest in its header; a file of version 0.1 has none, and passes.

    Raises:
        FileNotFoundError: the file does not exist.
        DamagedWeightsError: it is damaged, or no file of weights.
    """
    expected = read_metadata(file).get(TENSORS_DIGEST)
    if expected is not None and tensors_digest(_tensors(file)) != expected:
        raise DamagedWeightsError("the tensors do not have the digest in the header")


def _tensors(file: Path) -> Iterable[tuple[str, bytes]]:
    """Name and bytes of each tensor of `file`, which `safe_open` has checked, in the order of the names."""
    with file.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(LENGTH_BYTES), "little")
        header: Mapping[str, Any] = parse_json(stream.read(header_bytes))
        for name in sorted(header.keys() - {"__metadata__"}):
            start, end = header[name]["data_offsets"]
            stream.seek(LENGTH_BYTES + header_bytes + start)
            yield name, stream.read(end - start)
