"""The driver's end of the host process: starts it, exchanges messages with it, notices when it is lost, and ends it."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection

from nas import logs
from nas.execution.executors.ray_tune.messages import (
    Beat,
    Broken,
    Close,
    GivenTask,
    NoTaskNow,
    NotOpened,
    Opened,
    OpenRay,
    Order,
    Report,
)
from nas.execution.executors.ray_tune.session import kill_session
from nas.execution.executors.ray_tune.temporary_folder import session_folder

MODULE = "nas.execution.executors.ray_tune.host"
POLL_S = 0.05
MAX_SILENCE_S = 10.0
"""A host that sends nothing for this time hangs. Time in which this process did not run does not count."""
MAX_CLOSE_S = 5.0
LOG = "host.log"

logger = logging.getLogger(__name__)


class HostLostError(Exception):
    """The host process ended, hangs, or has lost Ray; the message says why, in one line."""


class NotOpenedError(Exception):
    """Ray could not be started or joined; the message says why, in one line."""


class HostProcess:
    """A host process, in a session of its own, so that Ctrl-C does not reach it. Its output goes to a file.

    Args:
        address: HOST:PORT of the cluster to join; None: a private Ray is started.
        cpus: the CPUs of a private Ray.
        variables: environment variables of the host.
    """

    def __init__(self, address: str | None, cpus: int, variables: Mapping[str, str]) -> None:
        self.stack = ExitStack()
        self.folder = self.stack.enter_context(session_folder())
        self.silence_s = 0.0
        ours, theirs = socket.socketpair()
        self.connection = self.stack.enter_context(Connection(ours.detach()))
        # Ray takes texts in UTF-8 only; a locale without it would give it paths with surrogates, such as the current folder.
        environment = {**variables, "PYTHONUTF8": "1"}
        if address is None:
            environment["RAY_TMPDIR"] = str(self.folder)
        with theirs, (self.folder / LOG).open("wb") as log:
            # With --verbose our own log lines are shown, which Ray sends here from its workers.
            output = None if os.environ.get(logs.VARIABLE) else log
            self.process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno())],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output if output is not None else sys.__stderr__,
                stderr=output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.stack.callback(self.kill)
        words = tuple(
            [os.fsencode(word).decode("utf-8", "surrogateescape") for word in row] for row in (sys.path, sys.argv)
        )
        self.connection.send_bytes(pickle.dumps(words))
        self.send(OpenRay(str(self.folder), address, cpus))

    def wait_until_open(self, tick: Callable[[], None]) -> Opened:
        """Wait until Ray runs; `tick` is called several times a second.

        Raises:
            NotOpenedError: it could not be started or joined.
            HostLostError: the host ended or hangs.
        """
        while not isinstance(report := self.receive(tick), Opened):
            if isinstance(report, NotOpened):
                raise NotOpenedError(report.reason)
        return report

    def send(self, message: Order | GivenTask | NoTaskNow) -> None:
        """Send `message`.

        Raises:
            HostLostError: the host ended.
        """
        try:
            self.connection.send(message)
        except OSError:
            raise HostLostError(self._end_reason()) from None

    def receive(self, tick: Callable[[], None]) -> Report:
        """The next report of the host; `tick` is called several times a second until it comes.

        Raises:
            HostLostError: the host ended, hangs, or has lost Ray.
        """
        while True:
            tick()
            message = self._poll()
            if isinstance(message, Broken):
                raise HostLostError(message.reason)
            if message is not None and not isinstance(message, Beat):
                return message

    def _poll(self) -> Report | Beat | None:
        """A message, or None if none has come in a moment."""
        try:
            if self.connection.poll(POLL_S):
                self.silence_s = 0.0
                message: Report | Beat = self.connection.recv()
                return message
        except (EOFError, OSError):
            raise HostLostError(self._end_reason()) from None
        self.silence_s += POLL_S
        if self.silence_s > MAX_SILENCE_S:
            raise HostLostError(f"Ray has not answered for {MAX_SILENCE_S:.0f} s")
        return None

    def _end_reason(self) -> str:
        """Why the host ended, with the last line of its output."""
        try:
            status = self.process.wait(timeout=MAX_CLOSE_S)
        except subprocess.TimeoutExpired:
            return "Ray has closed its connection"
        cause = f"signal {-status}" if status < 0 else f"exit status {status}"
        lines = [line.strip() for line in self.log_tail().splitlines() if line.strip()]
        return f"the process that runs Ray ended ({cause})" + (f": {lines[-1][:200]}" if lines else "")

    def log_tail(self) -> str:
        """The end of the output of the host and of Ray."""
        try:
            return (self.folder / LOG).read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            return ""

    def close(self) -> None:
        """End Ray, or leave the cluster, and end the host."""
        try:
            self.connection.send(Close())
            self.process.wait(timeout=MAX_CLOSE_S)
        except (OSError, subprocess.TimeoutExpired):
            pass
        finally:
            self.stack.close()

    def end(self) -> None:
        """End the host and a private Ray at once."""
        self.stack.close()

    def kill(self) -> None:
        """Kill the host and all that it has started on this machine."""
        logger.debug("host %d: %s", self.process.pid, self.log_tail())
        kill_session(self.process.pid)
        self.process.wait()
