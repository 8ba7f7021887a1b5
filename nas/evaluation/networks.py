"""The network of a trial: with its initial weights, or trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nas.study.layout import WEIGHTS
from search_space import Architecture
from search_space.modules.network import Network, build
from trainers.training import checkpoint


def initial_network(architecture: Architecture, seed: int) -> Network:
    """Build the network with the initial weights of `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(architecture)


def trained_network(architecture: Mapping[str, Any], folder: Path) -> Network:
    """Load the trained network of a finished trial in `folder`, in evaluation mode.

    Raises:
        FileNotFoundError: there are no weights.
        RuntimeError: they are not those of such a network, or not finite.
    """
    network = build(Architecture.from_dict(dict(architecture)))
    weights = checkpoint.load_weights(folder / WEIGHTS)
    for name, value in network.state_dict().items():
        if name in weights and weights[name].dtype != value.dtype:
            raise RuntimeError(f"{name} must be of type {value.dtype}, found {weights[name].dtype}")
        if name in weights and not bool(torch.isfinite(weights[name]).all()):
            raise RuntimeError(f"{name} must be finite")
    network.load_state_dict(weights)
    return network.eval()
