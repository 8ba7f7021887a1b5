"""What a fidelity analysis is asked for: the study, and the extent of the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.analysis.statistics import MIN_VALUES
from nas.errors import UsageError
from nas.fidelity.inherited import InheritedTraining, inherited_trainings
from nas.objectives import primary_index
from nas.study.config import StudyConfig
from nas.study.content import StudySnapshot
from nas.study.continuation import check_continues
from nas.study.layout import CONFIG, DATA, default_folder, may_write
from trainers.data.types import READING_VERSION

MAX_SAMPLE = 10_000
MAX_MULTIPLE = 10_000
MAX_SEEDS = 1_000


@dataclass(frozen=True)
class FidelityRequest:
    """The extent of a fidelity run.

    Args:
        sample: number of architectures; at least 3.
        multiple: epochs of the large budget per epoch of the proxy; above 1.
        seeds: number of trainings of each architecture at each budget; at least 1.

    Raises:
        UsageError: a number is out of its range.
    """

    sample: int = 16
    multiple: float = 4.0
    seeds: int = 3

    def __post_init__(self) -> None:
        if self.sample < MIN_VALUES:
            raise UsageError(f"--sample: must be at least {MIN_VALUES} architectures to be ranked, found {self.sample}")
        if self.sample > MAX_SAMPLE:
            raise UsageError(f"--sample: must be at most {MAX_SAMPLE:,}, found {self.sample}")
        if self.seeds < 1:
            raise UsageError(f"--seeds: must be at least 1, found {self.seeds}")
        if self.seeds > MAX_SEEDS:
            raise UsageError(f"--seeds: must be at most {MAX_SEEDS:,}, found {self.seeds}")
        if not 1 < self.multiple <= MAX_MULTIPLE:
            raise UsageError(f"--multiple: must be above 1, and at most {MAX_MULTIPLE:,}, found {self.multiple:g}")


@dataclass(frozen=True)
class FidelityStudy:
    """The study of a fidelity run.

    Args:
        config: the configuration of the study.
        out: the folder of the trainings.
        cache: the folder of the decoded images.
        reading_version: of the rules by which the study reads the folder of images.
        inherited: trainings of the study that have inherited weights.
    """

    config: StudyConfig
    out: Path
    cache: Path
    reading_version: int = READING_VERSION
    inherited: tuple[InheritedTraining, ...] = ()


def fidelity_study(path: Path, overrides: list[str], out: Path | None = None) -> FidelityStudy:
    """Read the study at `path`: its YAML file, or its folder.

    Raises:
        UsageError, ConfigError: there is none, or its configuration breaks a rule.
    """
    if not path.is_dir():
        config = StudyConfig.from_file(path, *overrides)
        out = out or default_folder(config.name) / "fidelity"
        return FidelityStudy(config, out, out / DATA)
    stored = StudySnapshot.of(path)
    check_continues(
        StudyConfig.from_file(path / CONFIG), stored.config
    )  # the file in the folder may have been edited since
    config = StudyConfig.from_file(path / CONFIG, *overrides)
    if out is None and not may_write(path):
        raise UsageError(f"{path}: is read-only; --out DIR names another for the trainings")
    out = out or path / "fidelity"
    has_images = may_write(path) or (path / DATA).is_dir()
    primary = stored.objectives[primary_index(stored.objectives)].name
    inherited = inherited_trainings(stored.trials, primary) if config.train.inherit != "none" else ()
    return FidelityStudy(config, out, path / DATA if has_images else out / DATA, stored.reading_version, inherited)
