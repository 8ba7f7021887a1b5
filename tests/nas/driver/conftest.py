"""A small space and outcomes of trials, for the tests of the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from nas import objectives
from nas.driver.ask_tell import AskTell
from nas.driver.proposal import Proposal
from nas.study.database.storage import create_study
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import Completed
from search_space import SearchSpace

SPACE = SearchSpace.from_dict(
    {
        "image_size": 8,
        "in_chans": 1,
        "stem": {"patch": [2, 4]},
        "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}],
    }
)  # 2 patches x 3 mixers x 2 depths x 2 widths = 24
OBJECTIVES = tuple(objectives.get(name) for name in ("accuracy", "macs", "images_per_s"))


class Driver:
    """Ask and tell on a small space, in memory or in a folder."""

    space = SPACE
    objectives = OBJECTIVES

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def study(self, stored: bool = False) -> optuna.Study:
        """A new study, in memory or, `stored`, in the folder."""
        directions = [objective.direction for objective in OBJECTIVES]
        sampler = optuna.samplers.RandomSampler(seed=0)
        if not stored:
            return optuna.create_study(directions=directions, sampler=sampler)
        study = create_study(self.folder, "s", directions, {})
        study.sampler = sampler
        return study

    def ask_tell(self, study: optuna.Study, target: int = 100, **options: Any) -> AskTell:
        """Ask and tell of `study`."""
        return AskTell(study, SPACE, OBJECTIVES, target, lambda number: self.folder / f"{number:05d}", **options)

    @staticmethod
    def completed(proposal: Proposal, accuracy: Any = 0.5, **trained: Any) -> Completed:
        """The outcome of a training to the end."""
        values = {"curve": [], "train_s": 1.0, "wall_s": 2.0, "overhead_s": 0.1} | trained
        return Completed(
            proposal.seed, Measured({"images_per_s": 100.0}), Trained(values={"accuracy": accuracy}, **values)
        )

    @staticmethod
    def proposals(ask_tell: AskTell) -> list[Proposal]:
        """All that is proposed while nothing ends."""
        proposals = []
        while isinstance(proposal := ask_tell.propose(), Proposal):
            proposals.append(proposal)
        return proposals


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """See `Driver`."""
    return Driver(tmp_path)
