"""A search space on a real Optuna study, define-by-run: Optuna refuses a name whose choices change between trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest

from search_space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)

# Choices that depend on one another: groups on widths, heads and reductions on widths and maps, stages on their number.
SPACE = SearchSpace.from_dict(
    {
        "layout": ["isotropic", "pyramid"],
        "num_stages": [1, 2],
        "stem": {"patch": [1, 2, 3], "pos_embed": [False, True]},
        "image_size": [8, 12],
        "stages": [
            {
                "mixer": {
                    "conv": {"k": [3, 4], "groups": ["depthwise", 1, 6, 8], "interlace": [False, True]},
                    "attention": {"heads": [2, 3, 4], "kv_reduction": [1, 2, 4]},
                    "lambda": {"context": [3, "global"], "heads": 2},
                    "shift": {"kind": ["shiftvit", "s2"]},
                    "pool": None,
                },
                "channel_mixer": {"mlp": {"expansion": [0.5, 1, 2], "groups": ["full", [4, 12]]}},
                "width": [8, 12, 24],
                "depth": [1, 2],
                "layer_scale": [None, 0.1],
                "act": ["gelu", "relu"],
            }
        ]
        * 2,
    }
)


def samplers() -> list[optuna.samplers.BaseSampler]:
    return [
        optuna.samplers.RandomSampler(seed=0),
        optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, n_startup_trials=170, n_ei_candidates=8),
        optuna.samplers.NSGAIISampler(seed=0, population_size=20),
    ]


@pytest.mark.parametrize("sampler", samplers(), ids=lambda sampler: type(sampler).__name__)
def test_two_hundred_trials_are_suggested_and_read_back(sampler: optuna.samplers.BaseSampler) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    ids = []
    for _ in range(200):
        trial = study.ask()
        architecture = SPACE.suggest(trial)
        assert SPACE.contains(architecture)
        assert SPACE.encode(architecture) == trial.params
        assert SPACE.decode(trial.params) == architecture
        study.tell(trial, [float(architecture.stages[0].width), float(len(trial.params))])
        ids.append(architecture.id)
    assert len(set(ids)) > 20


def test_an_enqueued_architecture_is_the_one_suggested() -> None:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, multivariate=True, group=True))
    rng = np.random.default_rng(0)
    wanted = [SPACE.sample(rng) for _ in range(50)]
    for architecture in wanted:
        study.enqueue_trial(SPACE.encode(architecture))
    for architecture in wanted:
        trial = study.ask()
        assert SPACE.suggest(trial) == architecture
        study.tell(trial, 0.0)


def test_one_name_has_one_set_of_choices() -> None:
    seen: dict[str, tuple[object, ...]] = {}
    rng = np.random.default_rng(1)

    class TrialDouble:
        def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
            assert len(choices) > 1
            assert len(set(choices)) == len(choices)
            assert seen.setdefault(name, tuple(choices)) == tuple(choices)
            return choices[int(rng.integers(len(choices)))]

    for _ in range(500):
        SPACE.suggest(TrialDouble())
    # Groups depend on the width and the expansion: nine names for each stage.
    assert sum(name.startswith("stages.0.mlp.groups") for name in seen) >= 9
