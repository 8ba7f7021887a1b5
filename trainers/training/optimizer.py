"""AdamW, and which parameters it decays (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from trainers.torch_internals import divide_all_, without_compiler_wrapper
from trainers.training.config import TrainConfig


class PlainAdamW(AdamW):
    """torch's AdamW without the import of torch's compiler, and with clipping inside the fused step."""

    add_param_group = without_compiler_wrapper(Optimizer.add_param_group)
    zero_grad = without_compiler_wrapper(Optimizer.zero_grad)
    state_dict = without_compiler_wrapper(Optimizer.state_dict)
    load_state_dict = without_compiler_wrapper(Optimizer.load_state_dict)
    step = torch.no_grad()(without_compiler_wrapper(AdamW.step))

    grad_scale: Tensor | None = (
        None  # the fused step divides the gradients by it; torch.amp.GradScaler uses it likewise
    )

    @torch.no_grad()
    def clip(self, limit: float) -> None:
        """Scale the gradients so that their norm, over all parameters, is at most `limit` in the next step.

        A fused step scales them itself, which saves a pass over them. A GPU is not waited for.
        """
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        scale = ((norm + 1e-6) / limit).clamp(min=1.0)  # 1e-6 as in torch's clip_grad_norm_
        if self.defaults["fused"]:
            self.grad_scale = scale
        else:
            divide_all_(gradients, scale)


def adamw(module: nn.Module, config: TrainConfig, device: torch.device) -> PlainAdamW:
    """The optimizer of the trainable parameters of `module`, which are on `device`.

    The betas are the usual ones, (0.9, 0.999). Steps are fused where there are such kernels, on CPU and CUDA: on a CPU a
    step over 60 small parameters takes a fifth of the time.
    """
    fused = device.type in ("cpu", "cuda")
    return PlainAdamW(decay_groups(module, config.weight_decay), lr=config.lr, fused=fused)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next step; a group with an "lr_scale" gets its share of it, as in timm."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: matrices and kernels decay; norms, biases and scales do not.

    Parameters of one dimension or none do not decay, nor do those that `module.no_weight_decay()` names, if it exists.
    """
    no_weight_decay = getattr(module, "no_weight_decay", None)
    excluded = set(no_weight_decay()) if callable(no_weight_decay) else set()
    decayed: list[nn.Parameter] = []
    not_decayed: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and name not in excluded else not_decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": not_decayed, "weight_decay": 0.0}]
