"""Configurations that continue a study: what is the same however it is written, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.continuation import check_continues, continue_config
from nas.study.measuring_device import ATTRIBUTE, check_kind

STUDY = """\
trials: 4
data: {source: folder, path: photos, image_size: 8}
space:
  layout: [isotropic, pyramid]
  stem: {patch: [2, 4]}
  stages:
    - mixer: {conv: {k: [3, 5]}, pool: null}
      channel_mixer: {mlp: {expansion: [1, 2], groups: [[1, 1], [2, 1]]}}
      depth: [1, 2]
      width: 16
    - {mixer: pool, width: [16, 32]}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


def stored(study: Path) -> dict[str, Any]:
    return dict(json.loads(json.dumps(StudyConfig.from_file(study).model_dump(mode="json"))))


@pytest.mark.parametrize(
    "word",
    [
        "data.path=/elsewhere/photos",
        "data.path=./photos/",
        "data.path=~/photos",
        "name=another",
        "trials=9",
        "resources.workers=1",
        "space.layout=[pyramid, isotropic]",
        "space.stem.patch=[4, 2]",
        "space.num_stages=2",
        "space.image_size=8",
        "space.in_chans=3",
        "space.stages.0.mixer={pool: {k: 3}, conv: {k: [5, 3], bias: true, groups: depthwise}}",
        "space.stages.0.channel_mixer.mlp.groups=[[2, 1], [1, 1]]",
        "space.stages.0.channel_mixer.mlp.expansion=[2.0, 1.0]",
        "space.stages.0.norm=[batch]",
        "space.stages.0.width=[16]",
        "space.stages.1.mixer=[pool]",
        "space.stages.1.depth=2",
        "objectives=[macs, images_per_s, accuracy]",
        "train.lr=0.002",
        "start.presets=[]",
    ],
)
def test_the_same_study_written_otherwise_continues_as_it_was_stored(study: Path, word: str) -> None:
    old = StudyConfig.from_file(study)
    config = continue_config(StudyConfig.from_file(study, word), stored(study))
    same = {"name", "seed", "space", "train", "objectives", "limits", "sampler", "scheduler", "throughput"}
    assert config.model_dump(include=same) == old.model_dump(include=same)
    requested = StudyConfig.from_file(study, word)
    assert (config.trials, config.resources, config.data) == (requested.trials, requested.resources, requested.data)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("data.image_size=16", "must stay 8 as at the start of the study, found 16"),
        ("data.on_error=skip", "must stay 'fail'"),
        ("data.limit=100", "must stay None"),
        ("data.seed=1", "must stay 0"),
        ("seed=1", "must stay 0"),
        ("space.layout=pyramid", r"must stay \['isotropic', 'pyramid'\]"),
        ("space.stages.0.mixer.conv.k=[3]", r"must stay \[3, 5\].* found \[3\]"),
        ("space.stages.0.mixer.conv.bias=false", r"must stay \[True\]"),
        ("space.stages.0.channel_mixer.mlp.groups=[[1, 1], [1, 2]]", "space.stages.0.channel_mixer.mlp.groups"),
        ("space.num_stages=[1, 2]", r"must stay \[2\]"),
        ("objectives=[accuracy, macs]", "must stay"),
        ("start.study=runs/other", "must stay None"),
        ("sampler.name=random", "must stay 'pareto'"),
        ("limits.macs=1e6", "must stay None"),
    ],
)
def test_another_study_is_refused_with_the_key(study: Path, word: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        check_continues(StudyConfig.from_file(study, word), stored(study))
    assert error.value.where.split("=")[0] == word.split("=")[0]


def test_the_order_of_stages_matters(study: Path) -> None:
    old = stored(study)
    old["space"]["stages"].reverse()
    with pytest.raises(ConfigError, match=r"space\.stages\.0"):
        check_continues(StudyConfig.from_file(study), old)


def test_the_device_to_measure_on_may_be_named_later_and_then_stays(study: Path) -> None:
    named = StudyConfig.from_file(study, "throughput.device=H100", "throughput.batch_size=null")
    continued = continue_config(named, stored(study))
    assert continued.throughput.device == "H100"
    with pytest.raises(ConfigError, match=r"throughput\.device=A10: must stay 'H100' .* found 'A10'"):
        continue_config(StudyConfig.from_file(study, "throughput.device=A10"), continued.model_dump(mode="json"))
    for kind, measured in (("h100", "NVIDIA H100 PCIe"), ("cpu", "Xeon"), ("H100", None)):
        check_kind(StudyConfig.from_file(study, f"throughput.device={kind}"), {ATTRIBUTE: measured})
    rule = r"throughput\.device=H100: must name the device that the study has measured on, NVIDIA A10, found H100"
    with pytest.raises(ConfigError, match=rule):
        check_kind(named, {ATTRIBUTE: "NVIDIA A10"})


def test_which_trials_are_measured_may_change_and_an_earlier_study_measures_all(study: Path) -> None:
    old = stored(study)
    del old["throughput"]["measure"]
    assert continue_config(StudyConfig.from_file(study), old).throughput.measure == "all"
    fronts = continue_config(StudyConfig.from_file(study, "throughput.measure=front"), old)
    assert fronts.throughput.measure == "front"
    stored_fronts = fronts.model_dump(mode="json")
    assert continue_config(StudyConfig.from_file(study), stored_fronts).throughput.measure == "front"
    back = continue_config(StudyConfig.from_file(study, "throughput.measure=all"), stored_fronts)
    assert back.throughput.measure == "all"
