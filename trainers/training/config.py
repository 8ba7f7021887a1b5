"""How a proxy is trained: a frozen value, validated when made. No torch is imported.

Each default has its reason beside it. A pydantic `ValidationError` names the field, the rule and the value found.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trainers.data.types import AugmentPolicy

AmpMode = Literal["auto", "off", "bf16"]
"""Mixed precision of training steps and validation: bfloat16 by autocast where it is faster, never, or always."""

CompileMode = Literal["off", "default", "reduce-overhead"]
"""Whether a network is compiled, and in which mode of `torch.compile`; see `trainers.training.compilation`."""


class TrainConfig(BaseModel):
    """How a proxy is trained.

    Names, order and defaults of the fields are part of the identity of a checkpoint
    (`trainers.training.checkpoint.training_identity`): a change of any of them orphans the checkpoints that exist.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=20, ge=1, le=100_000)  # digits reach 0.97 and more in 15 to 20
    batch_size: int = Field(default=64, ge=2, le=65_536)  # 16 steps an epoch on digits; batches of 1 break batch norm
    lr: float = Field(default=2e-3, gt=0, le=10)  # AdamW at batch 64; small networks tolerate more than the usual 1e-3
    weight_decay: float = Field(default=0.05, ge=0, le=10)  # what ViT, MetaFormer and ConvMixer recipes agree on
    # Attention diverges without warm-up; a fraction of an epoch is fine. At most half of the training is warm-up.
    warmup_epochs: float = Field(default=1.0, ge=0, le=10_000)
    # The order of architectures at an early rung stays closer to the final one than with onecycle.
    schedule: Literal["cosine", "onecycle"] = "cosine"
    # none: each image counts the same, as it does in the accuracy; balanced: each class counts the same
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)  # usual; keeps short trainings from over-confidence
    amp: AmpMode = "auto"  # bf16 on GPUs that have it; off on a CPU, where it is slower
    # Off: it takes from ten seconds to minutes, and on a CPU many mixers become no faster (`trainers.training.compilation`).
    compile: CompileMode = "off"
    # none: what suits the source: nothing for digits, flip for photographs. More makes small networks underfit: on 10,000 images
    # of CIFAR-10 "standard" cost 5 points after 2 epochs, 7 after 6 (tests/benchmarks/recipes.py).
    augment: AugmentPolicy | None = None
    # Off: they help long trainings, and make a short one underfit. timm's recipes have mixup 0.8, cutmix 1.0.
    mixup: float = Field(default=0.0, ge=0, le=100)  # alpha: the weight of an image in a pair is drawn from beta(a, a)
    cutmix: float = Field(default=0.0, ge=0, le=100)  # likewise; with both on, each batch is given to one of them
    grad_clip: float | None = Field(default=1.0, gt=0)  # one odd batch must not end a trial; norms are mostly below it
    # Off: a learning rate that falls to nothing has the same effect, for free. 0.999 suits trainings of 10,000 steps.
    ema: float | None = Field(default=None, gt=0, lt=1)  # decay of the averaged weights, which are then the result
    # none: every few epochs, so that it takes 3 % of the time; always the last epoch, and each rung of a scheduler
    validate_every: int | None = Field(default=None, ge=1)
    eval_batch_size: int = Field(default=512, ge=1, le=65_536)  # no gradients are kept, so larger than a training batch
