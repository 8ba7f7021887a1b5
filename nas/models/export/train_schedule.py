"""The learning rate of a training in the options of timm's `train.py`.

With `sched_on_updates` timm has a rate for each step, as we have. Its linear warm-up over w steps goes from `warmup_lr` at step 0
to the peak at step w, ours from `peak / w` to the peak at step w - 1, so that timm's rates are lower by less than `peak / w`.
`warmup_prefix` counts the decay from the end of the warm-up, as ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.formatting import percent
from trainers.training.recipe_config import TIMM_PREFIX
from trainers.training.schedule import ONECYCLE_END, ONECYCLE_RISE, ONECYCLE_START

TIMM_SCHEDULES = ("cosine", "step", "multistep", "poly", "tanh", "wsd", "rsqrt", "constant")
"""Of timm, functions of the step; a training with a schedule that is unknown here becomes one with "cosine"."""
_DECAY_EPOCHS = {"step": 90, "wsd": 0.2, "rsqrt": 0.2}
"""What `create_scheduler_v2` takes where a recipe names none; the default of `train.py` is another."""
_OPTIONS = {
    **{name: name for name in ("decay_rate", "decay_epochs", "decay_milestones", "patience_epochs")},
    **{name: name for name in ("min_lr", "warmup_lr")},
    **{name: f"lr_{name}" for name in ("noise", "noise_pct", "noise_std", "k_decay", "decay_fn", "stable_timescale")},
}
"""Field of `ScheduleOptions` -> option of timm's `train.py`, which takes the seed of the noise from that of the training."""


@dataclass(frozen=True)
class TrainSchedule:
    """A schedule as a training of ours has it, which another version may have written.

    Args:
        name: of `RecipeConfig.schedule`.
        lr: the peak rate.
        epochs: number of epochs.
        warmup_epochs: epochs in which the rate rises; at most half of all count.
        steps_per_epoch: number of steps of an epoch.
        details: fields of `ScheduleOptions` that are set.
    """

    name: str
    lr: float
    epochs: int
    warmup_epochs: float
    steps_per_epoch: int
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whole_warmup(self) -> int:
        """Epochs of warm-up: timm takes whole ones, at most half of all."""
        if self.name == "onecycle":
            return min(max(1, round(ONECYCLE_RISE * self.epochs)), self.epochs - 1)
        return min(math.ceil(self.warmup_epochs), self.epochs // 2)

    @property
    def options(self) -> dict[str, Any]:
        """The options of timm's `train.py`."""
        if self.name == "onecycle":
            return self._cosine(ONECYCLE_START * self.lr, ONECYCLE_END * self.lr)
        if self.name == "cosine":
            return self._cosine(self.lr / max(1, self.whole_warmup * self.steps_per_epoch), 0.0)
        name = self.name.removeprefix(TIMM_PREFIX)
        given = {key: value for key, value in self.details.items() if value is not None}
        details = {"decay_epochs": _DECAY_EPOCHS.get(name), **given}
        return {
            "sched": name if name in (*TIMM_SCHEDULES, "plateau") else "cosine",
            "sched_on_updates": name != "plateau",
            "epochs": self.epochs,
            "warmup_epochs": self.whole_warmup,
            "cooldown_epochs": 0,
            **{option: details[key] for key, option in _OPTIONS.items() if details.get(key) is not None},
        }

    def _cosine(self, first_lr: float, last_lr: float) -> dict[str, Any]:
        return {
            "sched": "cosine",
            "sched_on_updates": True,
            "epochs": self.epochs - self.whole_warmup,
            "warmup_epochs": self.whole_warmup,
            "warmup_prefix": True,
            "warmup_lr": float(f"{first_lr:.6g}"),
            "cooldown_epochs": 0,
            "min_lr": float(f"{last_lr:.6g}"),
        }

    @property
    def remarks(self) -> list[str]:
        """What of it timm does otherwise, and what a reader has to know."""
        remarks = []
        warmup = min(self.warmup_epochs, self.epochs / 2)
        if self.options.get("warmup_prefix") and self.whole_warmup:
            remarks.append(f"epochs: without those of the warm-up; {self.epochs} in all")
        if self.name == "onecycle":
            remarks.append("learning rate: timm has no onecycle; this one rises in a straight line, over whole epochs")
        elif self.name == "plateau":
            remarks.append("learning rate: timm decides by its own validation, and warms up epoch by epoch")
        elif self.whole_warmup != warmup:
            remarks.append(f"warmup_epochs: whole epochs in timm; {warmup:g} in the training")
        elif self.name == "cosine" and warmup:
            share = percent(1 / (self.whole_warmup * self.steps_per_epoch))
            remarks.append(f"learning rate: that of the training, but up to {share} of lr lower during the warm-up")
        return remarks
