"""How a network is trained in full: a frozen value, validated when made. No torch is imported.

Each default has its reason beside it. A pydantic `ValidationError` names the field, the rule and the value found. What only timm
knows (names of optimizers and of augmentation policies) is checked by `trainers.training.recipe_check.check_recipe`, which
imports timm. A name that begins with "timm:" is timm's, also where we have the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from trainers.data.types import AugmentPolicy
from trainers.training.config import AmpMode, CompileMode

TIMM_PREFIX = "timm:"
"""Before names that are timm's."""

OwnSchedule = Literal["cosine", "onecycle", "plateau"]
"""Schedules of ours: `trainers.training.schedule` and `plateau`."""

TimmSchedule = Literal[
    "step", "multistep", "poly", "tanh", "wsd", "rsqrt", "constant", "timm:cosine", "timm:step", "timm:multistep",
    "timm:poly", "timm:tanh", "timm:wsd", "timm:rsqrt", "timm:constant",
]  # fmt: skip
"""Schedules of timm, functions of the step."""

Start = Literal["trial", "scratch", "pretrained"]
"""Where the initial weights come from: the short training of a trial, random numbers, or weights that timm publishes."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ScheduleOptions(_Part):
    """Options of "plateau" and of timm's schedules, by timm's names; None: timm's default."""

    decay_rate: float | None = Field(default=None, gt=0, le=10)  # step, multistep, plateau: factor; poly: power
    decay_epochs: float | None = Field(default=None, gt=0)  # step: interval; wsd, rsqrt: length of the decay
    decay_milestones: tuple[int, ...] | None = None  # multistep: epochs after which the rate falls
    patience_epochs: int | None = Field(default=None, ge=0)  # plateau: epochs without improvement that are tolerated
    min_lr: float | None = Field(default=None, ge=0)  # the rate never falls below
    warmup_lr: float | None = Field(default=None, ge=0)  # of timm's schedules: the rate of the first step
    k_decay: float | None = Field(default=None, gt=0)  # poly, timm:cosine
    decay_fn: str | None = None  # wsd, rsqrt
    stable_timescale: float | None = Field(default=None, gt=0)  # rsqrt
    noise: tuple[float, ...] | None = Field(default=None, min_length=1, max_length=2)  # where noise begins and ends
    noise_pct: float | None = Field(default=None, gt=0)
    noise_std: float | None = Field(default=None, gt=0)
    noise_seed: int | None = None


class ImageSizeSchedule(_Part):
    """Smaller images first (Tan and Le, 2021, arXiv:2104.00298): early epochs cost less, and accuracy hardly changes.

    The size grows in equal steps, from `start` of the size in the first epoch to the whole of it from `full_from` on.
    """

    start: float = Field(default=0.6, gt=0, lt=1)  # below, small images lose their objects; 0.6 squared is a third
    stages: int = Field(default=4, ge=2, le=100)  # sizes in all; EfficientNetV2 has four
    full_from: float = Field(default=0.75, gt=0, lt=1)  # share of the epochs; norms need a while at the final size
    multiple: int = Field(default=4, ge=1)  # sizes are multiples of it: what stems and stages divide by


class Distillation(_Part):
    """How a teacher takes part in the loss (Hinton et al., 2015, arXiv:1503.02531; hard: Touvron et al., arXiv:2012.12877).

    The loss is `(1 - weight) * cross-entropy + weight * distance to the teacher`.
    """

    kind: Literal["soft", "hard"] = "soft"  # soft: the teacher's shares of all classes; hard: its first class
    weight: float = Field(default=0.5, gt=0, le=1)  # half, as in DeiT
    temperature: float = Field(default=1.0, gt=0, le=100)  # of soft; 1 where augmentation blends images anyway
    # Added to the loss: how far the last feature maps look at different places (`trainers.training.feature_maps`), times this.
    feature_weight: float = Field(default=0.0, ge=0, le=1e6)  # off: not all networks have maps


class RecipeConfig(_Part):
    """How a network is trained in full.

    `digest()` names the recipe; a checkpoint belongs to one recipe.
    """

    # Information for whoever reads the result: the caller gives the initial weights.
    start: Start = "scratch"
    epochs: int = Field(default=100, ge=1, le=100_000)  # small networks on small images gain little from more
    # Images of one step of the optimizer, over all processes and parts; 2 at least, batches of 1 break batch norm.
    batch_size: int = Field(default=128, ge=2, le=1_048_576)
    # Parts of a batch, one after the other, where the activations of a whole one do not fit into memory.
    accumulate: int = Field(default=1, ge=1, le=4096)

    optimizer: str = Field(default="adamw", min_length=1)  # ours, with fused steps; or any name of timm.optim
    lr: float = Field(default=2e-3, gt=0, le=100)  # AdamW at batch 128; sgd wants 0.1 and more, lion a tenth
    weight_decay: float = Field(default=0.05, ge=0, le=100)  # what ViT, MetaFormer and ConvMixer recipes agree on
    momentum: float | None = Field(default=None, ge=0, lt=1)  # none: the optimizer's default, 0.9 mostly
    betas: tuple[float, ...] | None = Field(default=None, min_length=2, max_length=3)  # none: the optimizer's default
    optimizer_options: Mapping[str, JsonValue] = Field(default_factory=dict)  # other arguments of timm's optimizer
    # Off: for fine-tuning. The rate of a layer is multiplied by it once for each layer above; 0.65 to 0.9 are usual.
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    grad_clip: float | None = Field(default=1.0, gt=0)  # one odd batch must not end a training of hours
    ema: float | None = Field(
        default=None, gt=0, lt=1
    )  # decay of averaged weights, the result then; 0.9998 for 50,000 steps

    schedule: Literal[OwnSchedule, TimmSchedule] = "cosine"  # needs nothing to be tuned but its length
    warmup_epochs: float = Field(default=5.0, ge=0, le=10_000)  # as timm's; at most half of a training is warm-up
    schedule_options: ScheduleOptions = ScheduleOptions()

    # A name of ours, on whole batches: none, flip, shift, standard, strong; or "timm:" and a policy of timm's, such as
    # timm:rand-m9-mstd0.5-inc1, timm:original, timm:augmix-m3-w3, timm:3a. None: what suits the source.
    augment: str | None = Field(default=None, min_length=1)
    random_erasing: float = Field(default=0.0, ge=0, le=1)  # probability; off, for "standard" cuts out a square already
    # Off: they help trainings of several hundred epochs. timm's recipes have mixup 0.8, cutmix 1.0.
    mixup: float = Field(default=0.0, ge=0, le=100)
    cutmix: float = Field(default=0.0, ge=0, le=100)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)  # usual
    class_weights: Literal["none", "balanced"] = "none"  # balanced: each class counts the same
    image_size_schedule: ImageSizeSchedule | None = None  # off: it needs a network that takes images of any size

    # Of the network that is trained; `network_options` gives them to whoever builds it.
    drop_rate: float = Field(default=0.0, ge=0, lt=1)  # dropout before the classes; stochastic depth works better
    drop_path: float = Field(default=0.0, ge=0, lt=1)  # stochastic depth of the last block; 0.1 for long trainings

    distillation: Distillation | None = None  # none: without a teacher; with one, None means the defaults

    amp: AmpMode = "auto"  # bf16 on GPUs that have it; off on a CPU, where it is slower
    compile: CompileMode = "off"  # minutes of compiling repay themselves on GPUs only
    validate_every: int | None = Field(default=None, ge=1)  # none: so that it takes 3 % of the time; always the last
    eval_batch_size: int = Field(default=512, ge=1, le=65_536)  # no gradients are kept, so larger than a training batch

    @model_validator(mode="after")
    def _check_fields_together(self) -> RecipeConfig:
        self._check_schedule()
        self._check_optimizer()
        self._check_augment()
        if self.batch_size < 2 * self.accumulate:
            raise ValueError(f"accumulate: must leave 2 images or more in a part of a batch, found {self.accumulate}")
        return self

    def _check_schedule(self) -> None:
        given = sorted(self.schedule_options.model_dump(exclude_none=True))
        allowed = set(given)
        if self.schedule == "plateau":
            allowed = {"decay_rate", "patience_epochs", "min_lr"}
        elif self.schedule in get_args(OwnSchedule):
            allowed = set()
        if surplus := [name for name in given if name not in allowed]:
            raise ValueError(
                f"schedule_options: must be options of the schedule {self.schedule!r}, found {', '.join(surplus)}"
            )
        if self.schedule.removeprefix(TIMM_PREFIX) == "multistep" and self.schedule_options.decay_milestones is None:
            raise ValueError("schedule_options.decay_milestones: must be given with the schedule 'multistep'")
        if self.schedule == "plateau" and self.validate_every not in (None, 1):
            raise ValueError(f"validate_every: must be 1 with the schedule 'plateau', found {self.validate_every}")

    def _check_optimizer(self) -> None:
        if self.betas is not None and not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: must be at least 0 and below 1, found {list(self.betas)}")
        if self.optimizer != "adamw":
            return
        if self.momentum is not None:
            raise ValueError(f"momentum: must be absent with the optimizer 'adamw' (see betas), found {self.momentum}")
        if self.betas is not None and len(self.betas) != 2:
            raise ValueError(f"betas: must be two with the optimizer 'adamw', found {list(self.betas)}")
        if self.optimizer_options:
            raise ValueError(
                "optimizer_options: must be empty with the optimizer 'adamw' ('timm:adamw' takes some), "
                f"found {sorted(self.optimizer_options)}"
            )

    def _check_augment(self) -> None:
        own = get_args(AugmentPolicy)
        if self.augment is not None and self.augment not in own and not self.augment.startswith(TIMM_PREFIX):
            raise ValueError(
                f"augment: must be one of {', '.join(own)}, or {TIMM_PREFIX}POLICY, found {self.augment!r}"
            )

    def digest(self) -> str:
        """The SHA-256 of the recipe's JSON, hexadecimal."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def network_options(recipe: RecipeConfig) -> dict[str, float]:
    """Arguments of `search_space.modules.network.Network` and of `timm.create_model` that a recipe sets; empty without.

    They are part of the network: whoever builds the one that is trained passes them on. Those of zero are left out, for some
    networks have no such argument, or no residual branch to drop.
    """
    rates = {"drop_rate": recipe.drop_rate, "drop_path_rate": recipe.drop_path}
    return {name: rate for name, rate in rates.items() if rate}
