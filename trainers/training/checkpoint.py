"""Checkpoints and weights, written atomically; when to write a checkpoint, and which training it belongs to.

A checkpoint begins with the SHA-256 of what follows, so that any damage is noticed before a byte of it is interpreted. Reading
unpickles only tensors and plain containers (`weights_only`).
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save as to_bytes
from torch import Tensor, nn

from trainers.files import atomic_write, reserve, write_reserved
from trainers.input_files import IrregularFileError, open_input
from trainers.training.weights_file import TENSORS_DIGEST, DamagedWeightsError, read_metadata, tensors_digest

log = logging.getLogger(__name__)

DIGEST_BYTES = 32
MAX_SAVE_SHARE = 0.005  # of the time since the last checkpoint
ASSUMED_SAVE_S = 0.02  # seconds of writing a checkpoint, before the first is written
RESERVED_HEADER_BYTES = 65536  # of a file of weights: names and shapes of tensors
RESERVED_EPOCH_BYTES = 512  # of the record of an epoch in that header


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors and plain containers) into `path`; a reader sees the whole old file or the whole new one."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getbuffer()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)


def load(path: Path) -> dict[str, Any] | None:
    """What `save` wrote into `path`, on the CPU; None if the file does not exist or is damaged.

    Raises:
        OSError, MemoryError: the disk is broken, or the memory full; the file may be intact.
    """
    try:
        with open_input(path) as file:
            content = file.read()
    except FileNotFoundError:
        return None
    except IrregularFileError as error:
        log.info("ignored %s: %s", path, error.strerror)
        return None
    digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        log.info("ignored %s: it is damaged", path)
        return None
    try:
        state: object = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch documents none
        log.info("ignored %s: it is no checkpoint (%s: %s)", path, type(error).__name__, error)
        return None
    return state if isinstance(state, dict) else None


def save_weights(path: Path, module: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write the parameters and buffers of `module` as safetensors, with `metadata` and a digest of them in its header.

    Raises:
        OSError: the disk is full or broken.
    """
    # Copies, because safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = tensors_digest((name, tensors[name].reshape(-1).view(torch.uint8).numpy()) for name in sorted(tensors))
    # safetensors' own writing raises no OSError.
    content = to_bytes(tensors, metadata={**metadata, TENSORS_DIGEST: digest})
    with atomic_write(path) as temporary:
        write_reserved(temporary, content)


@contextmanager
def reserve_weights(path: Path, module: nn.Module, epochs: int) -> Iterator[None]:
    """Within the block the disk has room for `save_weights` of `module` after `epochs` epochs.

    A training whose weights would find no room fails before it starts.

    Raises:
        OSError: there is no room.
    """
    size_bytes = sum(value.numel() * value.element_size() for value in module.state_dict().values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with reserve(path, size_bytes + RESERVED_HEADER_BYTES + epochs * RESERVED_EPOCH_BYTES):
        yield


def load_metadata(path: Path) -> dict[str, str]:
    """The metadata that `save_weights` wrote into `path`; empty if the file does not exist or is damaged."""
    try:
        metadata = read_metadata(path)
    except (OSError, DamagedWeightsError):
        return {}
    return {key: value for key, value in metadata.items() if key != TENSORS_DIGEST}


def load_weights(path: Path) -> dict[str, Tensor]:
    """What `save_weights` wrote, for `module.load_state_dict`; on the CPU.

    Raises:
        FileNotFoundError: the file does not exist.
        safetensors.SafetensorError: the file is damaged or not one of weights.
    """
    return load_file(path)


class Fingerprinted(Protocol):
    """Images, or a study of them, with their fingerprint."""

    @property
    def fingerprint(self) -> str:
        """A hexadecimal digest of all the images, their labels and their split."""
        ...


def training_identity(module: nn.Module, data: Fingerprinted, config: BaseModel, seed: int, origin: str = "") -> str:
    """What a training and its checkpoint have in common: shapes of weights, data, configuration and seed; as a digest.

    Args:
        module: the network.
        data: the images.
        config: how it is trained.
        seed: of everything random in the training.
        origin: what identifies initial weights that were not drawn by `seed`; empty if all were.
    """
    shapes = [(name, list(value.shape)) for name, value in module.state_dict().items()]
    parts = [shapes, data.fingerprint, config.model_dump(mode="json"), seed, *([origin] if origin else [])]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class CheckpointSchedule:
    """When a training writes a checkpoint: at its milestones, and where writing takes at most `MAX_SAVE_SHARE` of the time.

    Args:
        milestones: epochs after which a checkpoint is written in any case.
        clock: seconds from any start.
    """

    def __init__(self, milestones: Collection[int], clock: Callable[[], float] = time.perf_counter) -> None:
        self._milestones = milestones
        self._clock = clock
        self._saved_at = clock()
        self._save_s = ASSUMED_SAVE_S

    def is_due(self, epoch: int) -> bool:
        """Whether a checkpoint is to be written after `epoch`."""
        return epoch in self._milestones or self._clock() - self._saved_at >= self._save_s / MAX_SAVE_SHARE

    def unsaved_s(self) -> float:
        """Seconds since the last checkpoint, or since the start."""
        return self._clock() - self._saved_at

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Times the block, which must write a checkpoint."""
        start = self._clock()
        yield
        self._saved_at = self._clock()
        self._save_s = self._saved_at - start
