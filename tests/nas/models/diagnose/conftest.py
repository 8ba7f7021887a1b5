"""Small networks and images for the diagnoses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nas.evaluation.networks import initial_network
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from search_space import Architecture

CLASSES = ("bird", "cat", "dog")


def small_subject(mixer: object, name: str = "model", seed: int = 0, depth: int = 1) -> DiagnosedModel:
    """A network of 8 x 8 RGB images on a map of 4 x 4, with random weights."""
    stage = {"mixer": mixer, "width": 8, "depth": depth}
    described: dict[str, Any] = {"stages": [stage], "stem": {"patch": 2}, "image_size": 8, "num_classes": 3}
    network = initial_network(Architecture.from_dict(described), seed).eval()
    return DiagnosedModel(name, network, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), network.architecture)


@pytest.fixture(scope="session")
def subject_of() -> Callable[..., DiagnosedModel]:
    """`small_subject`."""
    return small_subject


@pytest.fixture(scope="session")
def images() -> ImageSample:
    """Forty random images of three classes."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(40, 3, 8, 8, generator=generator)
    return ImageSample(pixels, torch.arange(40) % 3, CLASSES, "40 random images")
