"""`nas export --front`, `--to-hub`, `--json`; what an earlier export leaves; trials, images and formats that do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm

from nas import Study, export
from nas.cli import main as cli
from nas.errors import StudyError, UsageError
from nas.models.export import ExportOptions, export_front
from nas.models.export.trained_model import TrainedModel
from nas.models.front_test_accuracy import load_images
from nas.study.layout import WEIGHTS

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `nas` with words."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return subprocess.CompletedProcess(sys.argv, int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_each_trial_of_the_front_is_a_model(small_study: Path, tmp_path: Path, nas: Run) -> None:
    front = [int(trial) for trial in Study.open(small_study).results().front["trial"]]
    done = nas("export", small_study, "--front", "--out", tmp_path / "front", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    models = json.loads(done.stdout)["models"]
    assert [model["trial"] for model in models] == front
    for model in models:
        folder = Path(model["folder"])
        assert folder == tmp_path / "front" / f"trial-{model['trial']}"
        assert model["files"] == {file.name: file.stat().st_size for file in folder.iterdir()}
        assert 0 <= model["largest_difference"] <= 1e-5
        assert model["artifacts"] == []
        assert timm.create_model(f"local-dir:{folder}", pretrained=True).num_classes == 10
    assert export_front(Study.open(small_study), tmp_path / "front") == {
        trial: tmp_path / "front" / f"trial-{trial}" for trial in front
    }


def test_no_trial_of_the_front_is_written_if_one_cannot_be(small_study: Path, tmp_path: Path) -> None:
    study = Study.open(small_study)
    last = int(study.results().front["trial"].iloc[-1])
    weights = study.trial_folder(last) / WEIGHTS
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + bytes(4))
    try:
        with pytest.raises(StudyError, match=rf"trial {last}: its weights in .* are damaged"):
            export_front(study, tmp_path / "front")
    finally:
        weights.write_bytes(content)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_the_hub(small_study: Path, tmp_path: Path, nas: Run) -> None:
    done = nas("export", small_study, "best", "--out", tmp_path / "my model", "--to-hub")
    best = Study.open(small_study).results().best["trial"]
    assert f"upload: hf upload USER/small-trial-{best} '{tmp_path}/my model' .\n" in done.stdout
    attributes = (tmp_path / "my model" / ".gitattributes").read_text()
    assert "*.safetensors filter=lfs diff=lfs merge=lfs -text\n" in attributes


def test_files_of_an_earlier_export_do_not_stay(small_study: Path, tmp_path: Path) -> None:
    study, out = Study.open(small_study), tmp_path / "model"
    export(study, "best", out, ExportOptions(hub=True))
    (out / "model.onnx").write_bytes(b"of another trial")
    (out / "notes.txt").write_text("mine")
    export(study, 0, out)
    names = {file.name for file in out.iterdir()}
    assert "notes.txt" in names
    assert not names & {"model.onnx", ".gitattributes"}


def test_classes_that_differ_are_refused(small_study: Path) -> None:
    study = Study.open(small_study)
    images, row = load_images(study), study.results().trial("best")
    assert TrainedModel.load(study, row, images).trial == row["trial"]
    rule = r"trial \d: num_classes of its architecture must be that of the study's images, 2, found 10"
    with pytest.raises(StudyError, match=rule):
        TrainedModel.load(study, row, replace(images, class_names=("cat", "dog")))


def test_a_trial_that_was_not_retrained_is_refused(small_study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"trial 0: was not retrained; `nas retrain 0 --study .*` does it"):
        export(Study.open(small_study), 0, tmp_path / "model", ExportOptions(retrained=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--front", "--pinned"], "found both, --front and --pinned"),
        (["best", "--front"], "found both, --front and best"),
        (["7"], "trial 7: "),
    ],
)
def test_wrong_use_is_one_line(small_study: Path, tmp_path: Path, nas: Run, words: list[str], message: str) -> None:
    done = nas("export", small_study, *words, "--out", tmp_path / "model")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
