"""The sampler of a study speaks in the words of the study."""

from __future__ import annotations

import logging
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas.study.config import StudyConfig
from nas.study.study_sampler import create_sampler

STUDY = """\
data: {source: digits}
space: {stages: [{mixer: {pool: null, shift: null}, depth: [1, 2], width: [8, 16]}]}
objectives: [accuracy, macs]
"""


def warnings_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, *overrides: str, trials: int) -> list[str]:
    """What the sampler of `STUDY` warns of while `trials` end."""
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    config = StudyConfig.from_file(file, *overrides)
    space = config.space_on((8, 8), 1, 10)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=create_sampler(config, space))
    with caplog.at_level(logging.WARNING, "nas"):
        for _ in range(trials):
            trial = study.ask()
            trial.set_user_attr("id", space.suggest(trial).id)
            study.tell(trial, state=TrialState.PRUNED)
    return [record.getMessage() for record in caplog.records if record.name.startswith("nas.")]


def test_limits_that_nothing_satisfies_are_those_of_the_study(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(tmp_path, caplog, "limits={macs: 20, params: 5000}", trials=3) == [
        "no architecture was found that satisfies the limits (macs: 20, params: 5000) by its costs and predicted values;"
        " random architectures are proposed"
    ]


def test_a_space_that_was_tried_holds_architectures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(tmp_path, caplog, trials=12) == [
        "all architectures that were found and may be proposed were tried; random architectures are proposed"
    ]
