"""Checkpoints and weights, written atomically.

A checkpoint begins with the SHA-256 of what follows, so that any damage is noticed before a byte of it is interpreted;
reading never unpickles more than tensors and plain containers (`weights_only`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.files import atomic_write
from trainers.training.config import TrainConfig

DIGEST_BYTES = 32


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors and plain containers) into `path`; a reader sees the old file or the new one, whole."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getbuffer()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)


def load(path: Path) -> dict[str, Any] | None:
    """What `save` wrote into `path`, on the CPU; None if there is no such file or it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state


def save_weights(path: Path, module: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write the parameters and buffers of `module` as safetensors, with `metadata` in its header."""
    # Copies, for safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata=dict(metadata))


def load_metadata(path: Path) -> dict[str, str]:
    """The metadata that `save_weights` wrote into `path`; empty if there is no such file or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def load_weights(path: Path) -> dict[str, Tensor]:
    """What `save_weights` wrote, for `module.load_state_dict`; on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        safetensors.SafetensorError: it is no such file, or damaged.
    """
    return load_file(path)


def training_identity(module: nn.Module, data: Dataset, config: TrainConfig, seed: int) -> str:
    """What a training and a checkpoint of it agree in: shapes of parameters, data, configuration and seed."""
    shapes = [(name, list(value.shape)) for name, value in module.state_dict().items()]
    content = json.dumps([shapes, data.fingerprint, config.model_dump(mode="json"), seed])
    return hashlib.sha256(content.encode()).hexdigest()
