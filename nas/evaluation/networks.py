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
    """
    network = build(Architecture.from_dict(dict(architecture)))
    network.load_state_dict(checkpoint.load_weights(folder / WEIGHTS))
    return network.eval()
