"""Seeds: each epoch has its own, so that a resumed training draws the same random numbers as an uninterrupted one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """Yields a generator on `device` with `seed`.

    Within the block torch's global generators have the seed too (for dropout) and cuDNN is deterministic; both are restored.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield torch.Generator(device).manual_seed(seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed of 63 bits for one epoch; those of neighbouring seeds and epochs are unrelated."""
    return int.from_bytes(hashlib.sha256(f"{seed} {epoch}".encode()).digest()[:8], "big") >> 1
