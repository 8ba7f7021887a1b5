"""Whether the state of an optimizer that was read from a checkpoint fits the optimizer, and what of it is loaded.

AdamW's is known to the letter. Of timm's optimisers only the shape of a state is known: plain numbers and finite tensors for each
of the parameters, counters in the groups, and with some the state of a random generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainers.training.optimizer import PlainAdamW
from trainers.training.tensor_checks import check_dense, check_finite, check_tensor

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter, besides the number of its steps."""


def check_optimizer_state(optimizer: Optimizer, plain: Mapping[str, Any], steps: int) -> None:
    """Check the state `plain` of `optimizer` after `steps`.

    Raises:
        ValueError: it does not fit.
    """
    own = optimizer.state_dict()
    if [list(group["params"]) for group in plain["param_groups"]] != [group["params"] for group in own["param_groups"]]:
        raise ValueError("optimizer: must have the parameters of this one")
    if isinstance(optimizer, PlainAdamW):
        _check_adamw(optimizer, plain["state"], steps)
        return
    if plain.keys() != own.keys():
        raise ValueError(f"optimizer: must have {sorted(own)}, found {sorted(map(str, plain))}")
    count = sum(len(group["params"]) for group in own["param_groups"])
    for index, values in plain["state"].items():
        _index(index, count)
        for name, value in values.items():
            _check_value(f"optimizer[{index}].{name}", value)
    for number, (group, own_group) in enumerate(zip(plain["param_groups"], own["param_groups"], strict=True)):
        if own_group.keys() - group.keys():
            raise ValueError(f"optimizer: group {number} must have {sorted(own_group)}, found {sorted(group)}")
        for name, value in group.items():
            _check_value(f"optimizer: group {number}.{name}", value)


def load_optimizer_state(optimizer: Optimizer, plain: Mapping[str, Any]) -> None:
    """Load a checked state.

    AdamW's settings are those of this training. Groups of timm's optimizers hold counters too, and are loaded as they are.
    """
    if isinstance(optimizer, PlainAdamW):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": plain["state"], "param_groups": groups})
        return
    optimizer.load_state_dict(dict(plain))


def _check_adamw(optimizer: PlainAdamW, state: Mapping[Any, Any], steps: int) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    steps_found = max((float(moments["step"]) for moments in state.values()), default=0.0)
    if steps_found != steps:
        raise ValueError(f"optimizer: must have taken {steps} steps, found {steps_found:g}")
    for index, moments in state.items():
        if moments.keys() != {"step", *MOMENTS}:
            raise ValueError(f"optimizer: must be AdamW's, found {sorted(map(str, moments))}")
        parameter = parameters[_index(index, len(parameters))]
        for name in MOMENTS:
            check_tensor(f"optimizer[{index}].{name}", moments[name], parameter)
            check_finite(f"optimizer[{index}].{name}", moments[name])
        if not bool((moments["exp_avg_sq"] >= 0).all()):
            raise ValueError(f"optimizer[{index}].exp_avg_sq: must not be negative")
        check_tensor(f"optimizer[{index}].step", moments["step"], torch.zeros(()))
        if not float(moments["step"]) > 0:
            raise ValueError(f"optimizer[{index}].step: must be above 0, found {float(moments['step'])}")


def _check_value(place: str, value: Any) -> None:
    """Check that `value` is None, a text, a dtype, a finite number, a dense finite tensor, or a list or dictionary of such."""
    if isinstance(value, Tensor):
        check_dense(place, value)
        if value.is_floating_point():
            check_finite(place, value)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check_value(f"{place}[{number}]", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_value(f"{place}.{name}", item)
    elif not (
        value is None
        or isinstance(value, str | torch.dtype)
        or (isinstance(value, int | float) and math.isfinite(value))
    ):
        raise ValueError(f"{place}: must be a finite number, a tensor or a text, found {value!r:.50}")


def _index(value: Any, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise ValueError(f"optimizer: must have {count} parameters, found number {value!r}")
    return value
