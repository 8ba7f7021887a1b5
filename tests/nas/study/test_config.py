"""Configuration: values, overrides, and errors that name their place, rule and value."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.continuation import check_continues
from trainers.training.config import TrainConfig

ROOT = Path(__file__).parents[3]
STUDY = """\
trials: 5
space:
  stem: {patch: 2}
  image_size: 8
  stages:
    - mixer:
        conv: {k: [3, 5]}
        attention: {heads: [2, 4]}
      width: [16, 32]
train:
  epochs: 3
  lr: 1e-3
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    return path


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        StudyConfig.from_file(path, *overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_file_gives_values_and_name(study: Path) -> None:
    loaded = StudyConfig.from_file(study)
    assert (loaded.name, loaded.trials, loaded.train.epochs, loaded.train.lr) == ("mine", 5, 3, 1e-3)
    assert loaded.data.source == "digits"


def test_overrides_replace_values_below_mappings_and_lists(study: Path) -> None:
    words = ["train.epochs=9", "limits.macs=2e6", "space.stages.0.width=[24]", "name=other"]
    loaded = StudyConfig.from_file(study, *words)
    assert loaded.train.epochs == 9
    assert loaded.train.lr == 1e-3
    assert loaded.limits == {"macs": 2e6}
    assert loaded.space.stages[0].width == (24,)
    assert loaded.name == "other"


def test_a_whole_number_may_stand_for_any_and_none_for_what_may_be_missing(study: Path) -> None:
    words = ["train.lr=1", "limits.macs=2000000", "resources.workers=null", "objectives=[accuracy, params]"]
    loaded = StudyConfig.from_file(study, *words)
    assert (loaded.train.lr, loaded.limits, loaded.resources.workers) == (1.0, {"macs": 2e6}, None)
    assert loaded.objectives == ("accuracy", "params")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("resources.memory_per_trial=8 GB", 8 * 10**9),
        ("resources.memory_per_trial=1.5GiB", 1536 * 2**20),
        ("resources.memory_per_trial=1000000", 10**6),
        ("resources.memory_per_trial=null", None),
        ("resources.max_silence=90", timedelta(seconds=90)),
        ("resources.max_silence=null", None),
        ("resources.wait_for_cluster=1h30m", timedelta(minutes=90)),
    ],
)
def test_sizes_and_durations_are_read_as_they_are_documented_and_stored(study: Path, word: str, value: object) -> None:
    loaded = StudyConfig.from_file(study, word)
    key = word.partition("=")[0].removeprefix("resources.")
    assert getattr(loaded.resources, key) == value
    stored = study.with_name("stored.yaml")
    stored.write_text(yaml.safe_dump(loaded.model_dump(mode="json")))
    assert StudyConfig.from_file(stored).resources == loaded.resources


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_that_ships_is_valid(path: Path) -> None:
    loaded = StudyConfig.from_file(path)
    assert loaded.name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "words"),
    [
        ("trials: 5", "trails: 5", 1, 1, ["trails", "did you mean", "trials"]),
        ("trials: 5", "TRIALS: 5", 1, 1, ["TRIALS: no such key, found 'TRIALS'; did you mean trials"]),
        ("lr: 1e-3", "lr: '1e-3'", 12, 3, ["train.lr: must be a number, found '1e-3'"]),
        ("trials: 5", "trials: 0", 1, 1, ["trials", "greater than or equal to 1", "0"]),
        ("trials: 5", "trials: few", 1, 1, ["trials", "integer", "few"]),
        ("epochs: 3", "epoch: 3", 11, 3, ["train", "epoch", "did you mean epochs"]),
        ("attention:", "atention:", 8, 9, ["space.stages[0].mixer.atention", "did you mean attention", "known: afno"]),
        ("heads: [2, 4]", "head: [2, 4]", 8, 21, ["attention.head", "did you mean heads"]),
        ("heads: [2, 4]", "heads: [2, 0]", 8, 32, ["heads[1]", "greater than or equal to 1", "0"]),
        ("width: [16, 32]", "widht: 16", 9, 7, ["space.stages[0].widht", "did you mean width"]),
        ("width: [16, 32]", "width: [16, '32']", 9, 19, ["space.stages[0].width[1]", "integer", "'32'"]),
        ("patch: 2", "patch: 16", 3, 10, ["space.stem.patch", "must divide the image 8x8", "16"]),
        ("lr: 1e-3", "lr: 1e-3\nlimits: {mac: 5}", 13, 10, ["limits.mac", "did you mean macs"]),
        ("lr: 1e-3", "lr: 1e-3\nlimits: {macs: -5}", 13, 10, ["limits.macs", "greater than 0", "-5"]),
        (
            "lr: 1e-3",
            "lr: 1e-3\nobjectives: [macs]",
            13,
            1,
            ["objectives", "must contain an objective that networks are trained for: accuracy, balanced_accuracy"],
        ),
        ("lr: 1e-3", "lr: 1e-3\nobjectives: [accuracy, acc]", 13, 1, ["no such objective", "accuracy"]),
        ("lr: 1e-3", "lr: 1e-3\ndata: {source: digit}", 13, 8, ["data.source", "did you mean digits"]),
        ("lr: 1e-3", "lr: 1e-3\nsampler: {name: nsga}", 13, 11, ["sampler.name", "found 'nsga'; did you mean nsga2?"]),
        (
            "width: [16, 32]",
            "width: 16\n      norm: batc",
            10,
            7,
            ["stages[0].norm", "found 'batc'; did you mean batch?"],
        ),
        ("lr: 1e-3", "lr: 1e-3\n  amp: of", 13, 3, ["train.amp", "found of; did you mean off?"]),
        ("epochs: 3", "epochs: true", 11, 3, ["train.epochs: must be a whole number, found true"]),
        ("epochs: 3", "epochs: '3'", 11, 3, ["train.epochs: must be a whole number, found '3'"]),
        ("lr: 1e-3", "lr: 1e-3\nlimits: {macs: true}", 13, 10, ["limits.macs: must be a number, found true"]),
        ("lr: 1e-3", "lr: 1e-3\ndata: {source: folder}", 13, 1, ["path", "folder"]),
        ("train:", "train: [", 12, 5, ["not YAML"]),
        ("train:", "trials: 6\ntrain:", 10, 1, ["duplicate key 'trials'"]),
        ("k: [3, 5]", "k: []", 7, 16, ["conv.k", "must have at least one choice"]),
    ],
)
def test_errors_name_line_column_rule_and_value(
    tmp_path: Path, old: str, new: str, line: int, column: int, words: list[str]
) -> None:
    path = tmp_path / "bad.yaml"
    assert old in STUDY
    text = STUDY.replace(old, new, 1)
    path.write_text(text)
    message = error_of(path)
    for word in words:
        assert word in message
    assert message.startswith(f"{path}:{line}:{column}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("train.epochs=0", ["train.epochs=0: ", "greater than or equal to 1"]),
        ("train.epoch=3", ["train.epoch=3: ", "did you mean epochs"]),
        ("trials=true", ["trials=true: must be a whole number, found true"]),
        ("trials=1e3", ["trials=1e3: must be a whole number, found 1000.0"]),
        ("trials='7'", ["trials='7': must be a whole number, found '7'"]),
        ("resources.workers=2.0", ["must be a whole number, found 2.0"]),
        ("epochs", ["epochs: ", "key.sub=value"]),
        ("train..x=3", ["key.sub=value"]),
        ("trials.x=3", ["'x' cannot be set inside the single value 5"]),
        ("space.stages.4.width=3", ["must be an index below 1"]),
        ("trials=[", ["trials=[: ", "not YAML"]),
        ("objectives=[]", ["objectives=[]: must have at least 1 item, found []"]),
        ("space.stages=[]", ["space.stages=[]: must have at least 1 item, found []"]),
        ("resources.memory_per_trial=8 GX", ["must be a size such as 8 GB or 512 MiB"]),
        ("time_budget=99999d", ["must be a duration such as 90s", "at most 3650d, found 99999d"]),
    ],
)
def test_errors_of_overrides_name_the_word(study: Path, word: str, words: list[str]) -> None:
    message = error_of(study, word)
    for part in words:
        assert part in message


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["data.path=photos"], "data.path=photos: data: path: source 'digits' reads from no folder"),
        (
            ["data.source=folder", "data.path=x", "data.split.files=a.csv"],
            "data.split.files=a.csv: no such key (known: file)",
        ),
        (["objectives=macs"], "objectives=macs: must be a list"),
        (["scheduler=halving"], "scheduler=halving: must be a mapping"),
    ],
)
def test_an_error_of_what_was_typed_names_the_word_and_not_the_file(study: Path, words: list[str], start: str) -> None:
    assert error_of(study, *words).startswith(start)


def test_a_training_of_python_inherits_nothing(study: Path) -> None:
    plain = StudyConfig.from_file(study).model_dump()
    config = StudyConfig.model_validate(plain | {"train": TrainConfig(epochs=3, lr=0.5)})
    assert config.train.inherit == "none"
    assert config.train.proxy == TrainConfig(epochs=3, lr=0.5)
    inheriting = StudyConfig.from_file(study, "train.inherit=nearest", "train.epochs=3", "train.lr=0.5")
    assert inheriting.train.proxy == config.train.proxy
    assert inheriting.train.proxy.model_dump() == TrainConfig(epochs=3, lr=0.5).model_dump()  # as identities have it


def test_an_index_may_be_written_as_errors_write_it(study: Path) -> None:
    values = StudyConfig.from_file(study, "space.stages[0].depth=3").model_dump(mode="json")
    assert values == StudyConfig.from_file(study, "space.stages.0.depth=3").model_dump(mode="json")


def test_empty_space_says_what_does_not_fit(study: Path) -> None:
    message = error_of(study, "space.stages.0.mixer={lambda: {heads: 7}}")
    assert message.startswith("space.stages.0.mixer={lambda: {heads: 7}}: space.stages[0].mixer.heads: ")
    assert message.endswith("must divide the width 16, found 7")


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.yaml") == f"{tmp_path / 'none.yaml'}: a study is a YAML file: no such file"


def test_merged_mapping_is_found_where_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "merge.yaml"
    path.write_text(
        "space:\n  image_size: 8\n  stages:\n    - &s\n      mixer: conv\n      deepth: 2\n    - {<<: *s, width: 32}\n"
    )
    assert error_of(path).startswith(f"{path}:6:7: ")


def test_space_is_completed_from_the_data(study: Path) -> None:
    loaded = StudyConfig.from_file(study)
    space = loaded.space_on((8, 8), in_chans=1, num_classes=10)
    assert (space.image_size, space.in_chans, space.num_classes) == ((8, 8), 1, 10)
    with pytest.raises(
        ConfigError, match=r"mine\.yaml:4:3: space\.image_size: must be that of the data, .*16.*found 8"
    ):
        loaded.space_on((16, 16), in_chans=1, num_classes=10)


def test_changed_study_is_refused_but_trials_and_resources_may_change(study: Path) -> None:
    began = StudyConfig.from_file(study).model_dump(mode="json")
    check_continues(StudyConfig.from_file(study, "trials=50", "resources.workers=1"), began)
    other = StudyConfig.from_file(study, "space.stages.0.width=[16]")
    with pytest.raises(
        ConfigError, match=r"^space\.stages\.0\.width=\[16\]: space\.stages.*must stay .*as at the start of the study"
    ):
        check_continues(other, began)
    edited = study.with_name("edited.yaml")
    edited.write_text(STUDY.replace("epochs: 3", "epochs: 4"))
    other = StudyConfig.from_file(edited, "name=mine")
    with pytest.raises(ConfigError, match=r"edited\.yaml:11:3: train\.epochs: must stay 3 .*found 4"):
        check_continues(other, began)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("gpu", "cuda"), ("GPU", "cuda"), ("CUDA", "cuda"), ("Cpu", "cpu"), (" cuda ", "cuda"), ("h100", "h100"),
     ("NVIDIA A10", "NVIDIA A10")],
)  # fmt: skip
def test_the_device_to_measure_on_is_a_kind(study: Path, text: str, kind: str) -> None:
    assert StudyConfig.from_file(study, f"throughput.device={text}").throughput.device == kind


@pytest.mark.parametrize("text", ["cuda:0", "CPU:0", "gpu:12", "' '"])
def test_one_device_by_its_number_is_no_kind(study: Path, text: str) -> None:
    message = error_of(study, f"throughput.device={text}")
    assert message.startswith(f"throughput.device={text}: must be a kind of device: a part of its name such as H100")
    assert "CUDA_VISIBLE_DEVICES" in message
