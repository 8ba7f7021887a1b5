"""`nas diagnose` on a searched study and on an exported model, and what it says of wrong words."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nas import Study, StudyConfig, export, search
from nas.cli import main as cli
from nas.errors import UsageError
from nas.models.diagnose import page
from nas.models.diagnose.diagnoses.texture import ShapeAndTexture, Texture
from nas.models.diagnose.images import default_limit
from nas.models.diagnose.registry import DIAGNOSES, Advance
from nas.models.diagnose.resolve import Normalisation, load_candidates
from nas.models.diagnose.run import DiagnosisFindings, diagnose
from nas.models.diagnose.subject import DiagnosedModel, ImageSample
from nas.study.content import StudySnapshot


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_study_writer: Callable[..., Path]) -> Path:
    """A searched study of two trials, with the model of trial 0 in `model`."""
    file = small_study_writer(tmp_path_factory.mktemp("diagnosed"), trials=2)
    study = Study.open_or_create(file.parent / "run", StudyConfig.from_file(file))
    assert search(study).counts == {"complete": 2}
    export(study, 0, file.parent / "model")
    return file.parent


def run(words: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nas", "diagnose", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)


def test_a_trial_and_its_export_are_the_same_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["0", "1", str(folder / "model"), "--study", str(folder / "run"), "--limit", "30"]
    assert run([*words, "--only", "corruptions,texture,receptive_field", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["page"] == str(folder / "run" / "diagnosis.html")
    assert (record["images"]["count"], record["images"]["size"]) == (30, [8, 8])
    assert "30 validation images of digits" in record["images"]["description"]
    assert record["images"]["split"] == "val"
    assert [model["name"] for model in record["models"]] == ["trial 0", "trial 1", "model"]
    assert list(record["diagnoses"]) == ["corruptions", "texture", "receptive_field"]
    for results in record["diagnoses"].values():
        assert results["trial 0"] == results["model"] != results["trial 1"]
    page = (folder / "run" / "diagnosis.html").read_text(encoding="utf-8")
    assert "the test images were not used" in page
    assert "Diagnosis of trial 0, trial 1, model" in page


def test_an_export_without_its_study(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "page.html"
    words = [str(folder / "model"), "--data", "digits", "--split", "val", "--only", "channels", "--out", str(out)]
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "359 validation images of digits, of 359" in text
    assert f"page: {out}" in text
    assert out.is_file()


class Interrupted(Texture):
    """A user who presses Ctrl-C during the second diagnosis."""

    name = "interrupted"

    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> ShapeAndTexture:
        raise KeyboardInterrupt


def test_an_interrupted_command_writes_what_was_finished(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DIAGNOSES, "interrupted", Interrupted())
    out = tmp_path / "page.html"
    words = ["0", "--study", str(folder / "run"), "--limit", "10", "--out", str(out)]
    assert run([*words, "--only", "corruptions,interrupted"]) == 130
    assert f"the page holds the diagnoses that were finished: {out}" in capsys.readouterr().err
    assert "Common corruptions" in out.read_text(encoding="utf-8")
    out.unlink()
    write = page.write
    calls: list[Path] = []

    def write_at_second_call(findings: DiagnosisFindings, file: Path) -> Path:
        calls.append(file)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return write(findings, file)

    monkeypatch.setattr(page, "write", write_at_second_call)
    assert run([*words, "--only", "corruptions"]) == 130
    assert f"the page holds the diagnoses that were finished: {out}" in capsys.readouterr().err
    assert out.is_file()
    assert run([*words[:-1], str(tmp_path / "none.html"), "--only", "interrupted"]) == 130
    assert capsys.readouterr().err.endswith("interrupted; nothing was written\n")
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0"], "diagnose: needs images: --study DIR, or --data FOLDER"),
        (["0", "--data", "digits"], "0: a trial needs its study: --study DIR"),
        (["7", "--study", "RUN"], "trial 7: RUN has no such trial"),
        (["best", "0", "1", "--study", "RUN"], "the models must differ; it is named twice"),
        (["nowhere", "--study", "RUN"], "MODEL: there is no such folder or ONNX file, and timm has"),
        (["RUN", "--study", "RUN"], "RUN: is no model; it has no config.json"),
        (["0", "--study", "RUN", "--only", "band"], "found 'band'; did you mean bands?"),
        (["0", "--study", "nowhere"], "nowhere"),
        (["0", "--study", "RUN", "--out", "RUN"], "RUN: is a folder; name the file to write"),
        (["0", "--study", "RUN", "--split", "train"], "'train' is not one of 'val', 'test'"),
        (["0", "--study", "RUN", "--data", "nothing"], "nothing: no such folder"),
        (["trial-0", "--study", "RUN"], "trial-0: RUN has no such full training (known: none)"),
        (["trial-0", "--data", "digits"], "trial-0: a full training needs its study: --study DIR"),
        (["0", "--study", "RUN", "--std", "0"], "--std: must be numbers above 0"),
        (["0", "--study", "RUN", "--out", "/proc/page.html"], "/proc: must be a folder that can be written to"),
    ],
)
def test_wrong_words_are_named_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    place = str(folder / "run")
    before = sorted(folder.rglob("*"))
    assert run([place if word == "RUN" else word for word in words]) == 2
    assert sorted(folder.rglob("*")) == before
    error = " ".join(capsys.readouterr().err.split())
    assert message.replace("RUN", place) in error


def test_missing_images_are_wrong_use(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    shutil.rmtree(copied / "data")
    for words in (["0", "--study", str(copied)], [str(folder / "model"), "--data", str(copied)]):
        assert run([*words, "--out", str(tmp_path / "page.html")]) == 2
        assert "decoded images are missing" in capsys.readouterr().err


def test_the_split_is_named_and_models_of_files_may_be_normalised_otherwise(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "0",
        str(folder / "model"),
        "--study",
        str(folder / "run"),
        "--limit",
        "30",
        "--only",
        "channels",
        "--json",
    ]
    out = tmp_path / "page.html"
    assert run([*words, "--split", "test", "--mean", "0.9", "--std", "0.1", "--out", str(out)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["images"]["split"], len(record["models"])) == ("test", 2)
    assert "These are test images." in out.read_text(encoding="utf-8")
    given = Normalisation((0.9,), (0.1,))
    trial, model = load_candidates(words[:2], StudySnapshot.of(folder / "run"), given)
    assert (model.model.mean, model.model.std) == ((0.9,), (0.1,))
    assert trial.model.mean != model.model.mean


def test_equal_names_of_folders_are_told_apart(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "model", tmp_path / "model")
    words = [str(folder / "model"), str(tmp_path / "model")]
    assert [candidate.name for candidate in load_candidates(words, None)] == words
    with pytest.raises(UsageError, match="the models must differ; it is named twice"):
        load_candidates(words[:1] * 2, None)


class Logits(torch.nn.Module):
    """What an ONNX file is to us: a module without weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def test_a_model_without_weights_is_diagnosed_by_its_answers(images: ImageSample) -> None:
    findings = diagnose([DiagnosedModel("bare", Logits(), (0.0,) * 3, (1.0,) * 3)], images.first(8))
    assert [name for name, results in findings.results.items() if results] == ["bands", "corruptions", "texture"]
    assert findings.models[0].params is None
    assert findings.reasons["curvature"] == {"bare": "no weights that can be moved"}


def test_classes_and_sizes_must_be_those_of_the_images(folder: Path) -> None:
    (model,) = load_candidates(["best"], StudySnapshot.of(folder / "run"))
    digits = tuple(str(digit) for digit in range(10))
    pixels, labels = torch.rand(4, 1, 8, 8), torch.arange(4)
    backwards = model.on(ImageSample(pixels, labels, digits[::-1]))
    same = model.on(ImageSample(pixels, labels, digits))
    assert torch.equal(backwards.logits(pixels), same.logits(pixels).flip(1))
    with pytest.raises(UsageError, match=r"must have the classes of the images: 2, found 10; not in both: 2, 3"):
        model.on(ImageSample(pixels, labels, ("0", "1")))
    with pytest.raises(UsageError, match=r"takes images of 8x8 pixels, grey, found 8x8 pixels, RGB"):
        model.on(ImageSample(pixels.expand(4, 3, 8, 8), labels, digits))
    with pytest.raises(UsageError, match="must be at most 8 models, found 9"):
        load_candidates(["0"] * 9, StudySnapshot.of(folder / "run"))


def test_larger_images_are_fewer() -> None:
    assert [default_limit((side, side)) for side in (8, 32, 64, 224)] == [500, 500, 125, 64]
