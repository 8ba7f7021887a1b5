"""The most memory that a forward pass holds at one time: parameters, images, and intermediate results.

On a GPU the allocator reports it. On a CPU the storage of each tensor is followed from its creation to its end, as torch's
operations return them; what an operation allocates and frees inside itself is not seen there.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainers.device import synchronise
from trainers.inference import dtype_of, evaluation_mode
from trainers.measuring.effort import default_batch_size
from trainers.torch_internals import TorchDispatchMode, storage_key, tree_iter


class _LiveStorages(TorchDispatchMode):
    """While active, adds up the bytes of all living storages that operations return."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.current_bytes = self.peak_bytes = 0
        self._keys: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """Count the storage of `tensor` until it is freed."""
        storage, key = tensor.untyped_storage(), storage_key(tensor)
        if key in self._keys:
            return
        storage_bytes = storage.nbytes()
        self._keys.add(key)
        self.current_bytes += storage_bytes
        self.peak_bytes = max(self.peak_bytes, self.current_bytes)
        weakref.finalize(storage, self._remove, key, storage_bytes)

    def _remove(self, key: int, storage_bytes: int) -> None:
        self._keys.discard(key)
        self.current_bytes -= storage_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_iter(result):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return result


def peak_memory_bytes(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
) -> int:
    """The most bytes that are held at one time while `module` takes one batch in evaluation mode, without gradients.

    Args:
        module: `(B, C, H, W) -> anything`; its mode and device are as before afterwards.
        input_shape: (C, H, W).
        device: where to measure.
        batch_size: B; None: `default_batch_size` of the device.
    """
    device = torch.device(device)
    batch_size = default_batch_size(device.type) if batch_size is None else batch_size
    with evaluation_mode(module, device), torch.no_grad():
        images = torch.zeros(batch_size, *input_shape, dtype=dtype_of(module), device=device)
        images = images.contiguous(memory_format=torch.channels_last)  # as in training
        tensors = [*module.parameters(), *module.buffers(), images]
        if device.type == "cuda":
            return _peak_on_gpu(module, images, tensors)
        storages = _LiveStorages()
        for tensor in tensors:
            storages.add(tensor)
        with storages:
            module(images)
        return storages.peak_bytes


def _peak_on_gpu(module: nn.Module, images: Tensor, tensors: list[Tensor]) -> int:
    """Peak bytes of the allocator during a pass, without what other tensors on the device hold."""
    module(images)  # libraries keep memory from their first use on, which is not the network's
    synchronise(images.device)
    before = torch.cuda.memory_allocated(images.device)
    torch.cuda.reset_peak_memory_stats(images.device)
    module(images)
    synchronise(images.device)
    own_bytes = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
    return int(torch.cuda.max_memory_allocated(images.device) - before + own_bytes)
