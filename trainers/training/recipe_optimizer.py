"""The optimizer of a recipe: our AdamW, or any of timm's by its name; and layer-wise learning rates."""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from torch import nn
from torch.optim import Optimizer

from trainers.errors import RecipeError, suggestion
from trainers.training.optimizer import PlainAdamW, decay_groups
from trainers.training.recipe_config import TIMM_PREFIX, RecipeConfig

LOOKAHEAD_PREFIX = "lookahead_"
"""Before the name of an optimizer: Lookahead around it (Zhang et al., 2019, arXiv:1907.08610)."""
NOT_SAVED = {"adahessian": "its random generator is not part of its state"}
"""Optimizers of timm that cannot be resumed, and why."""


def create_optimizer(module: nn.Module, config: RecipeConfig, device: torch.device) -> Optimizer:
    """The optimizer of the trainable parameters of `module`, which are on `device`.

    With `layer_decay`, each of its groups has an "lr_scale", by which `trainers.training.optimizer.set_lr` multiplies the rate.

    Raises:
        RecipeError: timm has no such optimizer, it does not take these options, or it cannot be resumed.
    """
    if config.optimizer == "adamw":
        groups = _layer_groups(module, config) if config.layer_decay else decay_groups(module, config.weight_decay)
        betas = cast(tuple[float, float], config.betas or (0.9, 0.999))
        return PlainAdamW(groups, lr=config.lr, betas=betas, fused=device.type in ("cpu", "cuda"))
    from timm.optim import create_optimizer_v2

    check_optimizer(config)
    if config.layer_decay:
        _check_layers(module)
    try:
        optimizer: Optimizer = create_optimizer_v2(
            module,
            opt=_timm_name(config),
            lr=config.lr,
            weight_decay=config.weight_decay,
            layer_decay=config.layer_decay,
            **_options(config),
        )
    except (TypeError, ValueError, AssertionError, ImportError, RuntimeError) as error:  # whatever each class raises
        raise RecipeError("optimizer", f"cannot be created ({_one_line(error)})", config.optimizer) from error
    return optimizer


def clip_gradients(optimizer: Optimizer, limit: float) -> None:
    """Scale the gradients so that their norm, over all parameters, is at most `limit` in the next step."""
    if isinstance(optimizer, PlainAdamW):
        optimizer.clip(limit)
    else:
        nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], limit)


def check_optimizer(config: RecipeConfig) -> None:
    """Check the name and the options of the optimizer, before there is a network.

    Raises:
        RecipeError: timm has no such optimizer, it does not take these options, or it cannot be resumed.
    """
    if config.optimizer == "adamw":
        return
    from timm.optim import get_optimizer_class, get_optimizer_info, list_optimizers

    name = _timm_name(config).removeprefix(LOOKAHEAD_PREFIX)
    if name not in list_optimizers():
        rule = f"must be 'adamw' or one of timm.optim.list_optimizers(){suggestion(name, list_optimizers())}"
        raise RecipeError("optimizer", rule, config.optimizer)
    if name in NOT_SAVED:
        raise RecipeError("optimizer", f"must be one that can be resumed ({NOT_SAVED[name]})", config.optimizer)
    if config.betas is not None and not get_optimizer_info(name).has_betas:
        raise RecipeError("betas", f"must be absent with the optimizer {name!r}, which has none", list(config.betas))
    try:
        known = inspect.signature(get_optimizer_class(name, bind_defaults=False)).parameters
    except (ImportError, AssertionError) as error:  # a library or a GPU is missing
        raise RecipeError("optimizer", f"cannot be created ({_one_line(error)})", config.optimizer) from error
    for option, value in _options(config).items():
        if option not in known or option in ("params", "lr", "weight_decay"):
            allowed = ", ".join(sorted(known.keys() - {"params", "lr", "weight_decay"}))
            place = option if option == "momentum" else f"optimizer_options.{option}"
            raise RecipeError(place, f"must be an option of the optimizer {name!r} ({allowed})", value)


def _layer_groups(module: nn.Module, config: RecipeConfig) -> list[dict[str, Any]]:
    """The parameters by layer, as timm groups them: each group has its "lr_scale"."""
    from timm.optim import param_groups_layer_decay

    _check_layers(module)
    no_weight_decay = getattr(module, "no_weight_decay", None)
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        module,
        weight_decay=config.weight_decay,
        no_weight_decay_list=no_weight_decay() if callable(no_weight_decay) else (),
        layer_decay=config.layer_decay,
    )
    return groups


def _check_layers(module: nn.Module) -> None:
    """Without a `group_matcher` timm takes all parameters for one layer, or cuts their list into equal parts."""
    if not callable(getattr(module, "group_matcher", None)):
        raise RecipeError("layer_decay", "must be absent for a network without group_matcher()", type(module).__name__)


def _timm_name(config: RecipeConfig) -> str:
    return config.optimizer.removeprefix(TIMM_PREFIX).lower()


def _options(config: RecipeConfig) -> dict[str, Any]:
    """The optimizer's arguments besides the learning rate and weight decay."""
    named = {"momentum": config.momentum, "betas": config.betas}
    return {**{name: value for name, value in named.items() if value is not None}, **config.optimizer_options}


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
