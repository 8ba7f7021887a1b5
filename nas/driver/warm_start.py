"""What a new study begins with: the architectures nearest to presets or to an earlier study's front, and what that learned.

The accuracies of another study are of other images or of another training, so they never enter this study's front. The
sampler takes them for trainings of this one that were cut shortest: how they relate to whole ones it learns.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from nas.analysis.front import front_mask
from nas.errors import ConfigError, UsageError
from nas.study.config import Start
from nas.study.storage import open_study
from nas.study.study_file import StudyFile
from search_space import Architecture, SearchSpace, presets
from search_space.errors import SpaceError

Known = tuple[tuple[Architecture, float], ...]  # architectures and their accuracies elsewhere


def first(start: Start, file: StudyFile, space: SearchSpace) -> list[Architecture]:
    """The architectures of `space` to train first, each once: nearest to the presets, then to the earlier study's front.

    Raises:
        ConfigError: there is no such preset or study.
    """
    wanted: list[Architecture] = []
    for index, name in enumerate(start.presets):
        try:
            wanted.append(presets.get(name))
        except SpaceError as error:
            raise ConfigError(file.where(("start", "presets", index)), f"start.presets[{index}]: {error}") from None
    if start.study is not None:
        study = _open(start.study, file)
        trials = _complete(study)
        mask = front_mask([trial.values for trial in trials], [one["direction"] for one in _objectives(study)])
        wanted += [_architecture(trial) for trial, on_front in zip(trials, mask, strict=True) if on_front]
    nearest = [space.nearest(architecture) for architecture in wanted]
    return list({architecture.id: architecture for architecture in nearest}.values())


def prior(start: Start, file: StudyFile, space: SearchSpace) -> Known:
    """What the earlier study found of architectures that `space` holds too.

    Raises:
        ConfigError: there is no such study, or it did not measure accuracy.
    """
    if start.study is None:
        return ()
    study = _open(start.study, file)
    names = [objective["name"] for objective in _objectives(study)]
    if "accuracy" not in names:
        raise ConfigError(
            file.where(("start", "study")), f"start.study: must have the objective accuracy, found {names}"
        )
    known = []
    for trial in _complete(study):
        architecture = _fitted(_architecture(trial), space)
        if space.contains(architecture):
            known.append((architecture, float(trial.values[names.index("accuracy")])))
    return tuple(known)


def _fitted(architecture: Architecture, space: SearchSpace) -> Architecture:
    """`architecture` for the images and classes of `space`; itself where it does not fit them."""
    try:
        return architecture.replace(image_size=space.image_size, in_chans=space.in_chans, num_classes=space.num_classes)
    except SpaceError:
        return architecture


def _objectives(study: optuna.Study) -> list[dict[str, Any]]:
    return list(study.user_attrs["objectives"])


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if trial.user_attrs.get("architecture") and all(map(math.isfinite, trial.values))]


def _architecture(trial: optuna.trial.FrozenTrial) -> Architecture:
    return Architecture.from_dict(trial.user_attrs["architecture"])


def _open(folder: Path, file: StudyFile) -> optuna.Study:
    try:
        return open_study(folder)
    except UsageError as error:
        raise ConfigError(file.where(("start", "study")), f"start.study: {error}") from None
