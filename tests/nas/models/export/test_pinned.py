"""`nas export --pinned`: every pinned trial as a model, or nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import timm

from nas import Study
from nas.cli import main as cli
from nas.errors import StudyError, UsageError
from nas.models.export import export_pinned
from nas.study.database.storage import write_attributes
from nas.study.layout import WEIGHTS


@pytest.fixture
def folder(small_study: Path) -> Path:
    """A searched study of three trials; the tests write nothing but its pins."""
    return small_study


def pin(folder: Path, pins: Any) -> Study:
    write_attributes(folder, {"pins": pins})
    return Study.open(folder)


def test_each_pinned_trial_is_a_model(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "models"
    out.mkdir()
    (out / "notes.txt").write_text("kept")
    written = export_pinned(pin(folder, [2, 0, 2]), out)
    assert written == {2: out / "trial-2", 0: out / "trial-0"}
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "trial-0", "trial-2"]
    results = Study.open(folder).results()
    for number, place in written.items():
        model = timm.create_model(f"local-dir:{place}", pretrained=True)
        assert sum(p.numel() for p in model.parameters()) == results.trials["params"].loc[number]
    assert export_pinned(pin(folder, [0]), out) == {0: out / "trial-0"}  # an export may be renewed


def test_nothing_is_written_unless_everything_can_be(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "trial-1").mkdir()
    (tmp_path / "trial-1" / "mine").write_text("x")
    with pytest.raises(UsageError, match=r"trial-1: must be empty, new, or an earlier export"):
        export_pinned(pin(folder, [0, 1]), tmp_path)
    with pytest.raises(UsageError, match=r"trial 9: .* has no such trial"):
        export_pinned(pin(folder, [0, 9]), tmp_path)
    study = pin(folder, [0, 2])
    weights = study.trial_folder(2) / WEIGHTS
    weights.rename(weights.with_suffix(".away"))
    try:
        with pytest.raises(StudyError, match=r"trial 2: its weights are missing"):
            export_pinned(study, tmp_path)
    finally:
        weights.with_suffix(".away").rename(weights)
    assert [path.name for path in tmp_path.iterdir()] == ["trial-1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pinned"], "no trial is pinned"),
        ([], "needs a trial (its number, or best), --front or --pinned, found neither"),
        (["1", "--pinned"], "found both, --pinned and 1"),
    ],
)
def test_the_command_says_what_is_missing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    pin(folder, [])
    out = tmp_path / "model"
    assert run(["export", str(folder), *words, "--out", str(out)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_the_command_names_each_model(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pin(folder, [1])
    assert run(["export", str(folder), "--pinned", "--out", str(tmp_path)]) == 0
    assert f"model: {tmp_path}/trial-1 (trial 1)" in capsys.readouterr().out


def run(words: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nas", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)
