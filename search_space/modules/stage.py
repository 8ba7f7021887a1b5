"""A stage of a network: what leads to its map, and its blocks, which the backward pass may compute anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class NetworkStage(nn.Module):
    """A transition (norm and convolution, or nothing), then blocks, `(B, C_before, H_before, W_before) -> (B, C, H, W)`.

    With `grad_checkpointing`, the backward pass computes each block anew instead of keeping its inner maps.
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
        """The map behind each block, one after the other."""
        x = self.transition(x)
        for block in self.blocks:
            x = self._run(block, x)
            yield x

    def _run(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if not self.grad_checkpointing:
            return block(x)
        return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _statistics_kept(block)))


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """While it lasts, no batch norm of `block` takes a batch into its running statistics: it has seen it already."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    norms = [module for module in block.modules() if isinstance(module, kinds)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, kept in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = kept
