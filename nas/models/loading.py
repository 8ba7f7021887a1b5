"""A MODEL of a command line as something that classifies images: an export, a folder or a name of timm's, or an ONNX file.

    FOLDER        with timm's `config.json` and `model.safetensors`, such as `nas export` writes
    FILE.onnx     one input, float32 (B, C, H, W), and one output (B, classes)
    NAME          a pretrained model of timm's, downloaded unless it is in the cache; `timm:NAME` where a file has the name

What was received from others may be loaded: weights are safetensors, never a pickle.
"""

from __future__ import annotations

import difflib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from nas.errors import UsageError, reason
from nas.models.onnx_session import OnnxModule, classifier_ports, open_session
from trainers.files import IrregularFileError, check_input, read_json
from trainers.json_text import parse_json

ModelKind = Literal["export", "timm", "onnx"]

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
ONNX_SUFFIX = ".onnx"
MAX_REASON_CHARS = 600
TIMM_PREFIX = "timm:"
MAX_SIDE = 8192
"""Pixels a side of the images of a model, and of those that it is shown the centre of."""
METADATA_KEYS = ("mean", "std", "label_names")
"""Of an ONNX file of ours, each with JSON."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that classifies images.

    Args:
        name: as the user named it.
        kind: what it is.
        module: normalised images, float32 `(B, C, H, W)` -> logits `(B, classes)`; in evaluation mode, on the CPU.
        input_shape: (C, H, W).
        mean, std: of each channel, pixels taken as 0..1; None: the model does not say.
        class_names: an output is an index into it; None: the model does not say.
        num_classes: number of outputs.
        crop_share: side of the part of an image that is shown to the model, over the shorter side of the image.
        is_movable: whether `module` runs on other devices than the CPU.

    Raises:
        UsageError: a field breaks its rule; what a model says of itself may be anything.
    """

    name: str
    kind: ModelKind
    module: nn.Module
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    class_names: tuple[str, ...] | None
    num_classes: int
    crop_share: float = 1.0
    is_movable: bool = True

    def __post_init__(self) -> None:
        sides = self.input_shape[1:]
        if not all(_is_whole(size) and size > 0 for size in self.input_shape) or max(sides) > MAX_SIDE:
            raise UsageError(
                f"{self.name}: input_size: must be (channels, height, width) of at most {MAX_SIDE} pixels, found"
                f" {self.input_shape!r:.60}"
            )
        if not max(sides) / MAX_SIDE <= self.crop_share <= 1:
            raise UsageError(f"{self.name}: crop_pct: must be a share of the image, found {self.crop_share:g}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and not all(_is_finite(v) and (v > 0 or name == "mean") for v in values):
                rule = "numbers" if name == "mean" else "numbers above 0"
                raise UsageError(f"{self.name}: {name}: must be {rule}, found {values!r:.60}")

    def normalised_by(self, mean: Sequence[float] | None, std: Sequence[float] | None) -> LoadedModel:
        """The model with another mean and standard deviation, where they are given.

        Raises:
            UsageError: one is missing, or has another number of channels.
        """
        chosen = {"mean": tuple(mean) if mean else self.mean, "std": tuple(std) if std else self.std}
        for name, values in chosen.items():
            if values is None:
                raise UsageError(f"{self.name}: does not say how images are normalised; give --mean and --std")
            if len(values) != self.input_shape[0]:
                raise UsageError(
                    f"--{name}: must have {self.input_shape[0]} values, one for each channel, found {len(values)}"
                )
        return replace(self, mean=chosen["mean"], std=chosen["std"])


def load_model(name: str) -> LoadedModel:
    """The model that `name` means.

    Raises:
        UsageError: there is none, or it is no classifier of images; the error names the file and the rule.
    """
    path = Path(name)
    if name.startswith(TIMM_PREFIX):
        return _load_timm(name.removeprefix(TIMM_PREFIX))
    if path.is_dir():
        return _load_folder(path)
    if path.suffix.lower() == ONNX_SUFFIX:
        return _load_onnx(path)
    if path.exists():
        raise UsageError(
            f"{name}: must be the folder of a model, a file {ONNX_SUFFIX}, or the name of a model of timm's"
        )
    return _load_timm(name)


# Folders --------------------------------------------------------------------------------------------------------------


def _load_folder(folder: Path) -> LoadedModel:
    for file in (CONFIG_FILE, WEIGHTS_FILE):
        try:
            check_input(folder / file)
        except FileNotFoundError:
            raise UsageError(f"{folder}: is no model; it has no {file} (`nas export` writes one)") from None
        except IrregularFileError as error:
            raise UsageError(f"{folder / file}: {error.strerror}") from None
    config = _read_config(folder / CONFIG_FILE)
    import timm

    import search_space  # noqa: F401  (registers the entrypoint)

    try:
        module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except Exception as error:  # whatever a model raises that does not fit its file
        raise UsageError(f"{folder}: timm cannot load the model: {_joined(error)}") from error
    model = _of_timm(str(folder), module, "export")
    names = config.get("label_names") or (config.get("pretrained_cfg") or {}).get("label_names")
    return replace(model, class_names=_class_names(f"{folder / CONFIG_FILE}: label_names", names, model.num_classes))


def _joined(error: Exception) -> str:
    """The type and the message of `error`; torch names the tensors that do not fit in lines of their own."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:MAX_REASON_CHARS]


def _read_config(file: Path) -> Mapping[str, Any]:
    try:
        config = read_json(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read: {reason(error)}") from None
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise UsageError(f"{file}: is no configuration of a timm model; it must be a mapping with the key architecture")
    if not isinstance(config.get("pretrained_cfg") or {}, dict):
        raise UsageError(f"{file}: pretrained_cfg: must be a mapping")
    return config


# timm -----------------------------------------------------------------------------------------------------------------


def _load_timm(name: str) -> LoadedModel:
    import timm

    import search_space  # noqa: F401  (registers the entrypoint)

    known = timm.list_models()
    if name.partition(".")[0] not in known:
        matches = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(matches)}?" if matches else ""
        raise UsageError(f"{name}: no such folder, ONNX file or model of timm's{hint}")
    try:
        module = timm.create_model(name, pretrained=True)
    except Exception as error:  # of the network, of the Hub, of timm
        raise UsageError(f"{name}: its pretrained weights cannot be loaded: {reason(error)}") from error
    return _of_timm(name, module, "timm")


def _of_timm(name: str, module: nn.Module, kind: ModelKind) -> LoadedModel:
    from timm.data import resolve_model_data_config

    num_classes = getattr(module, "num_classes", 0)
    if not num_classes:
        raise UsageError(f"{name}: is no classifier; it has no classes")
    try:
        config = resolve_model_data_config(module)
        channels, height, width = config["input_size"]
        mean, std, crop_share = tuple(config["mean"]), tuple(config["std"]), float(config["crop_pct"])
    except (AssertionError, TypeError, ValueError) as error:
        raise UsageError(f"{name}: its pretrained_cfg does not say which images it takes: {reason(error)}") from None
    return LoadedModel(
        name=name,
        kind=kind,
        module=module.eval(),
        input_shape=(channels, height, width),
        mean=mean,
        std=std,
        class_names=None,
        num_classes=num_classes,
        crop_share=crop_share,
    )


# ONNX -----------------------------------------------------------------------------------------------------------------


def _load_onnx(file: Path) -> LoadedModel:
    if importlib.util.find_spec("onnxruntime") is None:
        raise UsageError(f'{file}: needs onnxruntime, which is not installed: pip install "mixfront[onnx]"')
    try:
        check_input(file)
        session = open_session(file)
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file") from None
    except IrregularFileError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except Exception as error:  # its exceptions have no common base class
        raise UsageError(f"{file}: is no model that ONNX Runtime loads: {reason(error)}") from None
    source, target = classifier_ports(file, session)
    shape, num_classes = tuple(source.shape[1:]), int(target.shape[1])
    metadata = {key: _metadata(file, session, key) for key in METADATA_KEYS}
    return LoadedModel(
        name=str(file),
        kind="onnx",
        module=OnnxModule(lambda images: session.run([target.name], {source.name: images})[0]).eval(),
        input_shape=(shape[0], shape[1], shape[2]),
        mean=_numbers(f"{file}: mean", metadata["mean"]),
        std=_numbers(f"{file}: std", metadata["std"]),
        class_names=_class_names(f"{file}: label_names", metadata["label_names"], num_classes),
        num_classes=num_classes,
        is_movable=False,
    )


def _metadata(file: Path, session: Any, key: str) -> Any:
    text = session.get_modelmeta().custom_metadata_map.get(key)
    try:
        return None if text is None else parse_json(text)
    except ValueError as error:
        raise UsageError(f"{file}: its metadata {key} must be JSON: {reason(error)}") from None


def _numbers(place: str, values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or not all(map(_is_finite, values)):
        raise UsageError(f"{place}: must be a list of numbers, found {values!r:.60}")
    return tuple(map(float, values))


def _class_names(place: str, names: Any, num_classes: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) != num_classes:
        raise UsageError(f"{place}: must be a list of {num_classes} names, one for each output, found {names!r:.60}")
    return tuple(names)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
