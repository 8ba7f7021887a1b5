"""The attention weights of a model, layer by layer, without changing it.

`F.scaled_dot_product_attention` is called with the queries and keys from which the weights follow, so its calls are watched
while hooks say which layer runs. The layers of this project and of timm's transformers are known, with the positions of their
queries and keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.models.diagnose.feature_maps import prefix_tokens, token_grid
from search_space.modules.attention import ReducedAttention, SelfAttention, WindowAttention


@dataclass(frozen=True)
class AttentionCall:
    """The weights of a layer for a batch.

    Args:
        layer: the name of the module.
        weights: `(B, heads, N, M)`, of N queries and M keys; each row sums to 1.
        distance: `(N, M)`, the distance of each query to each key, as a share of the height of the map.
    """

    layer: str
    weights: Tensor
    distance: Tensor


Handler = Callable[[AttentionCall], None]


class _Watch(TorchFunctionMode):
    """Hands the weights of each attention that is computed while a layer runs to `handle`."""

    def __init__(self, model: nn.Module, handle: Handler) -> None:
        super().__init__()
        self.model, self.handle = model, handle
        self.layer: tuple[str, nn.Module, Tensor] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and self.layer is not None:
            mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
            self._see(args[0], args[1], mask, kwargs.get("scale"))
        return func(*args, **kwargs)

    def _see(self, q: Tensor, k: Tensor, mask: Tensor | None, scale: float | None) -> None:
        assert self.layer is not None
        name, module, x = self.layer
        logits = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-2, -1)
        if mask is not None:
            logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
        weights = logits.softmax(dim=-1)
        first = prefix_tokens(self.model) if x.dim() == 3 else 0
        patches = weights[..., first:, first:]
        positions = _positions(self.model, module, x)
        if positions is not None:
            queries, keys = positions
            distance = (queries[:, None] - keys[None, :]).norm(dim=-1).to(weights)
            self.handle(AttentionCall(name, patches / patches.sum(dim=-1, keepdim=True), distance))


@contextmanager
def watch_attention(model: nn.Module, handle: Handler) -> Iterator[int]:
    """Within the block `handle` gets the attention of each layer of `model` that runs; yields the number of known layers."""
    watch = _Watch(model, handle)
    hooks = []
    layers = [(name, module) for name, module in model.named_modules() if is_attention(model, module)]
    for name, module in layers:
        hooks.append(module.register_forward_pre_hook(_entering(watch, name)))
        hooks.append(module.register_forward_hook(_leaving(watch)))
    try:
        with watch:
            yield len(layers)
    finally:
        for hook in hooks:
            hook.remove()


def is_attention(model: nn.Module, module: nn.Module) -> bool:
    """True if `module` is a layer of attention whose positions are known."""
    if isinstance(module, SelfAttention | ReducedAttention | WindowAttention):
        return True
    return type(module).__name__ == "Attention" and hasattr(module, "qkv") and token_grid(model) is not None


def _entering(watch: _Watch, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        watch.layer = (name, module, inputs[0])

    return enter


def _leaving(watch: _Watch) -> Callable[[nn.Module, Any, Any], None]:
    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        watch.layer = None

    return leave


def _positions(model: nn.Module, module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """The positions of queries and keys, as shares of the height of the map, `(N, 2)` and `(M, 2)`."""
    if x.dim() == 3:
        grid = token_grid(model)
        return None if grid is None else (_grid(grid, grid, grid[0]), _grid(grid, grid, grid[0]))
    size = int(x.shape[2]), int(x.shape[3])
    if isinstance(module, WindowAttention):
        window = (module.window, module.window)  # both queries and keys are of one window
        return _grid(window, window, size[0]), _grid(window, window, size[0])
    return _grid(size, size, size[0]), _grid(_key_grid(module, size), size, size[0])


def _key_grid(module: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """The (rows, columns) of the keys of a layer whose queries are a map of `size`."""
    if not isinstance(module, ReducedAttention):
        return size
    stride = int(module.sr.stride[0])
    if isinstance(module.pool, nn.AdaptiveAvgPool2d):
        size = (int(module.pool.output_size),) * 2  # type: ignore[arg-type]
    return size[0] // stride, size[1] // stride


def _grid(grid: tuple[int, int], extent: tuple[int, int], height: int) -> Tensor:
    """The middles of a `grid` of cells that covers `extent`, as shares of `height`, `(rows * columns, 2)` float64."""
    rows, columns = (
        (torch.arange(count, dtype=torch.float64) + 0.5) * side / count
        for count, side in zip(grid, extent, strict=True)
    )
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1) / height
