"""A model on images: the same numbers as timm's own pipeline gives, for exports and for ONNX files."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import timm.data
import torch
from onnx import TensorProto, helper
from PIL import Image
from timm.models import save_for_hf

from nas.errors import StudyError, UsageError
from nas.models.loading import load_model
from nas.models.validate import validate
from nas.models.validate.images import read_images
from trainers.data.resizing import RESAMPLINGS, Resizing

Nas = Callable[..., subprocess.CompletedProcess[str]]
CLASSES = ("bird", "cat", "dog")


@torch.inference_mode()
def outputs_by_timm(folder: Path, photos: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels by timm's transform of each file, in the order of their paths."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    files = sorted(photos.glob("*/*.png"))
    images = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    return model(images), torch.tensor([CLASSES.index(file.parent.name) for file in files])


def test_the_numbers_are_those_of_timms_pipeline(exported: Path, photos: Path) -> None:
    found = validate(str(exported), str(photos))
    logits, labels = outputs_by_timm(exported, photos)
    assert found.images == len(labels)
    assert found.split == "all"
    assert found.top1 == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert found.top5 == 1.0
    assert found.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), abs=2e-3)
    assert found.confusion.totals.tolist() == [0, 8, 8]
    assert found.throughput.images_per_s > 0


def test_labels_are_matched_by_name(exported: Path, photos: Path, tmp_path: Path) -> None:
    """The data have two of the three classes: `cat` is output 1 of the model, and class 0 of the data."""
    (tmp_path / "reversed").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "reversed" / name).write_bytes((exported / name).read_bytes())
    config = json.loads((exported / "config.json").read_text())
    config["label_names"] = list(reversed(CLASSES))
    (tmp_path / "reversed" / "config.json").write_text(json.dumps(config))
    straight, turned = validate(str(exported), str(photos)), validate(str(tmp_path / "reversed"), str(photos))
    assert straight.confusion.totals.tolist() == [0, 8, 8]
    assert turned.confusion.totals.tolist() == [8, 8, 0]
    assert straight.confusion.predicted.tolist() == turned.confusion.predicted.tolist()


def linear_onnx(file: Path, metadata: dict[str, str], classes: int = 3, size: int = 8) -> Path:
    """A linear classifier of images `(B, 3, size, size)` as an ONNX file that no exporter has seen."""
    weights = np.random.default_rng(0).normal(size=(3 * size * size, classes)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", classes])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(file))
    return file


METADATA = {"mean": "[0.5, 0.5, 0.5]", "std": "[0.25, 0.25, 0.25]", "label_names": json.dumps(CLASSES)}


def test_an_onnx_file_with_metadata_is_a_model(photos: Path, tmp_path: Path) -> None:
    found = validate(str(linear_onnx(tmp_path / "m.onnx", METADATA)), str(photos))
    assert found.kind == "onnx"
    assert found.confusion.totals.tolist() == [0, 8, 8]


def test_an_onnx_file_runs_on_the_processor_alone(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--device: must be cpu for an ONNX file, found 'cuda'$"):
        validate(str(linear_onnx(tmp_path / "m.onnx", METADATA)), str(photos), device="cuda")


def test_mean_and_deviation_of_an_onnx_file_may_be_given(photos: Path, tmp_path: Path) -> None:
    bare = linear_onnx(tmp_path / "bare.onnx", {"label_names": METADATA["label_names"]})
    whole = linear_onnx(tmp_path / "whole.onnx", METADATA)
    given = validate(str(bare), str(photos), mean=(0.5,) * 3, std=(0.25,) * 3)
    assert given.loss == pytest.approx(validate(str(whole), str(photos)).loss)


def test_grey_images_are_shown_to_a_model_of_colour(exported: Path, tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / CLASSES[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    found = validate(str(exported), str(tmp_path))
    logits, labels = outputs_by_timm(exported, tmp_path)
    assert found.top1 == pytest.approx(float((logits.argmax(1) == labels).float().mean()))


def test_the_command_prints_json_and_writes_a_page(
    nas: Nas, exported: Path, photos: Path, tmp_path: Path, browser: Any, page_visit: Callable[..., Any]
) -> None:
    run = nas("validate", exported, photos, "--json", "--html", tmp_path / "page.html")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["images"] == 16
    assert record["classes"][0] == {"name": "bird", "images": 0, "recall": None}
    assert sum(record["calibration"]["counts"]) == 16
    with browser.new_context() as context:
        visit = page_visit(context.new_page())
        visit.page.goto((tmp_path / "page.html").as_uri())
        visit.wait_for("document.querySelectorAll('.js-plotly-plot').length === 2")
        assert "top-1 accuracy" in visit.page.inner_text("body")
        visit.check_quiet()


def test_the_command_prints_a_table(nas: Nas, exported: Path, photos: Path) -> None:
    run = nas("validate", exported, photos)
    assert run.returncode == 0, run.stderr
    assert "16 images (all)" in run.stdout
    assert "if it was trained on some of them" in " ".join(run.stdout.split())
    assert "top-1 accuracy" in run.stdout


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("crop_pct", -1, "crop_pct: must be a share of the image, found -1"),
        ("crop_pct", 1e-9, "crop_pct: must be a share of the image, found 1e-09"),
        ("crop_pct", 2, "crop_pct: must be a share of the image, found 2"),
        ("crop_pct", "x", "its pretrained_cfg does not say which images it takes: ValueError"),
        ("input_size", "abc", "input_size: must be (channels, height, width) of at most 8192 pixels"),
        ("input_size", [3, 1e9, 1e9], "input_size: must be (channels, height, width) of at most 8192 pixels"),
        ("interpolation", "cubic", "interpolation: must be one of nearest, box, bilinear, hamming, bicubic, lanczos"),
        ("interpolation", 3, "interpolation: must be one of nearest"),
        ("crop_mode", "border", "crop_mode: must be one of center, squash, found 'border'"),
        ("mean", [0.5], "mean: must have 3 values, one for each channel, found 1"),
        ("mean", 5, "its pretrained_cfg does not say which images it takes: TypeError"),
        ("mean", ["a"] * 3, "mean: must be numbers, found ('a', 'a', 'a')"),
        ("std", [0.5, 0, 0.5], "std: must be numbers above 0, found (0.5, 0, 0.5)"),
    ],
)
def test_what_a_folder_says_of_its_images_is_checked(
    field: str, value: Any, rule: str, exported: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"][field] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError) as refused:
        load_model(str(folder)).normalised_by(None, None)
    assert str(refused.value).startswith(f"{folder}: {rule}")


def test_images_are_resized_as_the_configuration_says(exported: Path, photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    for interpolation in ("bilinear", "bicubic"):
        config["pretrained_cfg"]["interpolation"] = interpolation
        (folder / "config.json").write_text(json.dumps(config))
        logits, labels = outputs_by_timm(folder, photos)
        expected = float(torch.nn.functional.cross_entropy(logits, labels))
        assert validate(str(folder), str(photos)).loss == pytest.approx(expected, abs=2e-3), interpolation
    images = [
        read_images(str(photos), [], replace(load_model(str(exported)), resizing=Resizing(name)), None, tmp_path)
        for name in RESAMPLINGS
    ]
    assert len({image.pixels.tobytes() for image in images}) == len(RESAMPLINGS)


def test_oblong_images_are_squashed_where_the_configuration_says_so(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    for number in range(8):
        photo = tmp_path / "photos" / CLASSES[number % 2] / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (12, 40, 3), dtype=np.uint8)).save(photo)
    losses = []
    for mode in ("squash", "center"):
        config["pretrained_cfg"]["crop_mode"] = mode
        (folder / "config.json").write_text(json.dumps(config))
        logits, labels = outputs_by_timm(folder, tmp_path / "photos")
        losses.append(float(torch.nn.functional.cross_entropy(logits, labels)))
        assert validate(str(folder), str(tmp_path / "photos")).loss == pytest.approx(losses[-1], abs=5e-3), mode
    assert abs(losses[0] - losses[1]) > 1e-2


def test_the_size_of_a_network_that_is_bound_to_it_must_be_its_own(exported: Path, tmp_path: Path) -> None:
    description = json.loads((exported / "config.json").read_text())["model_args"]["architecture"]
    model = timm.create_model("mixfront", architecture=description | {"stem": {"patch": 4, "pos_embed": True}})
    arguments = {"architecture": model.architecture.to_dict()}
    save_for_hf(model, str(tmp_path), safe_serialization=True, model_args=arguments)
    config = json.loads((tmp_path / "config.json").read_text())
    assert load_model(str(tmp_path)).input_shape == (3, 8, 8)
    config["pretrained_cfg"]["input_size"] = [3, 16, 16]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UsageError, match=r"input_size: must be that of the architecture, \[3, 8, 8\], found \[3, 16, 16\]"
    ):
        load_model(str(tmp_path))


def test_a_deviation_of_zero_in_an_onnx_file_is_refused(tmp_path: Path) -> None:
    file = linear_onnx(tmp_path / "zero.onnx", METADATA | {"std": "[0.5, 0, 0.5]"})
    with pytest.raises(UsageError, match="std: must be numbers above 0"):
        load_model(str(file))


def test_outputs_that_are_no_numbers_are_an_error(photos: Path, tmp_path: Path) -> None:
    file = linear_onnx(tmp_path / "nan.onnx", METADATA)
    model = onnx.load(str(file))
    weights = np.full((3 * 8 * 8, 3), np.nan, np.float32)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, str(file))
    with pytest.raises(StudyError, match="its outputs are not finite numbers"):
        validate(str(file), str(photos))


@pytest.mark.parametrize(("crop_share", "size"), [(0.9, 248), (0.875, 256), (0.95, 235), (1.0, 224)])
def test_a_model_is_shown_the_centre_that_timm_shows_it(
    crop_share: float, size: int, exported: Path, tmp_path: Path
) -> None:
    transform = timm.data.create_transform(
        (3, 224, 224), is_training=False, interpolation="bicubic", crop_pct=crop_share
    )
    resize, crop, *_ = transform.transforms
    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 256, (300, 300, 3), dtype=np.uint8) for name in ("cat", "dog")}
    for name, array in pixels.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / "photos" / name / "1.png")
    model = replace(load_model(str(exported)), input_shape=(3, 224, 224), crop_share=crop_share)
    images = read_images(str(tmp_path / "photos"), [], model, None, tmp_path)
    assert images.decoded_size == resize.size == size
    for shown, array in zip(images.pick(slice(0, 2)).numpy(), pixels.values(), strict=True):
        assert np.array_equal(shown.transpose(1, 2, 0), np.asarray(crop(resize(Image.fromarray(array)))))


@pytest.fixture
def broken(exported: Path, tmp_path: Path) -> dict[str, Path]:
    """Names of things that are no model."""
    places = {name: tmp_path / name for name in ("empty", "weightless", "other", "pickle")}
    for folder in places.values():
        folder.mkdir()
    for name in ("weightless", "other", "pickle"):
        (places[name] / "config.json").write_text('{"architecture": "resnet18", "label_names": [1, 2]}')
    (places["other"] / "model.safetensors").write_bytes(b"\0" * 20)
    torch.save({}, places["pickle"] / "pytorch_model.bin")
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "file.txt").write_text("no model")
    two = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["a", "b"], ["c"])],
            "sum",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"],
            [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.save(two, str(tmp_path / "sum.onnx"))
    linear_onnx(tmp_path / "bare.onnx", {})
    linear_onnx(tmp_path / "json.onnx", METADATA | {"mean": "[0.5"})
    linear_onnx(tmp_path / "names.onnx", METADATA | {"label_names": '["a"]'})
    return places | {path.name: path for path in tmp_path.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("empty", "is no model; it has no config.json"),
        ("weightless", "is no model; it has no model.safetensors"),
        ("pickle", "is no model; it has no model.safetensors"),
        ("other", "timm cannot load the model"),
        ("text.onnx", "is no model that ONNX Runtime loads"),
        ("file.txt", "must be the folder of a model"),
        ("sum.onnx", "must have one input"),
        ("bare.onnx", "give --mean and --std"),
        ("json.onnx", "its metadata mean must be JSON"),
        ("names.onnx", "must be a list of 3 names"),
    ],
)
def test_what_is_no_model_is_an_error_in_one_line(
    nas: Nas, broken: dict[str, Path], photos: Path, name: str, rule: str
) -> None:
    run = nas("validate", broken[name], photos)
    assert run.returncode == 2
    assert rule in run.stderr
    assert str(broken[name]) in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--split", "tets"], "did you mean test?"),
        (["--split", "test"], "has the parts train"),
        (["--mean", "0.5,x,0.5"], "--mean: must be numbers"),
        (["--mean", "0.5"], "--mean: must have 3 values"),
        (["--std", "0,0,0"], "--std: must be numbers above 0"),
        (["--device", "gpu7"], "--device: must be cpu, cuda or cuda:NUMBER, found 'gpu7'"),
        (["--device", "cuda:99"], "GPUs that torch can use, found 'cuda:99'"),
    ],
)
def test_a_wrong_option_is_an_error_in_one_line(
    nas: Nas, exported: Path, photos: Path, words: list[str], rule: str
) -> None:
    run = nas("validate", exported, photos, *words)
    assert run.returncode == 2
    assert rule in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_name_that_is_nothing_is_an_error_that_knows_the_closest(nas: Nas, photos: Path) -> None:
    run = nas("validate", "resnet1x", photos)
    assert run.returncode == 2
    rule = "MODEL: there is no such folder or ONNX file, and timm has no model of this name, found 'resnet1x'"
    assert f"{rule}; did you mean resnet" in run.stderr
    assert run.stderr.endswith("?\n")


@pytest.mark.parametrize(("word", "kind"), [("best", "trial"), ("12", "trial"), ("trial-12", "full training")])
def test_a_model_of_a_study_needs_the_study(photos: Path, word: str, kind: str) -> None:
    with pytest.raises(UsageError, match=rf"^{word}: a {kind} needs the folder of its study as DATA, found "):
        validate(word, str(photos))


def test_other_classes_are_an_error_that_names_them(nas: Nas, exported: Path, tmp_path: Path) -> None:
    for name in ("cat", "horse"):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "animals" / name / f"{number}.png")
    run = nas("validate", exported, tmp_path / "animals")
    assert run.returncode == 2
    assert "found 1 other: 'horse'" in run.stderr


def test_the_mode_and_the_normalisation_of_a_model_are_those_of_its_file(exported: Path) -> None:
    model = load_model(str(exported))
    assert not model.module.training
    assert (model.mean, model.std) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert model.class_names == CLASSES
