"""A process of this machine that runs tasks: its driver's end of a pipe (`WorkerProcess`), and what runs in it (`serve`).

driver -> worker    the payload of a task
worker -> driver    (STARTED, None), then (READY, its device) or (UNFIT, reason); for each task (RESULT, result) or
                    (EXCEPTION, the pickled exception, which ends the run)
"""

from __future__ import annotations

import pickle
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from nas import logs
from nas.errors import StudyError, reason
from nas.execution import processes
from nas.execution.base import Task, WorkerFactory, WorkerSite, device_of
from nas.execution.garbage_collection import without_garbage_collection
from nas.execution.worker_death import count_oom_kills, describe_death

STARTED, READY, UNFIT, RESULT, EXCEPTION = "started", "ready", "unfit", "result", "exception"


class WorkerProcess:
    """A worker in a process of its own: its device, its process, and the task that it runs. A process that died is replaced.

    Args:
        make_worker: creates the worker, in its process.
        device: the device of the worker.
    """

    def __init__(self, make_worker: WorkerFactory, device: str) -> None:
        self.make_worker = make_worker
        self.device = device
        self.task: Task | None = None
        self.label: str | None = None  # of its device, as the worker names it
        self.is_ready = False
        self.has_started = False
        self.failed_starts = 0
        self._oom_kills = 0
        self.connection, self._other_end = processes.CONTEXT.Pipe()
        self.process: BaseProcess | None = None

    def start(self) -> None:
        """Start a process. Call from the main thread."""
        if self.process is not None:
            self.connection, self._other_end = processes.CONTEXT.Pipe()
        self.task, self.is_ready, self.has_started = None, False, False
        self._oom_kills = count_oom_kills()
        with processes.block_sigint(signal.SIGTERM):  # which a scheduler may send to every process of a job
            self.process = processes.CONTEXT.Process(
                target=serve, args=(self._other_end, self.make_worker, self.device)
            )
            self.process.start()
        self._other_end.close()

    @property
    def is_alive(self) -> bool:
        """True if the process runs."""
        return self.process is not None and self.process.is_alive()

    @property
    def was_killed(self) -> bool:
        """True if a signal has ended the process."""
        return self.process is not None and (self.process.exitcode or 0) < 0

    def give(self, task: Task) -> bool:
        """Give `task` to the worker; False: its process has just died."""
        self._oom_kills = count_oom_kills()
        try:
            self.connection.send(dict(task.payload))
        except OSError:
            return False
        self.task = task
        return True

    def receive(self) -> tuple[str, Any] | None:
        """The next message of the worker, with an exception unpickled; None: its process has died, or ends."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return None
        return kind, pickle.loads(content) if kind == EXCEPTION else content

    def end(self) -> str:
        """Wait for the end of the process, which is ending, and see to it; returns how it died."""
        self.connection.close()
        if self.process is None or self.process.pid is None:
            return describe_death(None)
        self.process.join(processes.END_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return describe_death(self.process.exitcode, count_oom_kills() > self._oom_kills)


def serve(connection: Connection, make_worker: WorkerFactory, device: str) -> None:
    """What the process of a worker does: it runs tasks until the driver ends it."""
    processes.end_with_parent()
    connection.send((STARTED, None))
    logs.configure_worker()
    try:
        with without_garbage_collection():
            worker = make_worker(WorkerSite(device))
    except Exception as error:
        connection.send((UNFIT, reason(error)))
        return
    connection.send((READY, device_of(worker)))
    while True:
        try:
            payload = connection.recv()
        except EOFError:
            return
        try:
            result = dict(worker.run(payload))
        except Exception as error:
            connection.send((EXCEPTION, _pickled(error)))
            return
        connection.send((RESULT, result))


def _pickled(error: Exception) -> bytes:
    """`error`, or what remains of it if it does not survive pickling."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:
        return pickle.dumps(StudyError(reason(error)))
    return content
