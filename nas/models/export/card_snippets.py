"""The code of a model card. It runs in the folder of the model; a test extracts the blocks of Python and runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nas.models.export.markdown import block
from nas.models.export.train_file import TRAIN_FILE
from nas.models.export.trained_model import TrainedModel
from nas.models.formats import Artifact

_VALIDATE = "import runpy, search_space; runpy.run_path('validate.py', run_name='__main__')"


def usage(trained: TrainedModel, artifacts: Sequence[Artifact], *, standalone: bool, class_map: str) -> list[str]:
    """The section on how the model is used.

    Args:
        trained: the model.
        artifacts: its further formats.
        standalone: whether `model.py` is in the folder.
        class_map: the name of the file with the classes; empty if there is none.
    """
    return ["## Use", "", *_lines(trained, artifacts, standalone, class_map)]


def _lines(trained: TrainedModel, artifacts: Sequence[Artifact], standalone: bool, class_map: str) -> Iterator[str]:
    yield "The code runs in the folder of this file. `search_space`, a package of mixfront, registers the model with timm."
    yield from ("", "### Classify images", "", *block("python", _load(trained)))
    yield from ("", "### Features, or other classes", "", *block("python", _features(trained)))
    yield from ("", "### Fine-tune", "", *_fine_tune())
    yield from ("", "### Validate", "", *_validate(trained, class_map))
    for artifact in artifacts:
        if artifact.format == "onnx":
            yield from ("", "### ONNX Runtime", "", *block("python", _onnx(trained, artifact.file.name)))
    if not any(artifact.format == "onnx" for artifact in artifacts):
        words = f"nas export STUDY {trained.trial} --out FOLDER --format onnx"
        yield from (
            "",
            "### ONNX",
            "",
            "Write the file from the folder of the study:",
            "",
            *block("console", f"$ {words}"),
        )
    if standalone:
        yield from ("", "### Without mixfront and timm", "")
        yield "`model.py` builds and loads this network in plain PyTorch: `python model.py` says how."


def _load(trained: TrainedModel) -> str:
    mode = "L" if trained.images.in_chans == 1 else "RGB"
    return f"""
import search_space
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

model = timm.create_model("local-dir:.", pretrained=True).eval()  # from the Hub: "hf-hub:USER/{trained.name}"
transform = create_transform(**resolve_model_data_config(model), is_training=False)
image = Image.new("{mode}", (64, 64))  # yours: Image.open("photo.jpg").convert("{mode}")
with torch.inference_mode():
    probabilities = model(transform(image).unsqueeze(0)).softmax(dim=1)[0]
print(model.pretrained_cfg["label_names"][int(probabilities.argmax())], float(probabilities.max()))
"""


def _features(trained: TrainedModel) -> str:
    images = trained.images
    shape = f"2, {images.in_chans}, {images.image_size[0]}, {images.image_size[1]}"
    return f"""
import search_space
import timm
import torch

backbone = timm.create_model("local-dir:.", pretrained=True, features_only=True)
print(backbone.feature_info.channels(), backbone.feature_info.reduction())
print([tuple(features.shape) for features in backbone(torch.rand({shape}))])
classifier = timm.create_model("local-dir:.", pretrained=True, num_classes=3)  # a new head; the rest is trained
"""


def _fine_tune() -> list[str]:
    commands = (
        f"$ python train.py --data-dir PHOTOS --config {TRAIN_FILE} --model local-dir:. --pretrained",
        f"$ python train.py --data-dir PHOTOS --config {TRAIN_FILE}    # the same network from scratch",
        "$ nas retrain architecture.yaml --study STUDY    # a full training with mixfront",
    )
    return [
        "`train.py` is timm's own script; PHOTOS has the folders `train` and `validation`.",
        "",
        *block("console", "\n".join(commands)),
    ]


def _validate(trained: TrainedModel, class_map: str) -> list[str]:
    size = " ".join(map(str, (trained.images.in_chans, *trained.images.image_size)))
    options = f"--data-dir PHOTOS --model local-dir:. --input-size {size}"
    options += f" --class-map {class_map}" if class_map else ""
    return block("console", f'$ nas validate . PHOTOS\n$ python -c "{_VALIDATE}" {options}    # timm\'s own script')


def _onnx(trained: TrainedModel, file: str) -> str:
    images = trained.images
    shape = f"1, {images.in_chans}, {images.image_size[0]}, {images.image_size[1]}"
    mean, std = (", ".join(f"{value:.6g}" for value in values) for values in (images.mean, images.std))
    return f"""
import numpy as np
import onnxruntime

mean, std = np.array([{mean}], np.float32), np.array([{std}], np.float32)
image = np.zeros(({shape}), np.float32)  # pixels from 0 to 1
session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {{session.get_inputs()[0].name: (image - mean[:, None, None]) / std[:, None, None]}})
print(logits.argmax(axis=1))
"""
