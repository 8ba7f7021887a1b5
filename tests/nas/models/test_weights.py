"""Whose weights are these? Those of another training are never taken for the trial's, whatever their shapes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nas import Study, StudyConfig, search
from nas.errors import StudyError
from nas.models.export import export
from nas.models.front_test_accuracy import measure_test_accuracy
from nas.models.weights import load_trained
from nas.study.content import StudyContent, StudySnapshot
from nas.study.layout import WEIGHTS

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1" / "study"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, small_study_writer: Callable[..., Path]) -> Path:
    """The folder of a searched study of two trials."""
    file = small_study_writer(tmp_path_factory.mktemp("weights"), trials=2)
    study = Study.open_or_create(file.parent / "run", StudyConfig.from_file(file))
    search(study)
    return study.folder


@pytest.fixture
def folder(tmp_path: Path, searched: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(searched, tmp_path / "run"))


def load(folder: Path, number: int) -> torch.nn.Module:
    study: StudyContent = StudySnapshot.of(folder)
    return load_trained(study, study.trials[number])


def rewrite(file: Path, **changes: str) -> None:
    """Write the weights of `file` again with `changes` of the metadata, without the digest."""
    with safe_open(file, framework="pt") as content:
        metadata = {**content.metadata(), **changes}
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (no mapping)
    del metadata["tensors_sha256"]
    save_file(tensors, file, metadata)


def test_weights_of_the_trial_load(folder: Path) -> None:
    assert all(not load(folder, number).training for number in (0, 1))


def test_weights_of_version_0_1_load_and_export(tmp_path: Path) -> None:
    study = StudySnapshot.of(FROZEN)
    for number in (0, 2, 7):
        assert export(study, number, tmp_path / str(number)) == number


def test_weights_of_another_architecture_are_refused_and_both_are_named(folder: Path) -> None:
    trials = StudySnapshot.of(folder).trials
    shutil.copy(folder / "trials" / "00001" / WEIGHTS, folder / "trials" / "00000" / WEIGHTS)
    found, expected = trials[1].user_attrs["id"], trials[0].user_attrs["id"]
    message = rf"trial 0: its weights in .* of another training: .* architecture {found}, the trial has {expected}"
    with pytest.raises(StudyError, match=message):
        load(folder, 0)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("seed",), 5, "their training has the seed 5, that of the trial "),
        (("trained", "values", "accuracy"), 0.125, "ended with accuracy 0.125, the trial with "),
        (("trained", "curve", 0, "train_loss"), 2.5, "after epoch 1 the train_loss of their training is 2.5, that of"),
    ],
    ids=["seed", "accuracy", "curve"],
)
def test_weights_of_another_training_of_the_architecture_are_refused(
    folder: Path, keys: tuple[str | int, ...], value: float, message: str
) -> None:
    file = folder / "trials" / "00000" / WEIGHTS
    with safe_open(file, framework="pt") as content:
        record = json.loads(content.metadata()["record"])
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    rewrite(file, record=json.dumps(record))
    with pytest.raises(StudyError, match=f"are those of another training: .*{message}"):
        load(folder, 0)


def test_the_identity_of_the_training_is_that_of_the_study(folder: Path) -> None:
    rewrite(folder / "trials" / "00000" / WEIGHTS, training="0" * 64)
    with pytest.raises(StudyError, match="its identity is 000000000000, that of the study's images and training is "):
        load(folder, 0)


def test_a_file_that_no_trial_wrote_is_refused(folder: Path) -> None:
    save_file({"weight": torch.zeros(2)}, folder / "trials" / "00000" / WEIGHTS)
    with pytest.raises(StudyError, match=r"model\.safetensors: its header names no training of this project"):
        load(folder, 0)


def test_a_flipped_bit_of_a_tensor_is_found(folder: Path) -> None:
    file = folder / "trials" / "00000" / WEIGHTS
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(StudyError, match=r"trial 0: .* are damaged: the tensors do not have the digest in the header"):
        load(folder, 0)


def test_commands_refuse_them_and_the_other_trials_go_on(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "trials" / "00001" / WEIGHTS, folder / "trials" / "00000" / WEIGHTS)
    with pytest.raises(StudyError, match="another training"):
        export(StudySnapshot.of(folder), 0, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    measured = measure_test_accuracy(StudySnapshot.of(folder))
    front = {str(number) for number in Study.open(folder).results().front["trial"]}
    assert set(measured.values) == front - {"0"}
    assert [line for line in measured.missing if "another training" in line] == list(measured.missing)
