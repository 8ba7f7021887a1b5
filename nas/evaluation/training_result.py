"""A training up to an epoch, and what comes of it: the values of the trained objectives, the curve and the times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from nas import objectives
from nas.evaluation.segment_clock import SegmentClock
from nas.study.outcomes.outcome_parts import Trained
from trainers.data.dataset import Dataset
from trainers.training.config import TrainConfig
from trainers.training.confusion import Confusion
from trainers.training.epoch import Epoch
from trainers.training.evaluation import confusion
from trainers.training.loop import ProxyTraining


@dataclass(frozen=True)
class TrainingResult:
    """A trained network, the argument of trained objectives (`nas.objectives.TrainedNetwork`)."""

    network: nn.Module
    data: Dataset
    history: Sequence[Epoch]
    config: TrainConfig

    def trained(self, names: Sequence[str], overhead_s: float) -> Trained:
        """The values of the trained objectives `names`, and the times, with `overhead_s` seconds outside epochs."""
        trained = [objectives.get(name) for name in names]
        return Trained(
            values={objective.name: float(objective.compute(self)) for objective in trained},
            curve=[epoch.to_dict() for epoch in self.history],
            train_s=sum(epoch.train_s for epoch in self.history),
            wall_s=sum(epoch.wall_s for epoch in self.history) + overhead_s,
            overhead_s=overhead_s,
        )

    @cached_property
    def confusion(self) -> Confusion:
        """The confusion matrix on the validation split."""
        config = self.config
        return confusion(self.network, self.data.val, self.data, config.eval_batch_size, config.amp)


def train_until(
    training: ProxyTraining, epoch: int | None, clock: SegmentClock, on_epoch: Callable[[], None] = lambda: None
) -> float:
    """Train up to `epoch` (None: to the end); returns the seconds of the epochs that this call trained.

    `clock` counts these epochs, too, and `on_epoch` is called after each of them. Seconds of earlier processes do not count.
    """
    epochs_s = 0.0
    for trained in training.epochs():
        own = training.own_seconds(trained)
        if own.wall_s > 0:
            epochs_s += own.wall_s
            clock.add(own)
            on_epoch()
        if trained.epoch == epoch:
            break
    return epochs_s
