"""What the start page says of a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

from nas.dashboard.loaded_study import LoadedStudy
from nas.dashboard.places import StudyPlace
from nas.dashboard.summary import count_trials, summary_of
from nas.study.content import StudySnapshot
from nas.study.trials import count_trained, failed_trials


def test_a_failed_trial_that_was_repeated_does_not_count(
    tmp_path: Path, digits_study: Path, tell_trial: Callable[..., int]
) -> None:
    folder = Path(copytree(digits_study, tmp_path / "copy"))
    failed = failed_trials(StudySnapshot.of(folder).trials)[0].number
    before = _summary(folder)
    tell_trial(folder, [0.5, 1e6, 100.0], outcome="completed", retried_from=failed)
    after = _summary(folder)
    assert after["trials"] == before["trials"] == count_trained(StudySnapshot.of(folder).trials)
    assert after["complete"] == before["complete"] + 1


def _summary(folder: Path) -> dict[str, object]:
    loaded = LoadedStudy(StudyPlace.of_folder(folder))
    columns = loaded.page.columns
    assert count_trials(columns, "failed") > 0
    return summary_of(columns, loaded.target, is_searching=False)
