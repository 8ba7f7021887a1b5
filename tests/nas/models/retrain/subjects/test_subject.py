"""What is trained: words become checked subjects, presets fit the images, the front is filtered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.analysis.results import Results
from nas.errors import UsageError
from nas.models.retrain.subjects.adaptation import adapt_preset, describe_adaptation
from nas.models.retrain.subjects.subject import FrontSelection, Subject, baseline_subject, preset_subject, resolve_word
from search_space import Architecture, cost, presets
from search_space.errors import SpaceError
from trainers.data.description import DatasetInfo

SMALL = {"image_size": 8, "in_chans": 1, "stem": {"patch": 2}, "stages": [{"mixer": "pool", "width": 8}]}


def photographs(images: DatasetInfo, side: int) -> DatasetInfo:
    return replace(images, image_size=(side, side), in_chans=3)


def test_a_trial_is_named_by_its_number_or_as_the_best(results: Results, images: DatasetInfo) -> None:
    best = resolve_word("best", results, images, "scratch")
    assert best.trial == int(results.trial("best")["trial"])
    assert best == resolve_word(str(best.trial), results, images, "scratch")
    assert best.architecture == Architecture.from_dict(results.trial("best")["architecture"])
    assert best.macs == results.trial("best")["macs"]
    assert (best.name, resolve_word("best", results, images, "trial").name) == (
        f"trial-{best.trial}",
        f"trial-{best.trial}-finetuned",
    )
    assert Subject.from_dict(json.loads(json.dumps(best.to_dict()))) == best


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_file_names_an_architecture(results: Results, images: DatasetInfo, tmp_path: Path, suffix: str) -> None:
    architecture = Architecture.from_dict(SMALL)
    file = tmp_path / f"mine.{suffix}"
    file.write_text(architecture.to_yaml() if suffix == "yaml" else json.dumps(architecture.to_dict(), indent=1))
    subject = resolve_word(str(file), results, images, "scratch")
    assert (subject.kind, subject.architecture, subject.trial) == ("architecture", architecture, None)
    assert subject.name == f"arch-{architecture.id}"


def test_a_preset_takes_the_images_of_the_study(results: Results, images: DatasetInfo) -> None:
    subject = resolve_word("convmixer_256_8_cifar", results, images, "scratch")
    assert subject.architecture is not None
    assert subject.architecture.image_size == (8, 8)
    assert (subject.architecture.in_chans, subject.architecture.num_classes) == (1, 10)
    assert subject.macs == cost(subject.architecture).macs
    assert subject.note == "convmixer_256_8_cifar: images of 8x8, 1 channel, patch 1 instead of 2"


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_on_its_own_images_is_the_published_one(images: DatasetInfo, name: str) -> None:
    published = presets.get(name)
    own = replace(images, image_size=published.image_size, in_chans=3)
    own = replace(own, class_names=tuple(map(str, range(published.num_classes))))
    assert adapt_preset(name, own) == published
    assert describe_adaptation(name, published) == ""


@pytest.mark.parametrize(
    ("name", "side", "patch", "last_map"),
    [
        ("vit_tiny_patch16", 32, 4, 8),
        ("vit_tiny_patch16", 64, 8, 8),
        ("poolformer_s12", 32, 1, 4),
        ("clcnet_a", 64, 1, 4),
    ],
)
def test_patches_shrink_with_the_images(images: DatasetInfo, name: str, side: int, patch: int, last_map: int) -> None:
    adapted = adapt_preset(name, photographs(images, side))
    assert (adapted.stem.patch, adapted.sizes[-1]) == (patch, (last_map, last_map))
    assert adapted.stages == presets.get(name).stages


def test_published_weights_keep_their_patches(images: DatasetInfo) -> None:
    assert adapt_preset("vit_tiny_patch16", photographs(images, 64), keep_patch=True).stem.patch == 16


WRONG = {
    "trial 99": ("99", "scratch", r"trial 99: .* has no such trial"),
    "failed": ("3", "scratch", "trial 3: only a complete trial can be retrained, this one is failed"),
    "stopped": ("4", "scratch", "trial 4: only a complete trial can be retrained, this one is stopped"),
    "running": ("5", "scratch", "trial 5: only a complete trial can be retrained, this one is running"),
    "typo": ("vit_tiny_patch61", "scratch", "found 'vit_tiny_patch61'; did you mean vit_tiny_patch16"),
    "bound to its map": (
        "swin_tiny_patch4_window7", "scratch",
        r"the preset cannot take images of 8x8 pixels: .*window: must not exceed the map 2x2, found 7",
    ),
    "missing file": ("no/such.yaml", "scratch", r"no/such.yaml: the architecture cannot be read: No such file"),
    "trial by timm": ("0", "pretrained", "timm has weights of presets and of its own models alone, found trial 0"),
    "preset without weights": ("gfnet_ti", "pretrained", "timm has no weights for the preset .*, found gfnet_ti"),
    "preset by trial": ("gfnet_ti", "trial", "--start trial: needs a trial, which has weights, found gfnet_ti"),
}  # fmt: skip


@pytest.mark.parametrize(("word", "start", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_word_that_cannot_be_trained_is_an_error(
    results: Results, images: DatasetInfo, word: str, start: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_word(word, results, images, start)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 7}, "num_classes: must be that of the study's images, 10, found 7"),
        ({"image_size": 16}, r"image_size: must be that of the study's images, \[8, 8\], found \[16, 16\]"),
        ({"in_chans": 3}, "in_chans: must be that of the study's images, 1, found 3"),
    ],
)
def test_a_file_for_other_images_is_an_error(
    results: Results, images: DatasetInfo, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(Architecture.from_dict(SMALL | change).to_yaml())
    with pytest.raises(UsageError, match=message):
        resolve_word(str(file), results, images, "scratch")


def test_a_file_that_is_no_architecture_names_the_place(results: Results, images: DatasetInfo, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("stages: [{mixer: covn, width: 8}]")
    with pytest.raises(SpaceError, match=r"broken.yaml: stages\[0\].mixer.*did you mean conv"):
        resolve_word(str(file), results, images, "scratch")


def test_a_baseline_is_a_preset_or_a_model_of_timm(images: DatasetInfo) -> None:
    model = baseline_subject("test_resnet", images, {})
    assert (model.name, model.kind, model.architecture) == ("timm-test_resnet", "baseline", None)
    assert baseline_subject("convmixer_256_8_cifar", images, {}) == preset_subject(
        "convmixer_256_8_cifar", images, "scratch"
    )
    assert baseline_subject("test_resnet:pretrained", images, {}).name == "timm-test_resnet-pretrained"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test_resnte", r"--baseline: timm has no model of this name, found 'test_resnte'; did you mean test_resnet"),
        ("test_resnet.nope", r"no weights with the tag 'nope' \(known: test_resnet.r160_in1k\)"),
        (
            "vit_tiny_patch16_224",
            r"--baseline: vit_tiny_patch16_224 cannot .* 8x8 pixels: ",
        ),
    ],
)
def test_a_baseline_that_cannot_be_trained_is_an_error(images: DatasetInfo, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        baseline_subject(name, images, {})


def test_the_front_is_filtered_by_costs_and_accuracy(results: Results) -> None:
    front = list(results.front["trial"])
    assert [row["trial"] for row in FrontSelection().rows(results)] == front
    cheapest = float(results.front["macs"].min())
    assert [row["trial"] for row in FrontSelection(max_macs=cheapest).rows(results)] == front[:1]
    best = results.best
    assert best is not None
    assert [row["trial"] for row in FrontSelection(top=1).rows(results)] == [best["trial"]]
    with pytest.raises(UsageError, match=r"--max-macs: the front begins at .* MACs, found 1"):
        FrontSelection(max_macs=1).rows(results)
    with pytest.raises(UsageError, match="--top: must be at least 1, found 0"):
        FrontSelection(top=0)
