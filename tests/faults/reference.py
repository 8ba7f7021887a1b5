"""Undisturbed trainings: what the values and the weights of a trial must be, to the bit.

The training of an architecture depends on its seed, the images and the configuration alone, so one training without faults, in
one process, says what every disturbed one must end with. References are kept in a file, since a soak meets the same
architectures again and again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.evaluation.networks import initial_network
from nas.study.config import StudyConfig
from nas.study.images import prepare_images
from nas.study.trials import seed_of
from search_space import Architecture
from trainers.data.dataset import load
from trainers.files import atomic_write
from trainers.training.loop import ProxyTraining

CURVE_KEYS = ("epoch", "train_loss", "val_loss", "val_accuracy", "lr")
"""Keys of an epoch that do not depend on the speed of the machine."""


@dataclass(frozen=True)
class Reference:
    """The result of an undisturbed training.

    Args:
        curve: the values of each epoch in the order of `CURVE_KEYS`.
        weights: a digest of the trained weights.
    """

    curve: Sequence[Sequence[float]]
    weights: str


@dataclass
class References:
    """Trains architectures without faults.

    Args:
        config: the configuration of the study.
        cache: a folder for decoded images and for the references of earlier runs.
    """

    config: StudyConfig
    cache: Path
    _references: dict[str, Reference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self._file.exists():
            plain = json.loads(self._file.read_text())
            self._references = {key: Reference(**reference) for key, reference in plain.items()}

    def of(self, architecture: Architecture) -> Reference:
        """The reference of `architecture` with the seed that a study gives it."""
        seed = seed_of(self.config.seed, architecture.id)
        key = f"{architecture.id}/{seed}/{self.config.train.epochs}"
        if key not in self._references:
            self._references[key] = self._train(architecture, seed)
            self.cache.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._file) as temporary:
                plain = {name: vars(reference) for name, reference in self._references.items()}
                temporary.write_text(json.dumps(plain))
        return self._references[key]

    def _train(self, architecture: Architecture, seed: int) -> Reference:
        self.cache.mkdir(parents=True, exist_ok=True)
        data_file, _ = prepare_images(self.config, self.cache)
        with _threads(self.config.resources.cpus_per_trial):
            network = initial_network(architecture, seed)
            training = ProxyTraining(network, load(data_file), self.config.train, seed=seed)
            curve = [epoch.to_dict() for epoch in training.epochs()]
        return Reference(comparable_curve(curve), digest(training.model.state_dict()))

    @property
    def _file(self) -> Path:
        settings = [
            self.config.train.model_dump(mode="json"),
            self.config.data.model_dump(mode="json"),
            torch.__version__,
        ]
        name = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
        return self.cache / f"references-{name}.json"


def comparable_curve(curve: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """The values of `curve`, one entry per epoch, that do not depend on the speed of the machine."""
    return [[epoch.get(key) for key in CURVE_KEYS] for epoch in curve]


def digest(weights: Mapping[str, Tensor]) -> str:
    """A digest of the names, shapes and bits of `weights`."""
    content = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        content.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Within the block torch computes with `count` threads, as a worker does: sums depend on it in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
