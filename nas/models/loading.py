"""A MODEL of a command line as something that classifies images: an export, a folder or a name of timm's, or an ONNX file.

    FOLDER        with timm's `config.json` and `model.safetensors`, such as `nas export` writes, or that of a full training
    FILE.onnx     one input, float32 (B, C, H, W), and one output (B, classes)
    NAME          a pretrained model of timm's, downloaded unless it is in the cache; `timm:NAME` where a file has the name

`nas.models.study_models` has those of a study. What was received from others may be loaded: weights are safetensors, never a
pickle.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from nas.errors import UsageError, reason
from nas.models.hub import hub_downloads
from nas.models.loaded_model import LoadedModel, ModelKind, is_finite
from nas.models.onnx_session import OnnxModule, classifier_ports, open_session
from nas.models.study_models import is_run_folder, load_run_folder
from nas.models.timm_names import check_model_name
from trainers.data.resizing import Resizing
from trainers.input_files import IrregularFileError, check_input, read_json
from trainers.json_text import parse_json

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
ONNX_SUFFIX = ".onnx"
MAX_REASON_CHARS = 600
TIMM_PREFIX = "timm:"
PLACE = "MODEL"
"""Of a command line, in errors about names of timm's models."""
CROP_MODES = ("center", "squash")
"""Of timm's ways to make oblong images square; `border` is not read here, and no published configuration has it."""
METADATA_KEYS = ("mean", "std", "label_names")
"""Of an ONNX file of ours, each with JSON."""


def load_model(name: str) -> LoadedModel:
    """The model that `name` means.

    Raises:
        UsageError: there is none, or it is no classifier of images; the error names the file and the rule.
    """
    return with_weights(find_model(name))


def find_model(name: str) -> LoadedModel:
    """The model that `name` means; one that timm may have to download is without its weights, so that it can be checked first.

    Raises:
        UsageError: as `load_model`.
    """
    path = Path(name)
    if name.startswith(TIMM_PREFIX):
        return _find_timm(name.removeprefix(TIMM_PREFIX))
    if path.is_dir():
        return load_run_folder(path) if is_run_folder(path) else _load_folder(path)
    if path.suffix.lower() == ONNX_SUFFIX:
        return _load_onnx(path)
    if path.exists():
        raise UsageError(
            f"{name}: must be the folder of a model, a file {ONNX_SUFFIX}, or the name of a model of timm's"
        )
    return _find_timm(name)


def with_weights(model: LoadedModel) -> LoadedModel:
    """`model` with its weights, from timm's cache of downloads or from the Hub if it has none yet.

    Raises:
        UsageError: they cannot be obtained.
    """
    if model.has_weights:
        return model
    import timm

    try:
        with hub_downloads():
            module = timm.create_model(model.name, pretrained=True)
    except Exception as error:  # of the network, of the Hub, of timm
        raise UsageError(f"{model.name}: its pretrained weights cannot be loaded: {reason(error)}") from error
    return replace(model, module=module.eval(), has_weights=True)


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
    cfg: Mapping[str, Any] = getattr(module, "pretrained_cfg", None) or {}
    model = _described(str(folder), "export", cfg, getattr(module, "num_classes", 0), module, has_weights=True)
    _check_size(config, model)
    names = config.get("label_names") or (config.get("pretrained_cfg") or {}).get("label_names")
    return replace(model, class_names=_class_names(f"{folder / CONFIG_FILE}: label_names", names, model.num_classes))


def _check_size(config: Mapping[str, Any], model: LoadedModel) -> None:
    """Check that the model takes images of the size that its file states: a network of ours has that of its architecture."""
    stated, own = (config.get("pretrained_cfg") or {}).get("input_size"), list(model.input_shape)
    if isinstance(stated, list) and stated[1:] != own[1:]:
        raise UsageError(f"{model.name}: input_size: must be that of the architecture, {own}, found {stated!r:.60}")


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


def _find_timm(name: str) -> LoadedModel:
    """What timm says of its pretrained model `name`, without its weights."""
    import timm

    import search_space  # noqa: F401  (registers the entrypoint)

    check_model_name(name, PLACE, "there is no such folder or ONNX file, and timm has no model of this name")
    if not timm.list_pretrained(name.partition(".")[0]):
        raise UsageError(f"{PLACE}: timm has no pretrained weights of this model, found {name!r}")
    config = timm.get_pretrained_cfg(name)
    described = {} if config is None else config.to_dict()
    return _described(name, "timm", described, described.get("num_classes") or 0, nn.Identity(), has_weights=False)


def _described(
    name: str, kind: ModelKind, config: Mapping[str, Any], num_classes: int, module: nn.Module, *, has_weights: bool
) -> LoadedModel:
    """A model whose images timm's `config` describes."""
    from timm.data import resolve_data_config

    if not num_classes:
        raise UsageError(f"{name}: is no classifier; it has no classes")
    try:
        data = resolve_data_config(pretrained_cfg=config)
        channels, height, width = data["input_size"]
        mean, std, crop_share = tuple(data["mean"]), tuple(data["std"]), float(data["crop_pct"])
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
        resizing=_resizing(name, data),
        has_weights=has_weights,
    )


def _resizing(name: str, data: Mapping[str, Any]) -> Resizing:
    if data["crop_mode"] not in CROP_MODES:
        raise UsageError(f"{name}: crop_mode: must be one of {', '.join(CROP_MODES)}, found {data['crop_mode']!r:.60}")
    try:
        return Resizing(data["interpolation"], data["crop_mode"] == "squash")
    except ValueError as error:
        raise UsageError(f"{name}: interpolation: {error}") from None


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
    if not isinstance(values, list) or not all(map(is_finite, values)):
        raise UsageError(f"{place}: must be a list of numbers, found {values!r:.60}")
    return tuple(map(float, values))


def _class_names(place: str, names: Any, num_classes: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) != num_classes:
        raise UsageError(f"{place}: must be a list of {num_classes} names, one for each output, found {names!r:.60}")
    return tuple(names)
