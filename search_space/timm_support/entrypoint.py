"""The timm entrypoint `mixfront`: `timm.create_model("mixfront", architecture={...})`, and what `nas export` writes.

timm finds models of other packages only after an import that registers them, but importing timm takes seconds that neither a
worker nor `nas --help` should spend. So `register_when_imported` registers at once where timm is already imported, and otherwise
when timm's registry is imported, by an import hook that then removes itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from search_space.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from torch import nn

    from search_space.modules.network import Network

REGISTRY = "timm.models._registry"
ENTRYPOINT = "mixfront"


def mixfront(pretrained: bool = False, architecture: dict[str, Any] | None = None, **kwargs: Any) -> nn.Module:
    """Timm's entrypoint: the network of `architecture` (as `Architecture.to_dict` gives it), weights and all.

    Args:
        pretrained: load the weights that the `pretrained_cfg` names (timm fills it in for "local-dir:..."); with another
            `img_size`, parameters that are bound to the map are interpolated.
        architecture: the description, plain JSON; required.
        kwargs: what `timm.create_model` passes to every model: `num_classes`, `in_chans`, `global_pool`, `img_size`,
            `drop_rate`, `drop_path_rate`, `device`, `dtype`, `features_only`, `out_indices`, `pretrained_cfg` and so on.

    Raises:
        ValueError: there is no architecture, or a saved configuration contradicts itself.
        TypeError: a keyword that these models do not have, such as `output_stride`.
    """
    from timm.models import build_model_with_cfg

    if architecture is None:
        raise ValueError(f"{ENTRYPOINT}: the keyword `architecture` (a mapping) is required")
    description = Architecture.from_dict(architecture)
    pretrained_cfg = kwargs.pop("pretrained_cfg", None)
    if "pretrained_model_args" in kwargs:
        _check_saved(description, kwargs["pretrained_model_args"], pretrained_cfg)
    if not pretrained_cfg or (isinstance(pretrained_cfg, dict) and "input_size" not in pretrained_cfg):
        pretrained_cfg = default_cfg(description) | (pretrained_cfg or {})  # timm would assume ImageNet's
    stages = description.stages
    return build_model_with_cfg(
        _build_network,
        ENTRYPOINT,
        pretrained,
        pretrained_cfg=pretrained_cfg,
        pretrained_filter_fn=_weights_for_size,
        architecture=architecture,
        feature_cfg={
            "out_indices": tuple(range(len(stages))) if len(stages) > 1 else min(3, stages[0].depth),
            "feature_cls": "getter",
            "flatten_sequential": True,
        },
        **kwargs,
    )


def default_cfg(architecture: Architecture) -> dict[str, Any]:
    """Timm's pretrained configuration of `architecture`: its input, and the names of its first and last layer."""
    from search_space.modules.input_size import bound_by

    return {
        "architecture": ENTRYPOINT,
        "num_classes": architecture.num_classes,
        "input_size": (architecture.in_chans, *architecture.image_size),
        "fixed_input_size": bool(bound_by(architecture)),
        "pool_size": architecture.sizes[-1],
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "first_conv": "stem.proj",
        "classifier": "head",
    }


def _check_saved(architecture: Architecture, saved: Mapping[str, Any], pretrained_cfg: object) -> None:
    """Check the number of classes in a `config.json`: timm would replace the classifier by a random one without a word.

    `saved`, its `model_args`, are defaults: what the user passes to `timm.create_model` is a change on purpose.

    Raises:
        ValueError: it differs from that of the weights.
    """
    of_weights = pretrained_cfg.get("num_classes") if isinstance(pretrained_cfg, Mapping) else None
    found = saved.get("num_classes", architecture.num_classes)
    if of_weights and found != of_weights:
        place = "model_args.num_classes" if "num_classes" in saved else "model_args.architecture.num_classes"
        raise ValueError(f"config.json: {place} must be num_classes, {of_weights}, found {found}")


def _build_network(
    architecture: dict[str, Any],
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | Sequence[int] | None = None,
    global_pool: str = "avg",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    **unknown: object,
) -> Network:
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise TypeError(f"{ENTRYPOINT}() got an unexpected keyword argument {names}")
    from search_space.modules.network import Network

    changes: dict[str, Any] = {"num_classes": num_classes or None, "in_chans": in_chans}
    if img_size is not None:
        changes["image_size"] = img_size if isinstance(img_size, int) else tuple(img_size)
    description = Architecture.from_dict(architecture)
    description = description.replace(**{name: value for name, value in changes.items() if value is not None})
    headless = num_classes == 0
    network = Network(description, "avg" if headless else global_pool, drop_rate, drop_path_rate)
    if headless:
        network.reset_classifier(0, global_pool)
    return network.to(device=device, dtype=dtype)


def _weights_for_size(weights: dict[str, Any], network: Network) -> dict[str, Any]:
    """The `weights` of a checkpoint, interpolated to the image size of `network` where they were saved at another."""
    source = _source_size(network)
    if source == network.image_size or not network.bound_by:
        return weights
    changes = {"image_size": source, "in_chans": weights["stem.proj.weight"].shape[1]}
    has_head = "head.weight" in weights
    if has_head:
        changes["num_classes"] = weights["head.weight"].shape[0]
    source_network = type(network)(network.architecture.replace(**changes))
    if not has_head:
        source_network.reset_classifier(0)
    source_network.load_state_dict(weights)
    source_network.set_input_size(network.image_size)
    return source_network.state_dict()


def _source_size(network: Any) -> tuple[int, ...]:
    """The image size of the checkpoint that timm is about to load, from its arguments or else its configuration."""
    size = network.pretrained_model_args.get("img_size") or network.pretrained_cfg["input_size"][-2:]
    return (size, size) if isinstance(size, int) else tuple(size)


class _RegisterAfterImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """An import hook that registers the entrypoint right after timm's registry is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        self.inner = spec.loader
        spec.loader = self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.inner.exec_module(module)
        if module.__spec__ is not None:
            module.__spec__.loader = self.inner
        module.register_model(mixfront)


def register_when_imported() -> None:
    """Register the entrypoint with timm: at once if timm is imported, else as soon as it is. Repeated calls do nothing."""
    registry = sys.modules.get(REGISTRY)
    if registry is not None:
        if not registry.is_model(ENTRYPOINT):
            registry.register_model(mixfront)
    elif not any(isinstance(finder, _RegisterAfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegisterAfterImport())
