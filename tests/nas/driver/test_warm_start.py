"""Prior knowledge of a study: presets and earlier studies give its first architectures and inform its sampler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest

from nas import objectives
from nas.driver.ask_tell import AskTell
from nas.driver.proposal import Proposal
from nas.driver.start.warm_start import (
    check_earlier_study,
    earlier_study_attributes,
    first_architectures,
    prior_accuracies,
)
from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.database.storage import create_study, open_study
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import Completed
from nas.study.stored import StoredStudy
from nas.study.study_sampler import create_sampler
from search_space import Architecture, SearchSpace, cost

SPACE = {
    "stem": {"patch": [2, 4]},
    "num_stages": [1, 2],
    "stages": [
        {
            "mixer": {"conv": {"k": [3, 5, 9]}, "attention": {"heads": [2, 4]}, "pool": None},
            "depth": [1, 2],
            "width": [16, 32],
        }
    ]
    * 2,
}
TEXT = """\
space: {stages: [{mixer: pool}]}
start:
  presets: [%s]
  study: %s
"""


def space(image_size: int = 16) -> SearchSpace:
    return SearchSpace.from_dict({**SPACE, "image_size": image_size})


def worth(architecture: Architecture) -> float:
    """Attention is worth most, whatever it costs."""
    names = [stage.mixer.name for stage in architecture.stages]
    return 0.5 + 0.4 * names.count("attention") / len(names)


def earlier(folder: Path, trials: int = 30, image_size: int = 8, primary: str = "accuracy") -> Path:
    """A finished study of another image size."""
    chosen = [objectives.get(name) for name in (primary, "macs")]
    folder.mkdir()
    attributes = {"objectives": [objective.to_dict() for objective in chosen]}
    study = create_study(folder, "earlier", [objective.direction for objective in chosen], attributes)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    ask_tell = AskTell(study, space(image_size), chosen, trials, lambda number: folder / str(number))
    while isinstance(proposal := ask_tell.propose(), Proposal):
        trained = Trained({primary: worth(proposal.architecture)}, [], 1.0, 1.0, 0.0)
        ask_tell.record(proposal.number, Completed(proposal.seed, Measured(), trained))
    return folder


def new_config(tmp_path: Path, presets: str = "", study: str = "null") -> StudyConfig:
    file = tmp_path / "new.yaml"
    file.write_text(TEXT % (presets, study))
    return StudyConfig.from_file(file)


def test_nearest_to_presets_come_first(tmp_path: Path) -> None:
    config = new_config(tmp_path, "convmixer_256_8_cifar_k9, vit_tiny_patch16")
    conv, attention = first_architectures(config, space())
    assert (conv.stages[0].mixer.name, conv.stages[0].mixer.k) == ("conv", 9)
    assert conv.stages[0].width == 32
    assert conv.stem.patch == 2
    assert attention.stages[0].mixer.name == "attention"
    assert all(space().contains(architecture) for architecture in (conv, attention))


def test_front_of_an_earlier_study_comes_first_and_its_accuracies_are_the_prior(tmp_path: Path) -> None:
    folder = earlier(tmp_path / "old")
    config = new_config(tmp_path, study=str(folder))
    front = {trial.number for trial in open_study(folder).best_trials}
    first = first_architectures(config, space())
    assert 1 <= len(first) <= len(front)
    assert len({architecture.id for architecture in first}) == len(first)
    prior = prior_accuracies(config, space())
    assert len(prior) == 30
    for architecture, accuracy in prior:
        assert architecture.image_size == (16, 16)
        assert accuracy == pytest.approx(worth(architecture))


@pytest.mark.parametrize(("old", "new"), [("accuracy", "macro_f1"), ("balanced_accuracy", "accuracy")])
def test_an_earlier_study_of_another_score_informs_too(tmp_path: Path, old: str, new: str) -> None:
    config = new_config(tmp_path, study=str(earlier(tmp_path / "old", primary=old)))
    config = config.model_copy(update={"objectives": ("macs", new)})
    prior = prior_accuracies(config, space())
    assert len(prior) == 30
    assert [accuracy for _, accuracy in prior] == [pytest.approx(worth(architecture)) for architecture, _ in prior]


def test_earlier_study_of_other_architectures_gives_no_prior(tmp_path: Path) -> None:
    config = new_config(tmp_path, study=str(earlier(tmp_path / "old")))
    other = SearchSpace.from_dict({"stages": [{"mixer": {"shift": None}, "width": [64, 96]}], "image_size": 16})
    assert prior_accuracies(config, other) == ()
    assert len(first_architectures(config, other)) in (1, 2)


def test_sampler_with_a_prior_suggests_the_best_architectures_at_once(tmp_path: Path) -> None:
    """Attention is best everywhere; a sampler with the accuracies of another image size proposes it at once."""
    config = new_config(tmp_path, study=str(earlier(tmp_path / "old")))
    config = config.model_copy(update={"objectives": ("accuracy", "macs")})
    shares = []
    for prior in (prior_accuracies(config, space()), ()):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=create_sampler(config, space(), prior))
        proposed = []
        for _ in range(5):
            trial = study.ask()
            proposed.append(space().suggest(trial))
            study.tell(trial, (worth(proposed[-1]), cost(proposed[-1]).macs))
        shares.append(np.mean([worth(architecture) for architecture in proposed]))
    assert shares[0] > shares[1]
    assert shares[0] > 0.8


@pytest.mark.parametrize(
    ("presets", "study", "message"),
    [
        (
            "vit_tiny_patch16, vit_tny",
            "null",
            r"new.yaml:3:\d+: start.presets\[1\]: no such preset, found 'vit_tny'; did",
        ),
        ("", "/nowhere", r"new.yaml:4:\d+: start.study: /nowhere: holds no study"),
    ],
)
def test_unknown_presets_and_studies_are_named_with_their_place(
    tmp_path: Path, presets: str, study: str, message: str
) -> None:
    config = new_config(tmp_path, presets, study)
    with pytest.raises(ConfigError, match=message):
        first_architectures(config, space())


@pytest.fixture
def live_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the time zone of this process."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def started_from(tmp_path: Path, attributes: dict[str, str]) -> StoredStudy:
    """A study with these `attributes`."""
    (tmp_path / "new").mkdir()
    objectives_of_it = [objectives.get("accuracy").to_dict()]
    create_study(tmp_path / "new", "new", ["maximize"], {"objectives": objectives_of_it, **attributes})
    return StoredStudy.open(tmp_path / "new")


def test_a_study_goes_on_from_its_earlier_study_in_another_time_zone(
    tmp_path: Path, live_in: Callable[[str], None]
) -> None:
    config = new_config(tmp_path, study=str(earlier(tmp_path / "old", trials=1)))
    live_in("America/New_York")
    study = started_from(tmp_path, earlier_study_attributes(config))
    live_in("Europe/Berlin")
    check_earlier_study(study, config)


def test_the_identity_in_local_time_that_earlier_versions_have_stored_counts(tmp_path: Path) -> None:
    config = new_config(tmp_path, study=str(earlier(tmp_path / "old", trials=1)))
    start = open_study(tmp_path / "old").trials[0].datetime_start
    study = started_from(tmp_path, {"start_study": f"earlier of {start:%Y-%m-%d %H:%M:%S}"})
    check_earlier_study(study, config)


def test_another_earlier_study_is_refused(tmp_path: Path) -> None:
    config = new_config(tmp_path, study=str(earlier(tmp_path / "old", trials=1)))
    study = started_from(tmp_path, {"start_study": "earlier of 2020-01-01 00:00:00 UTC"})
    with pytest.raises(
        ConfigError, match=r"start\.study: must stay .* 2020-01-01 00:00:00 UTC, found earlier of 20.* UTC"
    ):
        check_earlier_study(study, config)
