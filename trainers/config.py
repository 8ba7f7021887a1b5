"""What the data are and how a proxy is trained: frozen values, checked when made. No torch is imported.

Each default has its reason beside it. A pydantic `ValidationError` names the field, the rule and the value found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainers.data import sources
from trainers.data.decode import LARGEST, SMALLEST

Policy = Literal["none", "flip", "shift", "standard", "strong"]
"""The name of an augmentation policy; see `trainers.augment`."""

Compile = Literal["off", "default", "reduce-overhead"]
"""Whether a network is compiled, and in which mode of `torch.compile`; see `trainers.training.compilation`."""


class DataConfig(BaseModel):
    """Which images, at which size, and how they are split."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    source: str = Field(default="digits", description="where the images come from")  # comes with an installation
    path: Path | None = Field(default=None, description="the folder that the source reads")  # digits need none
    splits: Mapping[Literal["train", "val", "test"], str] | None = Field(
        default=None, description="timm's names: the source's own name of each split that is taken from it"
    )
    input_key: str | None = Field(default=None, description="timm's names: the column of the images")
    target_key: str | None = Field(default=None, description="timm's names: the column of the classes")
    # Nothing goes to the network unasked.
    download: bool = Field(default=False, description="timm's names: whether to fetch what is not there")
    image_size: int | None = Field(
        default=None, ge=SMALLEST, le=LARGEST, description="pixels a side; none: the source's own size"
    )
    # A fifth each: on 1,797 digits about 360 images, a standard error of 0.6 points at 98.5 % accuracy; less is noise.
    val_fraction: float = Field(default=0.2, gt=0, lt=1, description="share of the train part used for validation")
    test_fraction: float = Field(default=0.2, gt=0, lt=1, description="share of the train part used for the test")
    limit: int | None = Field(
        default=None, ge=6, description="images kept in all, by class; none: all"
    )  # 2 classes x 3 splits
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the split")  # another seed is another split
    # What is left out unasked is missed by nobody until it is too late.
    on_error: Literal["fail", "skip"] = Field(default="fail", description="broken images: an error, or left out, told")

    @field_validator("source")
    @classmethod
    def _source_is_known(cls, name: str) -> str:
        sources.get(name)
        return name

    @field_validator("path")
    @classmethod
    def _home_is_expanded(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @model_validator(mode="after")
    def _fields_fit(self) -> DataConfig:
        source = sources.get(self.source)
        if source.path == "required" and self.path is None:
            raise ValueError(f"path: source {self.source!r} reads from a folder, so its path has to be given")
        if source.path == "none" and self.path is not None:
            raise ValueError(f"path: source {self.source!r} reads from no folder, found {str(self.path)!r}")
        for key in ("splits", "input_key", "target_key", "download"):
            if key not in source.keys and getattr(self, key):
                raise ValueError(f"{key}: source {self.source!r} has none to choose, found {getattr(self, key)!r}")
        if self.splits is not None and "train" not in self.splits:
            raise ValueError(f"splits: must name the train split, found {dict(self.splits)}")
        if self.val_fraction + self.test_fraction >= 1:
            both = self.val_fraction + self.test_fraction
            raise ValueError(
                f"val_fraction + test_fraction: must leave images to train on, so be below 1, found {both:g}"
            )
        return self


class TrainConfig(BaseModel):
    """How a proxy is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=20, ge=1, le=100_000)  # digits are learned to 0.97 and more in 15 to 20
    batch_size: int = Field(default=64, ge=2, le=65_536)  # 16 steps an epoch on digits; batches of 1 break batch norm
    lr: float = Field(default=2e-3, gt=0, le=10)  # AdamW at batch 64; small networks bear more than the usual 1e-3
    weight_decay: float = Field(default=0.05, ge=0, le=10)  # what ViT, MetaFormer and ConvMixer recipes agree on
    # Attention diverges without; a fraction is fine. Never more than half of the training is warm-up.
    warmup_epochs: float = Field(default=1.0, ge=0, le=10_000)
    schedule: Literal["cosine", "onecycle"] = "cosine"  # ranks at an early rung stay nearer to the final ones
    # none: what is rare counts little, as it does in the accuracy; balanced: each class counts alike
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)  # usual; keeps short trainings from over-confidence
    amp: Literal["auto", "off", "bf16"] = "auto"  # bf16 on GPUs that have it; off on a CPU, where it is slower
    # Off: it takes from ten seconds to minutes, and on a CPU many mixers become no faster (`trainers.training.compilation`).
    compile: Compile = "off"
    # none: what suits the source: nothing for digits, flip for photographs. More makes small networks underfit: on 10,000 images
    # of CIFAR-10 "standard" cost 5 points after 2 epochs, 7 after 6 (tests/benchmarks/recipes.py).
    augment: Policy | None = None
    # Off: they pay in long trainings, and make a short one underfit. timm's recipes have mixup 0.8, cutmix 1.0.
    mixup: float = Field(default=0.0, ge=0, le=100)  # alpha: the share of an image in a pair is drawn from beta(a, a)
    cutmix: float = Field(default=0.0, ge=0, le=100)  # likewise; with both on, each batch is given to one of them
    grad_clip: float | None = Field(default=1.0, gt=0)  # one odd batch must not end a trial; norms are mostly below it
    # Off: a rate that falls to nothing averages likewise, and costs nothing. 0.999 suits trainings of 10,000 steps.
    ema: float | None = Field(default=None, gt=0, lt=1)  # decay of the averaged weights, which are then the result
    # none: every few epochs, so that it takes 3 % of the time; the last epoch always, and each rung of a scheduler
    validate_every: int | None = Field(default=None, ge=1)
    eval_batch_size: int = Field(default=512, ge=1, le=65_536)  # no gradients are kept, so larger than a training batch
