"""What is known of a study that has ended, for `invariants.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from optuna.trial import TrialState
from reference import Reference

from nas.driver.plan import create_halving
from nas.driver.rungs.promotion import Halving
from nas.objectives import Objective, primary_index
from nas.study.config import StudyConfig
from nas.study.stored import StoredStudy
from nas.study.trials import AnyTrial, is_trained, outcome_name, retried_numbers
from search_space import Architecture


@dataclass(frozen=True)
class Evidence:
    """What is known of a study that has ended.

    Args:
        folder: the folder of the study.
        config: its configuration.
        objectives: its objectives, in the order of values.
        trials: all its trials.
        reference: the undisturbed training of an architecture; None: values are not compared.
        weights_written: trial -> number of times that its weights were seen to be written; empty: nobody has watched.
        leftovers: processes and files outside the folder that should be gone.
    """

    folder: Path
    config: StudyConfig
    objectives: Sequence[Objective]
    trials: Sequence[AnyTrial]
    reference: Callable[[Architecture], Reference] | None = None
    weights_written: Mapping[int, int] = field(default_factory=dict)
    leftovers: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        folder: Path,
        reference: Callable[[Architecture], Reference] | None = None,
        weights_written: Mapping[int, int] | None = None,
        leftovers: Sequence[str] = (),
    ) -> Evidence:
        """Read the study in `folder`; `nas.study.stored.StoredStudy.read` says what it raises."""
        study = StoredStudy.read(folder)
        config = StudyConfig.model_validate(dict(study.config))
        target = (study.user_attrs.get("target") or {}).get("trials", config.trials)
        config = config.model_copy(update={"trials": target})
        return cls(folder, config, study.objectives, study.trials, reference, weights_written or {}, leftovers)

    @cached_property
    def current(self) -> list[AnyTrial]:
        """The trials that no other repeats."""
        retried = retried_numbers(self.trials)
        return [trial for trial in self.trials if trial.number not in retried]

    @cached_property
    def trained(self) -> list[AnyTrial]:
        """The trials that were trained: completed, stopped at a rung, or failed."""
        return [trial for trial in self.current if is_trained(trial)]

    @cached_property
    def complete(self) -> list[AnyTrial]:
        """The trials that were trained to the end."""
        return [trial for trial in self.current if trial.state == TrialState.COMPLETE]

    @cached_property
    def halving(self) -> Halving | None:
        """The rungs of the study; None: every trial is trained to the end."""
        return create_halving(self.config)

    def folder_of(self, trial: AnyTrial) -> Path:
        """The folder of the files of `trial`."""
        return self.folder / "trials" / f"{trial.number:05d}"

    def architecture_of(self, trial: AnyTrial) -> Architecture:
        """The architecture of `trial`."""
        return Architecture.from_dict(dict(trial.user_attrs["architecture"]))

    def epochs_of(self, trial: AnyTrial) -> int | None:
        """The number of epochs that `trial` was trained for; None: it has failed."""
        if trial.state == TrialState.COMPLETE:
            return self.config.train.epochs
        if outcome_name(trial) == "stopped":
            return max(trial.intermediate_values, default=0)
        return None

    def values_at(self, trial: AnyTrial, rung: int) -> list[float]:
        """The values of `trial` at `rung`, in the order of the objectives."""
        if trial.values and trial.state == TrialState.COMPLETE and rung == self.config.train.epochs:
            return list(trial.values)
        primary = self.objectives[primary_index(self.objectives)].name
        values = {**trial.user_attrs, primary: trial.intermediate_values[rung]}
        return [float(values[objective.name]) for objective in self.objectives]
