"""The start of a study from prior knowledge: architectures to train first, and accuracies that inform the sampler.

The accuracies of another study come from other images or another training, so they never enter this study's front. The
sampler treats them like early-stopped trainings of this study, and learns how they relate to complete trainings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from optuna.trial import TrialState

from nas import objectives
from nas.analysis.front import front_mask
from nas.errors import ConfigError, UsageError
from nas.objectives import primary_index
from nas.study.config import StudyConfig
from nas.study.content import StudyContent, StudySnapshot
from nas.study.stored import StoredStudy
from nas.study.study_sampler import PriorAccuracies
from nas.study.trials import AnyTrial
from search_space import Architecture, SearchSpace, presets
from search_space.errors import SpaceError


def check_warm_start(config: StudyConfig) -> None:
    """Check what `config.start` names, without the space.

    Raises:
        ConfigError: there is no such preset or study, or the study did not train for such an objective.
    """
    _presets(config)
    study = _earlier_study(config)
    if study is not None:
        _primary_index(config, study)


def first_architectures(config: StudyConfig, space: SearchSpace) -> list[Architecture]:
    """The architectures of `space` to train first: the nearest to each preset, then to the front of the earlier study.

    Duplicates are dropped.

    Raises:
        ConfigError: there is no such preset or study.
    """
    models = _presets(config)
    study = _earlier_study(config)
    if study is not None:
        trials = _complete_trials(study)
        directions = [objective.direction for objective in study.objectives]
        mask = front_mask([values for _, values in trials], directions)
        models += [_architecture(trial) for (trial, _), on_front in zip(trials, mask, strict=True) if on_front]
    nearest = [space.nearest(architecture) for architecture in models]
    return list({architecture.id: architecture for architecture in nearest}.values())


def prior_accuracies(config: StudyConfig, space: SearchSpace) -> PriorAccuracies:
    """The accuracies of the earlier study, of those of its architectures that `space` contains.

    An accuracy is the value of this study's primary objective (`nas.objectives.primary_index`), or that of the earlier study's,
    since the sampler learns how the two are related.

    Raises:
        ConfigError: there is no such study, or it did not train for such an objective.
    """
    study = _earlier_study(config)
    if study is None:
        return ()
    index = _primary_index(config, study)
    accuracies = []
    for trial, values in _complete_trials(study):
        architecture = _adapt(_architecture(trial), space)
        if space.contains(architecture):
            accuracies.append((architecture, float(values[index])))
    return tuple(accuracies)


EARLIER_STUDY = "start_study"
"""The user attribute of a study that identifies the earlier one (`_identity`), wherever its folder is."""


def earlier_study_attributes(config: StudyConfig) -> dict[str, str]:
    """The user attributes of a new study that say from which earlier study it starts."""
    earlier = _earlier_study(config)
    return {} if earlier is None else {EARLIER_STUDY: _identity(earlier)}


def check_earlier_study(study: StoredStudy, config: StudyConfig) -> None:
    """Raise `ConfigError` if `start.study` is not the study that `study` has started from."""
    stored, earlier = study.attributes.get(EARLIER_STUDY), _earlier_study(config)
    if stored is None or earlier is None:
        return
    if stored not in (_identity(earlier), _identity_in_local_time(earlier)):
        rule = f"start.study: must stay the study that this one has started from, {stored}, found {_identity(earlier)}"
        raise ConfigError(config.where("start", "study"), f"{rule} (use another --out for another study)")


def _identity(study: StudyContent) -> str:
    """The name of a study and the time of its first trial, which neither a copy, another machine nor further trials change."""
    first = _first_start(study)
    return f"{study.name} of {first.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if first is not None else study.name


def _identity_in_local_time(study: StudyContent) -> str:
    """The identity that earlier versions have stored, which depends on the time zone of the machine."""
    first = _first_start(study)
    return f"{study.name} of {first:%Y-%m-%d %H:%M:%S}" if first is not None else study.name


def _first_start(study: StudyContent) -> datetime | None:
    """The time at which the first trial of `study` started, in local time."""
    return next((trial.datetime_start for trial in study.trials if trial.datetime_start is not None), None)


def _presets(config: StudyConfig) -> list[Architecture]:
    models: list[Architecture] = []
    for index, name in enumerate(config.start.presets):
        try:
            models.append(presets.get(name))
        except SpaceError as error:
            where = config.where("start", "presets", index)
            raise ConfigError(where, f"start.presets[{index}]: {error}") from None
    return models


def _primary_index(config: StudyConfig, study: StudyContent) -> int:
    """The index of the objective that the earlier study trained for, or that of this study, in the values of `study`."""
    primary = objectives.get(config.objectives[primary_index([objectives.get(name) for name in config.objectives])])
    names = [objective.name for objective in study.objectives]
    index = names.index(primary.name) if primary.name in names else primary_index(study.objectives)
    earlier = study.objectives[index]
    if earlier.source != "trained" or earlier.direction != primary.direction:
        rule = f"start.study: must have the objective {primary.name}, or one like it, found {names}"
        raise ConfigError(config.where("start", "study"), rule)
    return index


def _adapt(architecture: Architecture, space: SearchSpace) -> Architecture:
    """`architecture` for the images and classes of `space`; unchanged if it does not fit them."""
    try:
        return architecture.replace(image_size=space.image_size, in_chans=space.in_chans, num_classes=space.num_classes)
    except SpaceError:
        return architecture


def _complete_trials(study: StudyContent) -> list[tuple[AnyTrial, Sequence[float]]]:
    """The complete trials that have an architecture, with their values."""
    trials = [(trial, trial.values or ()) for trial in study.trials if trial.state == TrialState.COMPLETE]
    return [
        (trial, values)
        for trial, values in trials
        if trial.user_attrs.get("architecture") and all(map(math.isfinite, values))
    ]


def _architecture(trial: AnyTrial) -> Architecture:
    return Architecture.from_dict(trial.user_attrs["architecture"])


def _earlier_study(config: StudyConfig) -> StudyContent | None:
    if config.start.study is None:
        return None
    try:
        return StudySnapshot.of(config.start.study)
    except UsageError as error:
        raise ConfigError(config.where("start", "study"), f"start.study: {error}") from None
