"""A stage of a network: its transition and its blocks, optionally with gradient checkpointing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class NetworkStage(nn.Module):
    """A transition (norm and convolution, or nothing), then blocks, `(B, C_before, H_before, W_before) -> (B, C, H, W)`.

    With `grad_checkpointing`, the backward pass recomputes each block instead of saving its intermediate maps.
    """

    def __init__(self, transition: nn.Module, blocks: nn.Sequential) -> None:
        super().__init__()
        self.transition = transition
        self.blocks = blocks
        self.grad_checkpointing = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.transition(x)
        for block in self.blocks:
            x = self._run(block, x)
        return x

    def maps(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """The output of each block, in order."""
        x = self.transition(x)
        for block in self.blocks:
            x = self._run(block, x)
            yield x

    def _run(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if not self.grad_checkpointing:
            return block(x)
        return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_statistics(block)))


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Within this context no batch norm of `block` updates its running statistics: the first forward pass did so already."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    norms = [module for module in block.modules() if isinstance(module, kinds)]
    states = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, num_batches_tracked) in zip(norms, states, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches_tracked
