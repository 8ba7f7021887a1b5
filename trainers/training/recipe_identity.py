"""Which training a checkpoint of a recipe belongs to."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from trainers.training.checkpoint import Fingerprinted, training_identity
from trainers.training.recipe_config import RecipeConfig


def recipe_identity(
    module: nn.Module, data: Fingerprinted, config: RecipeConfig, seed: int, teacher: nn.Module | None
) -> str:
    """What a training and its checkpoint have in common, as a digest: that of a proxy's, and the weights of the teacher."""
    identity = training_identity(module, data, config, seed)
    if teacher is None:
        return identity
    return hashlib.sha256(f"{identity} {weights_digest(teacher)}".encode()).hexdigest()


def weights_digest(module: nn.Module) -> str:
    """The SHA-256 of the names and bits of all weights and buffers, hexadecimal."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
