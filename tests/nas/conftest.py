"""Studies on disk for the tests of the reading side: real Optuna SQLite storages, written as `nas search` does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.objectives import get
from nas.study.storage import DATABASE
from search_space import Architecture

MIXERS: tuple[dict[str, Any], ...] = (
    {"name": "conv", "k": 5, "groups": "depthwise"},
    {"name": "attention", "heads": 4, "window": None},
    {"name": "pool"},
    {"name": "shift", "variant": "shiftvit"},
    {"name": "global_filter"},
)
DATASET = {
    "name": "digits",
    "fingerprint": "f00d",
    "image_size": [8, 8],
    "in_chans": 1,
    "num_classes": 10,
    "class_names": [str(digit) for digit in range(10)],
    "train": 1077,
    "val": 360,
    "test": 360,
}


def architecture_of(index: int) -> dict[str, Any]:
    """The `index`-th of many different architectures of two stages."""
    width = 16 * (1 + index % 6)
    stages = [
        {
            "mixer": copy.deepcopy(MIXERS[(index // (1 + 4 * late)) % len(MIXERS)]),
            "channel_mixer": {"name": "mlp", "expansion": 2, "groups": [4, 2]},
            "depth": 1 + (index + late) % 4,
            "width": width * (1 + late),
            "downsample": 1 + late,
            "norm": "batch",
            "act": "gelu",
            "residual": "pre_norm",
        }
        for late in (0, 1)
    ]
    stem = {"kind": "patch", "patch": 2, "width": None}
    return {"image_size": [8, 8], "in_chans": 1, "num_classes": 10, "stem": stem, "stages": stages}


@dataclass
class Told:
    """A trial to be written: values (None: none yet), the state it is told in (None: by the values), attributes."""

    values: list[float] | None
    state: TrialState | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)


def random_trials(count: int, seed: int = 0) -> list[Told]:
    """Complete trials (accuracy, macs, images_per_s), with a failed, refused, doubled and stopped one in every 12."""
    rng = np.random.default_rng(seed)
    told: list[Told] = []
    for index in range(count):
        macs = float(round(10 ** rng.uniform(4.5, 7)))
        accuracy = float(np.clip(0.75 + 0.1 * (np.log10(macs) - 5) + rng.normal(0, 0.03), 0, 1))
        speed = float(1e10 / macs**0.8 * rng.uniform(0.5, 1.5))
        attributes = {
            "architecture": architecture_of(index),
            "id": f"{index:012x}",
            "macs": macs,
            "fft_flops": 0,
            "params": round(macs / 20),
            "device": "cpu",
            "seed": index,
        }
        trained = {
            "images_per_s": speed,
            "train_s": 4.0,
            "wall_s": 5.0,
            "overhead_s": 0.6,
            "idle_s": 0.2,
            "curve": [
                {"epoch": 1 + e, "train_loss": 2.0 / (1 + e), "val_loss": 2.1 / (1 + e),
                 "val_accuracy": accuracy * (1 - 0.5 ** (1 + e)), "wall_s": 1.0 + e}
                for e in range(4)
            ],
        }  # fmt: skip
        match index % 12:
            case 5:
                told.append(Told(None, TrialState.FAIL, attributes | {"failure": "loss is <NaN> at epoch 2 & ended"}))
            case 7:
                told.append(Told(None, TrialState.PRUNED, attributes | {"refused": "limit macs: 5000 > 4000"}))
            case 9:
                told.append(Told(None, TrialState.FAIL, attributes | {"refused": "duplicate of trial 3"}))
            case 11:
                told.append(Told(None, TrialState.PRUNED, attributes | trained))
            case _:
                told.append(Told([accuracy, macs, speed], None, attributes | trained))
    return told


def write_study(
    folder: Path,
    trials: Iterable[Told] = (),
    *,
    objectives: tuple[str, ...] = ("accuracy", "macs", "images_per_s"),
    name: str = "digits",
    dataset: dict[str, Any] | None = None,
    **attributes: Any,
) -> Path:
    """A study in `folder` with `trials` told in order; `attributes` are further attributes of the study."""
    folder.mkdir(parents=True, exist_ok=True)
    directions = [get(objective).direction for objective in objectives]
    study = optuna.create_study(study_name=name, storage=f"sqlite:///{folder / DATABASE}", directions=directions)
    study.set_user_attr("objectives", [get(objective).to_dict() for objective in objectives])
    study.set_user_attr("config", {"name": name, "seed": 7, "sampler": {"name": "tpe"}, "train": {"epochs": 4}})
    study.set_user_attr("dataset", dataset or DATASET)
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    memory = optuna.create_study(directions=directions)  # asked and told here, since SQLite syncs every attribute
    for told in trials:
        trial = memory.ask()
        for key, value in told.attributes.items():
            trial.set_user_attr(key, value)
        for key, value in told.constraints.items():
            trial.set_constraint(key, value)
        if told.values is not None or told.state is not None:
            memory.tell(trial, told.values, state=told.state)
    study.add_trials(memory.trials)
    return folder


@pytest.fixture(scope="session")
def study_writer() -> Callable[..., Path]:
    """`write_study`, for tests that need a study of their own."""
    return write_study


@pytest.fixture(scope="session")
def told() -> type[Told]:
    """`Told`, for tests that write trials of their own."""
    return Told


@pytest.fixture(scope="session")
def architecture() -> Callable[[int], dict[str, Any]]:
    """`architecture_of`."""
    return architecture_of


@pytest.fixture(scope="session")
def digits_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 36 trials in all states, trial 36 still running; the tests only read it."""
    folder = tmp_path_factory.mktemp("studies") / "digits"
    trials = [*random_trials(36), Told(None, None, {"architecture": architecture_of(36), "id": "run", "macs": 1e6})]
    return write_study(folder, trials, test_accuracy={"0": 0.71, "4": 0.82})


@pytest.fixture(scope="session")
def empty_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in which nothing has happened yet."""
    return write_study(tmp_path_factory.mktemp("studies") / "empty", name="nothing yet")


CLC_STAGE = {
    "mixer": {"name": "conv", "k": 3, "groups": 16, "interlace": True},
    "channel_mixer": {"name": "pointwise", "groups": 4},
    "width": 64,
    "residual": "plain",
}
MLP_STAGE = {
    "mixer": {"name": "conv"},
    "channel_mixer": {"name": "mlp", "expansion": 2.0, "groups": [8, 8]},
    "width": 32,
}
DENSE_STAGE = {"mixer": {"name": "attention", "heads": 4}, "width": 64, "downsample": 2, "squeeze_excite": {}}


@pytest.fixture(scope="session")
def graph_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of architectures that the search space knows, trial 1 the best, 0 on the front too, 2 behind both."""
    stages = [[CLC_STAGE, DENSE_STAGE], [MLP_STAGE, MLP_STAGE, CLC_STAGE], [DENSE_STAGE]]
    plain = [Architecture.from_dict({"stages": several}).to_dict() for several in stages]
    values = [[0.5, 10.0, 3.0], [0.6, 20.0, 2.0], [0.4, 30.0, 1.0]]
    trials = [Told(value, None, {"architecture": one}) for value, one in zip(values, plain, strict=True)]
    return write_study(tmp_path_factory.mktemp("studies") / "graphs", trials)
