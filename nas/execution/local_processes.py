"""Jobs in warm processes of this machine: each loads torch and the data once, and ends with the one that started it.

A job whose process dies (for want of memory, mostly) is found out by running those that were under way alone, and fails;
the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import StudyError, reason
from nas.execution import environment, processes
from nas.fidelity.plan import Job
from trainers.training.config import TrainConfig

if TYPE_CHECKING:
    from nas.fidelity.worker import Worker

DIED = "its process died, for want of memory perhaps"

Task = tuple[Job, Path]
"""A job and the file of its checkpoint."""


@dataclass(frozen=True)
class Crew:
    """Who works.

    Args:
        data_file, train: as in `nas.fidelity.worker.Worker`.
        devices: of each process, as torch names it: as many as there are processes.
        threads: CPU threads of each.
    """

    data_file: Path
    train: TrainConfig
    devices: tuple[str, ...]
    threads: int


def run(crew: Crew, tasks: Sequence[Task]) -> Generator[tuple[Job, dict[str, Any]], None, None]:
    """The record of each job as it ends, in any order; call from the main thread.

    Closing it, or an exception in it such as KeyboardInterrupt, ends the processes at once.

    Raises:
        StudyError: a process cannot begin.
    """
    left = list(tasks)
    while left:
        suspects: list[Task] = []
        with _processes(crew) as submit:
            for task, record in _finished(submit, list(left), len(crew.devices)):
                if record is None:
                    suspects.append(task)
                    continue
                left.remove(task)
                yield task[0], record
        for task in suspects:
            left.remove(task)
            yield task[0], _alone(crew, task)


def _alone(crew: Crew, task: Task) -> dict[str, Any]:
    """The record of a job in a process of its own; if that dies, it is the job's doing."""
    with _processes(replace(crew, devices=crew.devices[:1])) as submit:
        ((_, record),) = _finished(submit, [task], 1)
    return {"id": task[0].id, "seed": task[0].seed, "failure": DIED} if record is None else record


def _finished(
    submit: Callable[[Task], Future[dict[str, Any]]], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task, dict[str, Any] | None]]:
    """Records as they come, with as many jobs under way as there are workers; None for those under way when a process died."""
    queue = iter(tasks)
    running: dict[Future[dict[str, Any]], Task] = {}
    while True:
        try:
            while len(running) < workers and (task := next(queue, None)) is not None:
                running[submit(task)] = task
        except BrokenProcessPool:
            yield from ((task, None) for task in running.values())
            return
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task = running.pop(future)
            try:
                yield task, future.result()
            except BrokenProcessPool:
                yield task, None
                yield from ((other, None) for other in running.values())
                return


@contextmanager
def _processes(crew: Crew) -> Iterator[Callable[[Task], Future[dict[str, Any]]]]:
    """The function that hands a job to a pool of processes, which end with the block."""
    environment.keep_memory()
    with closing(processes.CONTEXT.SimpleQueue()) as devices:
        for device in crew.devices:
            devices.put(device)
        with processes.pool(len(crew.devices), _begin, crew, devices) as submit:
            yield partial(submit, _work)


_worker: Worker | None = None  # of a process of its own
_trouble = ""  # why there is none


def _begin(crew: Crew, devices: Any) -> None:
    global _worker, _trouble
    import warnings

    try:
        import torch

        from nas.fidelity.worker import Worker

        torch.set_num_threads(crew.threads)
        warnings.simplefilter("ignore")  # nobody reads a worker's screen
        _worker = Worker(crew.data_file, crew.train, devices.get())
    except (
        Exception
    ) as error:  # told by the first job, for an exception here would be taken for the death of the process
        _trouble = reason(error)


def _work(task: Task) -> dict[str, Any]:
    if _worker is None:
        raise StudyError(f"a process could not begin: {_trouble}")
    job, checkpoint = task
    return _worker.run(job, checkpoint)
