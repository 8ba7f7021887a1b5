"""A script that searches over architectures whose training misbehaves, each in its own way; every worker imports it, too.

python misbehaviour.py FOLDER
"""

from __future__ import annotations

import ctypes
import sys
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from nas import Study, StudyConfig, search
from search_space import Architecture, channel_graph as cdg
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.modules.builders import builds
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


class UnreadableError(Exception):
    """Its message cannot be read, and it cannot be pickled."""

    def __init__(self) -> None:
        self.function = lambda: None

    def __str__(self) -> str:
        raise ValueError("no message")


def unreadable() -> None:
    raise UnreadableError


def interrupt() -> None:
    raise KeyboardInterrupt


def hang() -> None:
    """Wait for ever within C, with the lock of the interpreter and without the processor: a lock is taken twice."""
    lock = ctypes.create_string_buffer(64)  # zeros are `PTHREAD_MUTEX_INITIALIZER`
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(lock)


def say_much() -> None:
    raise ValueError("x" * 50_000_000)


WAYS = (
    ("nan", lambda: float("nan")),
    ("unreadable", unreadable),
    ("long_message", say_much),
    ("sys_exit", lambda: sys.exit(3)),
    ("interrupt", interrupt),
    ("memory", lambda: torch.empty(10**10, dtype=torch.uint8)),
    ("crash", lambda: ctypes.string_at(0)),
    ("hang", hang),
)


@MIXERS.register
class MisbehavingSpec(TokenMixerSpec):
    """Misbehaves in training, in the `way` of this number."""

    name: ClassVar[str] = "misbehaving"
    way: Annotated[int, Field(ge=0)] = 0

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        return x.like()


class Misbehaving(nn.Module):
    def __init__(self, way: int) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = WAYS[self.way][1]() if self.training else None
        return x * (result if isinstance(result, float) else 1.0)


@builds(MisbehavingSpec)
def build_misbehaving(spec: MisbehavingSpec, width: int, size: Size) -> nn.Module:
    return Misbehaving(spec.way)


def main() -> None:
    kernels = [2 * index + 3 for index in range(len(WAYS) + 1)]
    space = {
        "stem": {"patch": 2},
        "stages": [
            {
                "mixer": {"conv": {"k": kernels}, "misbehaving": {"way": list(range(len(WAYS)))}},
                "depth": 1,
                "width": 8,
                "channel_mixer": {"mlp": {"expansion": 1, "groups": "full"}},
            }
        ],
    }
    config = StudyConfig.model_validate(
        {
            "name": "misbehaving",
            "trials": 2 * len(WAYS) + 1,  # the first is the cheapest of all, which misbehaves, too
            "data": {"source": "digits", "limit": 300},
            "space": space,
            "train": {"epochs": 1},
            "objectives": ["accuracy", "macs"],
            "resources": {"executor": "local", "workers": 1, "memory_per_trial": "6 GB", "max_silence": "8s"},
        }
    )
    study = Study.open_or_create(sys.argv[1], config)
    searched = config.space_on((8, 8), 1, 10)
    sample = {mixer_of(architecture): architecture for architecture in searched}
    for way, kernel in enumerate(kernels[: len(WAYS)]):  # a good one after each bad one: the machine works
        for mixer in (("misbehaving", way), ("conv", kernel)):
            study.optuna.enqueue_trial(dict(searched.encode(sample[mixer])))
    search(study)


def mixer_of(architecture: Architecture) -> tuple[str, int]:
    mixer = architecture.stages[0].mixer
    return (mixer.name, mixer.way) if isinstance(mixer, MisbehavingSpec) else (mixer.name, mixer.k)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
