"""The host process: it imports ray, starts or joins it, and runs Ray Tune, so that the driver does none of this.

Ray may abort, hang or fill the screen: this concerns the host alone, and the driver starts another. If the driver ends, in
whatever way, the host ends Ray and itself.

Called by `host_process.HostProcess` as `python -m nas.execution.executors.ray_tune.host DESCRIPTOR`: one end of a pipe.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nas import logs
from nas.errors import reason
from nas.execution.executors.ray_tune.messages import (
    Beat,
    Broken,
    CallEnded,
    CallFailed,
    CallFunction,
    Close,
    GivenTask,
    NoTaskNow,
    NotOpened,
    Opened,
    OpenRay,
    Order,
    Report,
    RunEnded,
    RunTasks,
    WantsTask,
)
from nas.execution.executors.ray_tune.session import end_session
from nas.execution.executors.ray_tune.watch import Check
from nas.execution.garbage_collection import without_garbage_collection

BEAT_S = 0.5
MAX_STEP_S = 60.0
"""Ray Tune makes a step ten times a second; after this time without one it hangs."""
TUNE_FOLDER = "tune"


class Host:
    """The host's end of the pipe.

    Args:
        connection: the pipe to the driver.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.Lock()  # of sending
        self.check: Check | None = None
        self.step_s: float | None = None  # time of the last step of Tune; None: it has none to make

    def send(self, report: Report | Beat) -> None:
        """Send `report` to the driver; ends this process if there is no driver any more."""
        try:
            with self.lock:
                self.connection.send(report)
        except OSError:
            end_session(os.getpid())

    def receive(self) -> Any:
        """The next message of the driver; ends this process if there is no driver any more."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return end_session(os.getpid())

    def step(self) -> None:
        """Note that Tune has made a step."""
        self.step_s = time.monotonic()

    def ask(self, request: WantsTask) -> GivenTask | NoTaskNow:
        """Send a request, and wait for the answer of the driver."""
        self.step_s = None
        self.send(request)
        answer: GivenTask | NoTaskNow = self.receive()
        self.step()
        return answer

    def watch(self) -> None:
        """Tell the driver that this process lives, or that Ray does not. Runs in a thread."""
        while True:
            time.sleep(BEAT_S)
            problem = None if self.check is None else self.check()
            if problem is None and self.step_s is not None and time.monotonic() - self.step_s > MAX_STEP_S:
                problem = f"Ray Tune has made no step for {MAX_STEP_S:.0f} s"
            if problem is not None:
                self.send(Broken(problem))
                end_session(os.getpid())
            self.send(Beat())

    def serve(self) -> None:
        """Carry out the orders of the driver."""
        open_ray = self.receive()
        with without_garbage_collection():
            adapter = importlib.import_module("nas.execution.executors.ray_tune.adapter")  # ray takes a second
        try:
            self.check = adapter.start(open_ray, bool(os.environ.get(logs.VARIABLE)))
            nodes = tuple(node["Resources"] for node in adapter.living_nodes().values())
        except Exception as error:
            traceback.print_exc()
            self.send(NotOpened(reason(error)))
            return
        self.send(Opened(nodes))
        while not isinstance(order := self.receive(), Close):
            try:
                self._carry_out(order, open_ray)
            except Exception as error:
                traceback.print_exc()
                self.send(Broken(f"Ray failed ({reason(error)})"))
                return
        self.check = None
        adapter.stop()

    def _carry_out(self, order: Order, open_ray: OpenRay) -> None:
        adapter = importlib.import_module("nas.execution.executors.ray_tune.adapter")
        if isinstance(order, CallFunction):
            try:
                self.send(CallEnded(adapter.call(order.call, order.request, self.step)))
            except Exception as error:
                self.send(CallFailed(reason(error)))
        elif isinstance(order, RunTasks):
            is_shared = order.folder is None or open_ray.address is None
            with nullcontext() if is_shared else adapter.opened_depot(Path(str(order.folder))) as files:
                self._run_tasks(order, open_ray, files)
            self.send(RunEnded())
        self.step_s = None

    def _run_tasks(self, order: RunTasks, open_ray: OpenRay, files: Any) -> None:
        """Run tasks until the driver has no more; `files` is the depot for workers on other machines."""
        adapter = importlib.import_module("nas.execution.executors.ray_tune.adapter")
        searchers = importlib.import_module("nas.execution.executors.ray_tune.searcher")
        folder = Path(open_ray.folder, TUNE_FOLDER)
        excluded: list[str] = []
        while True:
            search = searchers.TaskSearcher(
                self.ask, self.send, order.request, open_ray.address is None, order.tasks_per_tuner
            )
            search.excluded = excluded
            search.read_nodes()
            callback = searchers.TaskCallback(search, self.step)
            adapter.create_tuner(search, callback, order, files, folder).fit()
            shutil.rmtree(folder, ignore_errors=True)
            search.end()
            if search.is_over:
                return


def main(descriptor: int) -> None:
    """Serve the driver at the other end of the pipe `descriptor`."""
    host = Host(Connection(descriptor))
    # Those of the driver: Ray adds the folder of its script to the path of the workers.
    sys.path[:], sys.argv[:] = pickle.loads(host.connection.recv_bytes())
    threading.Thread(target=host.watch, daemon=True).start()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    host.serve()
    end_session(os.getpid())


if __name__ == "__main__":
    main(int(sys.argv[1]))
