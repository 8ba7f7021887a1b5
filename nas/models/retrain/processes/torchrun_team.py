"""The processes that torchrun has started for a command: their ranks, the messages of the first, which one fails first,
and the signals that ask them to stop.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import TypeAlias

from nas.errors import MachineError, StudyError, reason
from nas.execution.processes import end_with_parent
from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings
from nas.models.retrain.request import Retraining

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They ask a process to stop."""
MAX_ANSWER_TIME = timedelta(hours=1)
"""A process that waits for another one for this time fails. The first one may check a large study meanwhile, or measure."""
MAX_CONNECT_TIME = timedelta(seconds=60)
"""The longest time to reach torchrun, which runs before its processes."""

_TEAMS = itertools.count()
"""Numbers the teams of a process: each has its own keys in torchrun's store."""


class OtherProcessError(StudyError):
    """Another process of torchrun has failed, and reports the error.

    Args:
        exit_code: of this process.
    """

    def __init__(self, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__("another process of torchrun has failed, and says why")


@dataclass(frozen=True)
class Rank:
    """The place of this process among those of torchrun.

    Args:
        rank: its number, from 0.
        count: how many there are.
        local_rank, local_count: on its machine.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int

    @property
    def is_first(self) -> bool:
        """True for the process that plans, shows and writes."""
        return self.rank == 0

    @classmethod
    def current(cls) -> Rank | None:
        """That of this process; None if torchrun has not started it, or it alone."""
        if "LOCAL_RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
            return None
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return cls(*(int(os.environ[name]) for name in names))


@dataclass(frozen=True)
class Plan:
    """What the processes train together."""

    jobs: tuple[RetrainJob, ...]
    settings: RetrainSettings


@dataclass(frozen=True)
class Ended:
    """The first process has ended its work, with these records."""

    retraining: Retraining


@dataclass(frozen=True)
class Refused:
    """The first process has ended before, with an error that it reports."""

    exit_code: int


Message: TypeAlias = Plan | Ended | Refused
"""The messages of the first process to the others."""


class Team:
    """The processes of torchrun, once they know each other.

    Args:
        rank: the place of this one.

    Raises:
        MachineError: torchrun has ended.
    """

    def __init__(self, rank: Rank) -> None:
        import torch
        from torch import distributed
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        from trainers.training.data_parallel import Processes

        end_with_parent()  # torchrun, which cannot end them if it is killed
        self.rank = rank
        try:
            store, _, _ = next(rendezvous("env://", timeout=MAX_CONNECT_TIME))
        except RuntimeError as error:
            raise MachineError(f"torchrun has ended, or cannot be reached: {reason(error)}") from None
        store.set_timeout(MAX_ANSWER_TIME)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store = PrefixStore(f"mixfront/{attempt}/{next(_TEAMS)}", store)
        self._is_own = not distributed.is_initialized()
        if self._is_own:
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=self._store,
                rank=rank.rank,
                world_size=rank.count,
                timeout=MAX_ANSWER_TIME,
            )
        self._processes = Processes.current()

    def tell(self, message: Message) -> None:
        """Send a message to the other processes, all of which call `hear`. Called by the first one.

        Raises:
            ProcessLostError: one of them has ended.
        """
        self._processes.of_first(message)

    def hear(self) -> Message:
        """The next message of the first process.

        Raises:
            ProcessLostError: it has ended.
        """
        message: Message | None = self._processes.of_first(None)
        assert message is not None
        return message

    def any_of(self, flag: bool) -> bool:
        """Whether `flag` is true in any process; all of them ask.

        Raises:
            ProcessLostError: one of them has ended.
        """
        return self._processes.any_of(flag)

    def is_first_to_fail(self) -> bool:
        """True for the first process that asks: it reports the error, and the others say nothing."""
        try:
            return bool(self._store.add("failed", 1) == 1)
        except RuntimeError:  # what keeps the store is gone, too
            return True

    def leave(self) -> None:
        """End the connection to the others, when all have ended their work."""
        from torch import distributed

        if self._is_own:
            distributed.destroy_process_group()


@contextmanager
def noted_signals() -> Iterator[Callable[[], bool]]:
    """Within the block signals that ask to stop are only noted; yields whether there was one.

    torchrun passes on a Ctrl-C that the terminal has sent to all processes already, so a second one means nothing. It also
    sends SIGTERM to all of them once one has ended with an error. An exception ends this one anyway, so that SIGTERM means
    nothing after the block either: it must not end the process before it has said why it ends.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # not SIGHUP under `nohup`
    previous = {number: signal.signal(number, note) for number in heeded}
    try:
        yield lambda: bool(received)
    except BaseException:
        if signal.SIGTERM in previous:
            previous[signal.SIGTERM] = _ignore
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: FrameType | None) -> None:
    """The handler of a signal that means nothing; unlike `SIG_IGN`, the next `noted_signals` replaces it."""
