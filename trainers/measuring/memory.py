"""The most memory that a forward pass holds at one time: parameters, images, and what lies between.

On a GPU the allocator says it. On a CPU each tensor's storage is followed from its making to its end, as torch's operations
give them out; what an operation takes for itself meanwhile is not seen there.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from trainers.device import synchronise
from trainers.inference import dtype_of, evaluation_mode


class _Held(TorchDispatchMode):
    """Adds up the bytes of the storages that live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def take(self, tensor: Tensor) -> None:
        """Count the storage of `tensor` until it ends."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        bytes_ = storage.nbytes()
        self._known.add(key)
        self.now += bytes_
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key, bytes_)

    def _drop(self, key: int, bytes_: int) -> None:
        self._known.discard(key)
        self.now -= bytes_

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in tree_iter(result):
            if isinstance(one, Tensor):
                self.take(one)
        return result


def peak_memory_bytes(
    module: nn.Module, input_shape: tuple[int, int, int], *, device: torch.device | str = "cpu", batch_size: int = 64
) -> int:
    """Bytes held at most while `module` takes one batch in evaluation mode, without gradients.

    Args:
        module: `(B, C, H, W) -> anything`; its mode and device are as before afterwards.
        input_shape: (C, H, W).
        device: where.
        batch_size: B.
    """
    place = torch.device(device)
    with evaluation_mode(module, place), torch.no_grad():
        images = torch.zeros(batch_size, *input_shape, dtype=dtype_of(module), device=place)
        images = images.contiguous(memory_format=torch.channels_last)  # as in training
        if place.type == "cuda":
            module(images)  # what libraries keep from their first use on is not the network's
            synchronise(place)
            others = torch.cuda.memory_allocated(place)
            torch.cuda.reset_peak_memory_stats(place)
            module(images)
            synchronise(place)
            own = sum(tensor.untyped_storage().nbytes() for tensor in (*_state(module), images))
            return int(torch.cuda.max_memory_allocated(place) - others + own)
        held = _Held()
        for tensor in (*_state(module), images):
            held.take(tensor)
        with held:
            module(images)
        return held.peak


def _state(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
