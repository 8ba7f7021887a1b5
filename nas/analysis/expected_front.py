"""The front of a study by what a model expects of its trials, instead of by their single results.

The accuracy of a network differs from training to training, so that the front of results has lucky trials, which hide better
networks (`nas.sampler.ParetoSampler.expected_front`). Worth its seconds before the front is trained in full.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.analysis.results import Results
from nas.errors import UsageError
from nas.objectives import Direction, primary_index
from nas.sampler.factories.pareto import create_pareto
from nas.sampler.prediction import Prediction
from nas.study.config import StudyConfig
from nas.study.config_file.space_config import DATA_FIELDS
from nas.study.layout import CONFIG, OPERATORS
from nas.study.operator_table import read_tables
from nas.study.study_sampler import sampler_context
from nas.study.trials import AnyTrial
from search_space import SearchSpace


@dataclass(frozen=True)
class ExpectedFront:
    """What a model expects of the trials of a study.

    Args:
        objective: the name of the objective that is modelled.
        front: the numbers of the trials on the front, ascending.
        values: trial -> the value expected of the objective (`nas.sampler.prediction.Expectations`).
    """

    objective: str
    front: Sequence[int]
    values: Mapping[int, Prediction]


def with_expected_front(results: Results) -> Results:
    """`results` with the trials on the front that a model expects there, whichever sampler proposed them.

    The values of trials stay what they are. As long as there are too few results for a model, the front stays, too.

    Raises:
        UsageError: the configuration in the folder of the study is not one of this version.
    """
    on_front = np.isin(results.summary["trial"].to_numpy(), expected_front(results).front)
    return replace(results, summary=results.summary.assign(on_front=on_front))


def expected_front(results: Results) -> ExpectedFront:
    """What a model expects of the trials, whichever sampler proposed them.

    Raises:
        UsageError: as `with_expected_front`.
    """
    config = StudyConfig.from_file(results.folder / CONFIG)
    context = sampler_context(config, _space(config, results), tables=read_tables(results.folder / OPERATORS))
    sampler = create_pareto(context)
    directions = [objective.direction for objective in results.objectives]
    ended = [trial for trial in results.records if _counts(trial, len(directions))]
    study = _quiet_study(directions)
    read = {sampler.key_attribute, sampler.infeasible_attribute, *sampler.attributes.values()}
    study.add_trials([_frozen(trial, read) for trial in ended])
    expected = sampler.expectations(study)
    return ExpectedFront(
        results.objectives[primary_index(results.objectives)].name,
        [ended[trial.number].number for trial in expected.front],
        {ended[number].number: value for number, value in expected.values.items()},
    )


def _space(config: StudyConfig, results: Results) -> SearchSpace:
    dataset = results.dataset
    try:
        (height, width), in_chans, num_classes = (dataset[key] for key in DATA_FIELDS)
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{results.folder}: the study must say {', '.join(DATA_FIELDS)} of its images") from None
    return config.space_on((height, width), in_chans, num_classes)


def _quiet_study(directions: Sequence[Direction]) -> optuna.Study:
    """A study in memory, of which Optuna writes no line."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(directions=list(directions))
    finally:
        optuna.logging.set_verbosity(verbosity)


def _counts(trial: AnyTrial, values: int) -> bool:
    """True for a trial that has ended, and has all its `values` if it is complete."""
    if trial.state != TrialState.COMPLETE:
        return trial.state.is_finished()
    return len(trial.values or ()) == values and all(map(math.isfinite, trial.values or ()))


def _frozen(trial: AnyTrial, attributes: Collection[str | None]) -> FrozenTrial:
    """`trial` with no more user attributes than those named: Optuna copies them, and learning curves are long."""
    return create_trial(
        state=trial.state,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        params=dict(trial.params),
        distributions={name: CategoricalDistribution((value,)) for name, value in trial.params.items()},
        user_attrs={name: value for name, value in trial.user_attrs.items() if name in attributes},
        system_attrs=dict(trial.system_attrs),
        intermediate_values=dict(trial.intermediate_values),
    )
