"""AdamW, and which parameters it decays (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from trainers.training.config import TrainConfig


class PlainAdamW(AdamW):
    """torch's AdamW without the wrappers that tell `torch.compile` to keep out.

    The first call of a wrapped method imports torch's compiler, sympy and Triton: 2 s of every worker's start.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(AdamW.step))

    grad_scale: Tensor | None = None  # what the fused step divides the gradients by, as torch.amp.GradScaler uses it

    def set_lr(self, lr: float) -> None:
        """Make `lr` the rate of the next steps."""
        for group in self.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def clip(self, limit: float) -> None:
        """Scale the gradients so that their norm, over all parameters, is at most `limit` in the next step.

        A fused step scales them itself, which saves a pass over them; nothing is waited for.
        """
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        scale = ((norm + 1e-6) / limit).clamp(min=1.0)  # 1e-6 as in torch's clip_grad_norm_
        if self.defaults["fused"]:
            self.grad_scale = scale
        else:
            torch._foreach_div_(gradients, scale)


def adamw(module: nn.Module, config: TrainConfig, device: torch.device) -> PlainAdamW:
    """The optimizer of the trainable parameters of `module`, which are on `device`.

    The moments decay as usual, (0.9, 0.999). Fused where there are such kernels, CPU and CUDA: on a CPU a step over 60
    small parameters takes a fifth of the time.
    """
    fused = device.type in ("cpu", "cuda")
    return PlainAdamW(decay_groups(module, config.weight_decay), lr=config.lr, fused=fused)


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: matrices and kernels decay; norms, biases and scales do not.

    Parameters of one dimension or none do not decay, nor those that `module.no_weight_decay()` names, if it has that.
    """
    named = getattr(module, "no_weight_decay", None)
    spared = set(named()) if callable(named) else set()
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups[parameter.ndim > 1 and name not in spared].append(parameter)
    return [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]
