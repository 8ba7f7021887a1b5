"""Several processes that train one network together, each on its part of every batch (`torchrun`).

The caller starts the processes and `torch.distributed`; without, there is one process, and nothing here does anything. The
gradients of the parts are summed in one message once a step, after the backward pass, which is fast enough for small networks;
torch's `DistributedDataParallel` would overlap both. The statistics of norms are averaged in the same message, so that after each
step all processes hold the same bits, and the checkpoint of the first one continues all of them.

All processes draw the same random numbers for a batch, so that it does not depend on their number; those of dropout differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from trainers.errors import ProcessLostError
from trainers.training.randomness import epoch_seed

Value = TypeVar("Value")

AGREEMENT_PERIOD = 8  # steps


@dataclass(frozen=True)
class Processes:
    """The processes of a training.

    Args:
        rank: the number of this one, from 0; the first one writes files.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def current() -> Processes:
        """Those of `torch.distributed`, if it is initialised; otherwise this one."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return Processes()
        return Processes(distributed.get_rank(), distributed.get_world_size())

    def own_part(self, batch: Tensor) -> Tensor:
        """The part `(b, ...)` of `batch` `(B, ...)` that this process computes."""
        return batch if self.count == 1 else batch.tensor_split(self.count)[self.rank]

    @torch.no_grad()
    def synchronise(self, module: nn.Module) -> nn.Module:
        """`module` with the weights of the first process; on GPUs its batch norms get the statistics of whole batches.

        On a CPU torch has no such norms: there a batch is normalised by the statistics of each process's part.
        """
        if self.count == 1:
            return module
        with _answered():
            for value in module.state_dict().values():
                distributed.broadcast(value, src=0)
        if next(module.parameters()).device.type == "cuda":
            synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
            return synchronised
        return module

    @torch.no_grad()
    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replace each of `tensors`, of one dtype, by its sum over the processes."""
        if self.count == 1:
            return
        listed = list(tensors)
        message = torch.cat([tensor.reshape(-1) for tensor in listed])
        with _answered():
            distributed.all_reduce(message)
        for tensor, total in zip(listed, message.split([tensor.numel() for tensor in listed]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def statistics(self, module: nn.Module) -> list[Tensor]:
        """The running statistics of norms in `module` that differ between processes after a step; none for one process."""
        if self.count == 1:
            return []
        parts = [part for part in module.modules() if not isinstance(part, nn.SyncBatchNorm)]
        found = [getattr(part, name, None) for part in parts for name in ("running_mean", "running_var")]
        return [value for value in found if isinstance(value, Tensor)]

    def of_first(self, value: Value) -> Value:
        """The value of the first process; of the others `value` is ignored."""
        if self.count == 1:
            return value
        values = [value]
        with _answered():
            distributed.broadcast_object_list(values, src=0)
        return values[0]

    def any_of(self, flag: bool) -> bool:
        """Whether `flag` is true in any process; all of them must ask."""
        if self.count == 1:
            return flag
        flags: list[bool | None] = [None] * self.count
        with _answered():
            distributed.all_gather_object(flags, flag)
        return any(flags)

    def agree(self, is_stop_requested: Callable[[], bool]) -> Callable[[], bool]:
        """A function that all processes call equally often, and that is true in all of them once one is asked to stop.

        They ask each other only at every `AGREEMENT_PERIOD`th call, for the answer waits for the GPU.
        """
        if self.count == 1:
            return is_stop_requested
        calls = itertools.count(1)

        def is_any_asked() -> bool:
            return next(calls) % AGREEMENT_PERIOD == 0 and self.any_of(is_stop_requested())

        return is_any_asked

    def seed_dropout(self, seed: int, epoch: int, step: int) -> None:
        """Give torch's global generators a seed for this step and process: not all parts of a batch lose the same units."""
        if self.count > 1:
            torch.manual_seed(epoch_seed(epoch_seed(seed, epoch), step * self.count + self.rank))


@contextmanager
def _answered() -> Iterator[None]:
    """The block talks to the other processes.

    Raises:
        ProcessLostError: one of them has ended, or does not answer.
    """
    try:
        yield
    except RuntimeError as error:  # that of the backend: a connection was closed, or the time is over
        raise ProcessLostError(" ".join(str(error).split())) from error
