"""Damage to files: what a crash, a bad disk or another program may leave of them. Each function says what it did."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import torch

DIGEST_BYTES = 32
"""Of the SHA-256 at the start of a checkpoint (`trainers.training.checkpoint`)."""


def damage_file(file: Path, random: Random) -> str:
    """Damage any file: cut it, change a byte of it, or replace it by text, by nothing or by other JSON."""
    kind = random.choice(("cut", "flipped", "text", "empty", "other"))
    with suppress(FileNotFoundError):
        content = bytearray(file.read_bytes())
        if kind == "cut":
            content = content[: random.randrange(len(content) or 1)]
        elif kind == "flipped" and content:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        elif kind == "text":
            content = bytearray(b"damaged\n")
        elif kind == "empty":
            content = bytearray()
        elif kind == "other":
            content = bytearray(json.dumps({"cpu": [1, 2], "images_per_s": None}).encode())
        file.write_bytes(content)
    return kind


def damage_checkpoint(file: Path, others: Sequence[Path], random: Random) -> str:
    """Damage a checkpoint, with or without the right digest.

    Args:
        file: the checkpoint.
        others: checkpoints of the study, one of which may take its place.
        random: chooses the damage.
    """
    kind = random.choice(("damaged", "removed", "foreign", "emptied", "no state"))
    with suppress(FileNotFoundError, RuntimeError, EOFError):
        if kind == "damaged":
            return damage_file(file, random)
        if kind == "removed":
            file.unlink()
        elif kind == "foreign":
            file.write_bytes(random.choice(others).read_bytes())
        elif kind == "emptied":
            state = torch.load(io.BytesIO(file.read_bytes()[DIGEST_BYTES:]), weights_only=True)
            write_checkpoint(file, {**state, "module": {}})
        else:
            write_checkpoint(file, [1, 2, 3])
    return kind


def write_checkpoint(file: Path, state: object) -> None:
    """Write `state` as a checkpoint with the right digest."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    file.write_bytes(hashlib.sha256(content).digest() + content)


def damage_weights(file: Path, random: Random) -> str:
    """Damage weights: anywhere, in their values alone, or remove them."""
    kind = random.choice(("damaged", "removed", "values"))
    if kind == "damaged":
        return damage_file(file, random)
    if kind == "removed":
        file.unlink(missing_ok=True)
    else:
        change_tensors(file, random)
    return kind


def change_tensors(file: Path, random: Random, names: str = "", share: float = 0.01) -> str:
    """Change a `share` of the bytes of those tensors of a safetensors file whose names end with `names`."""
    content = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    spans = [
        tensor["data_offsets"] for name, tensor in header.items() if name != "__metadata__" and name.endswith(names)
    ]
    offsets = [start + offset for first, last in spans for offset in range(first, last)]
    changed = random.sample(offsets, max(1, int(share * len(offsets))))
    for offset in changed:
        content[offset] ^= 0xFF
    file.write_bytes(content)
    return f"{len(changed)} bytes of {file.name}"
