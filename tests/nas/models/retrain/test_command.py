"""The command `nas retrain`: real processes, interrupted and killed; what it prints; what it refuses."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import nas
from nas import Study
from nas.analysis.results import Results
from nas.cli.main import main
from nas.models.display import SilentDisplay
from nas.models.retrain.named_recipes import load_recipe, resolve_augment
from nas.models.retrain.plan.jobs import RetrainSettings, create_jobs, recipe_digest
from nas.models.retrain.plan.workers import plan_workers
from nas.models.retrain.request import RetrainRequest
from nas.models.retrain.run import run_retrain
from nas.models.retrain.subjects.subject import resolve_word
from nas.models.retrain.training.worker import RetrainWorker
from nas.study.config import Resources
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.retrained import RESULT, retrained_runs
from trainers.data.description import describe
from trainers.training.weights_file import TENSORS_DIGEST, read_metadata

PATIENCE_S = 300.0
EPOCHS = 12
WORDS = ["0", "1", "2", "--seeds", "2", "--device", "cpu", f"epochs={EPOCHS}", "batch_size=32"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs `nas retrain` with words in this process; its workers are processes of their own."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nas", "retrain", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capsys.readouterr()

    return run


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nas", "retrain", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def results_in(folder: Path) -> list[Path]:
    return sorted((folder / "retrained").glob(f"*/*/*/{RESULT}"))


def ended_in(results: Iterable[Path]) -> set[str]:
    """The folders of runs that have these results."""
    return {str(file.parent.resolve()) for file in results}


def told_epochs(folder: Path) -> dict[str, float]:
    """Folder of a run in `folder` that has not ended -> how many of its epochs its worker told to be finished, at last."""
    files = (folder / "retrained").glob("*/*/*/progress.json")
    return {str(file.parent.resolve()): json.loads(file.read_text())["epochs"] for file in files}


def wait_for(count: int, folder: Path, process: subprocess.Popen[str]) -> None:
    """Until `count` runs have ended in `folder`."""
    end_s = time.monotonic() + PATIENCE_S
    while len(results_in(folder)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.01)


def learned(folder: Path) -> dict[str, Any]:
    """What the runs in `folder` have learned: name and seed -> losses, test result, digest of the weights."""
    return {
        f"{run.name} {run.seed}": (
            [(epoch["train_loss"], epoch["val_accuracy"]) for epoch in run.epochs],
            run.test_confusion,
            read_metadata(run.folder(folder) / WEIGHTS)[TENSORS_DIGEST],
        )
        for run in retrained_runs(folder)
    }


def train_undisturbed(study: Path, results: Results, root: Path) -> None:
    """The runs of `WORDS` in this process, by as many threads as a worker of the command has."""
    file = Study.open(study).images()
    images = describe(file)
    recipe = resolve_augment(load_recipe("default", WORDS[-2:]), images)
    digest = recipe_digest(recipe, None)
    subjects = [resolve_word(word, results, images, "scratch") for word in WORDS[:3]]
    threads = plan_workers(Resources(workers=2), "cpu", 6).threads
    settings = RetrainSettings(file, images.fingerprint, recipe, digest, None, threads, "cpu", root / "stop")
    worker = RetrainWorker(settings, "cpu")
    for job in create_jobs(subjects, 2, root, digest, {}):
        Path(job.folder).mkdir(parents=True)
        assert worker.run(job.to_dict())["outcome"] == "finished"


def test_trials_are_retrained_by_two_workers_however_often_they_are_interrupted(
    copy: Path, results: Results, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    out = tmp_path / "disturbed"
    process = start(*WORDS, "--study", copy, "--out", out)
    wait_for(1, out, process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors
    assert output == ""
    assert "interrupted; nothing is lost: the same command continues" in errors
    after_interrupt = len(results_in(out))
    process = start(*WORDS, "--study", copy, "--out", out)
    wait_for(after_interrupt + 1, out, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    ended = {file: file.stat().st_mtime_ns for file in results_in(out)}
    assert 1 <= after_interrupt < len(ended) < 6
    content = sorted(out.rglob("*"))
    code, printed, _ = command(*WORDS, "--study", copy, "--out", out, "--workers", "1", "--dry-run", "--json")
    forecast = json.loads(printed)
    finished = {run["folder"]: run["finished_epochs"] for run in forecast["runs"]}
    untested = {folder for folder, epochs in told_epochs(out).items() if epochs == EPOCHS} - ended_in(ended)
    assert len(untested) <= 2  # each worker may have been killed after the last epoch of a run, and before its result
    assert finished == dict.fromkeys(finished, 0) | told_epochs(out) | dict.fromkeys(ended_in(ended), EPOCHS)
    left = [run for run in forecast["runs"] if run["folder"] not in ended_in(ended)]
    assert {run["steps_per_epoch"] for run in left} == {3}
    assert {run["steps_per_epoch"] for run in forecast["runs"] if run not in left} == {None}
    assert forecast["left_s"] == pytest.approx(sum(run["left_s"] for run in left))
    assert sorted(out.rglob("*")) == content
    code, printed, _ = command(*WORDS, "--study", copy, "--out", out, "--json")
    record = json.loads(printed)
    assert (code, record["trained"], record["failures"]) == (0, 6 - len(ended), {})
    assert [(run["trial"], run["seed"]) for run in record["runs"]] == [(n, s) for n in (0, 1, 2) for s in (0, 1)]
    for model in record["models"]:
        accuracies = [run["test_accuracy"] for run in record["runs"] if run["name"] == model["name"]]
        assert model["test"]["value"] == pytest.approx(sum(accuracies) / 2)
        assert model["test"]["low"] < model["test"]["value"] < model["test"]["high"]
        assert model["proxy_accuracy"] == results.trial(model["trial"])["accuracy"]
    assert [model["trial"] for model in record["models"]] == [0, 1, 2]
    assert -1 <= record["tau"]["value"] <= 1
    train_undisturbed(copy, results, tmp_path / "undisturbed")
    assert learned(out) == learned(tmp_path / "undisturbed")
    assert {file: file.stat().st_mtime_ns for file in ended} == ended  # they were not repeated
    assert not list(out.rglob(CHECKPOINT))
    code, printed, _ = command("--front", "--max-macs", "1G", *WORDS[3:], "--study", copy, "--out", out, "--json")
    front = json.loads(printed)
    assert [run["trial"] for run in front["runs"][::2]] == list(results.front["trial"])
    assert (code, front["trained"]) == (0, 0)


def test_a_trial_a_preset_a_file_and_baselines_stand_side_by_side(
    copy: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    file = tmp_path / "mine.yaml"
    file.write_text("{image_size: 8, in_chans: 1, stem: {patch: 2}, stages: [{mixer: pool, width: 8}]}")
    words = [
        "best",
        "convmixer_256_8_cifar",
        file,
        "--baseline",
        "test_resnet",
        "--study",
        copy,
        "--workers",
        "1",
        "epochs=1",
    ]
    code, printed, errors = command(*words)
    assert (code, errors) == (0, "")
    assert "preset convmixer_256_8_cifar: images of 8x8, 1 channel, patch 1 instead of 2" in printed
    runs = retrained_runs(copy)
    assert {run.kind for run in runs} == {"trial", "preset", "architecture", "baseline"}
    assert {run.kind: run.images_per_s is None for run in runs} == {
        "trial": True, "preset": False, "architecture": False, "baseline": False,
    }  # fmt: skip
    assert len({run.recipe_digest for run in runs}) == 1
    for run in runs:
        (row,) = [line for line in printed.splitlines() if line.strip().startswith(f"{run.name} ")]
        assert f"{run.test_accuracy:.4f}" in row
        assert f"{run.val_accuracy:.4f}" in row
    written = {path: path.stat().st_mtime_ns for path in results_in(copy)}
    for path in (copy / "retrained").rglob(WEIGHTS):
        path.chmod(0o400)
    again = command(*words)
    assert again[0] == 0
    assert "4 runs had ended before; nothing was trained" in again[1]
    assert {path: path.stat().st_mtime_ns for path in results_in(copy)} == written
    assert json.loads(command(*words, "--json")[1])["models"][1]["images_per_s"] == runs[1].images_per_s
    recipe = load_recipe("default", ["epochs=1"])
    assert nas.retrain(Study.open(copy), "best", file, recipe=recipe) == tuple(
        run for kind in ("trial", "architecture") for run in runs if run.kind == kind
    )


class _FasterCommand(SilentDisplay):
    """Another command trains the same runs after this one has looked which have ended, and before it has the lock."""

    def __init__(self, train: Callable[[], object]) -> None:
        self.train = train
        self.checks = 0

    def step(self, text: str) -> AbstractContextManager[Any]:
        self.checks += 1
        if self.checks == 2:
            self.train()
        return super().step(text)


def test_runs_that_another_command_has_ended_meanwhile_are_not_repeated(copy: Path) -> None:
    request = RetrainRequest(load_recipe("default", ["epochs=1"]), words=("0",), device="cpu")
    study, times = Study.open(copy), []

    def train() -> None:
        assert run_retrain(study, request).trained == 1
        times.extend(file.stat().st_mtime_ns for file in results_in(copy))

    retraining = run_retrain(study, request, _FasterCommand(train))
    assert (retraining.trained, len(retraining.runs)) == (0, 1)
    assert [file.stat().st_mtime_ns for file in results_in(copy)] == times


WRONG: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "retrain: needs something to train"),
    "a failed trial": (["3"], "trial 3: only a complete trial can be retrained, this one is failed"),
    "an unknown preset": (["gfnet_tii"], "did you mean gfnet_ti"),
    "an unknown baseline": (
        ["--baseline", "resnet81"],
        "--baseline: timm has no model of this name, found 'resnet81'; did you mean resnet",
    ),
    "offline": (["--baseline", "test_resnet:pretrained"], "test_resnet: timm's weights cannot be obtained"),
    "a teacher with other classes": (
        ["0", "--teacher", "test_resnet"],
        "must have the 10 classes of the study, found 1000",
    ),
    "an unknown teacher": (["0", "--teacher", "timm-resnet"], "--teacher: timm has no model of this name"),
    "a teacher's folder": (
        ["0", "--teacher", "local-dir:no"],
        "must be a folder with config.json and model.safetensors",
    ),
    "a start": (["0", "--start", "scrath"], "--start: must be one of scratch, trial, pretrained, found 'scrath'"),
    "seeds": (["0", "--seeds", "0"], "--seeds: must be from 1 to 1,000, found 0"),
    "a device": (["0", "--device", "gpu"], "--device: must be cpu, cuda or cuda:NUMBER, found 'gpu'"),
    "a GPU": (["0", "--device", "cuda:99"], "GPUs that torch can use, found 'cuda:99'"),
    "MACs without a front": (["0", "--max-macs", "5M"], "--max-macs: needs --front"),
    "an expected front without a front": (["0", "--expected"], "--expected: needs --front"),
    "few MACs": (["--front", "--max-macs", "1e0"], "--max-macs: the front begins at "),
    "no MACs": (["--front", "--max-macs", "nan"], "--max-macs: must be above 0, found nan"),
    "MACs that are none": (["--front", "--max-macs", "many"], "--max-macs: must be a number above 0"),
    "a recipe": (["0", "--recipe", "fast"], "--recipe: no such recipe or file"),
    "an override": (["0", "epoch=3"], "epoch=3: no such key"),
    "distillation without a teacher": (
        ["0", "distillation.weight=0.5"],
        "must be absent from the recipe without --teacher",
    ),
    "workers": (["0", "--workers", "0"], "--workers: must be from 1 to 10,000, found 0"),
    "a cluster that is none": (
        ["0", "--address", "x:1", "--local"],
        "--address: must be absent with --local, found x:1",
    ),
    "a GPU of a cluster": (
        ["0", "--address", "x:1", "--device", "cuda:1"],
        "--device: must be cpu or cuda on a cluster (resources.address), found 'cuda:1'",
    ),
    "growing images": (
        ["gfnet_ti", "convmixer_256_8_cifar", "image_size_schedule.start=0.5"],
        "image_size_schedule=null trains all of them at the full size, found preset-gfnet_ti: stem.pos_embed, stages[0].mixer",
    ),
    "an optimizer": (["0", "optimizer=timm:nadamx"], "optimizer=timm:nadamx: "),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_one_line_and_writes_nothing(
    searched: Path,
    command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, printed, errors = command(*words, "--study", searched, "epochs=1")
    assert (code, printed) == (2, "")
    assert errors.startswith("nas: error: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert not (searched / "retrained").exists()


def test_a_study_without_images_or_without_a_place_for_results_is_refused(
    copy: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    (copy / "retrained").write_text("mine")
    code, _, errors = command("0", "--study", copy)
    assert code == 2
    assert "retrained is a file; --out DIR names another" in errors
    assert (copy / "retrained").read_text() == "mine"
    shutil.rmtree(copy / "data")
    code, _, errors = command("0", "--study", copy)
    assert code == 2
    assert "decoded images are missing or damaged" in errors


def test_a_full_disk_ends_the_command_before_it_trains(
    copy: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        code, printed, errors = command("0", "--study", copy, "epochs=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, printed) == (1, ""), errors
    assert "the same command continues" in errors
    assert retrained_runs(copy) == ()
    assert not list((copy / "retrained").glob("*/*"))
