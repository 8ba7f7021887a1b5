"""Findings about studies, computed in the background: one at a time, seldom, and only while somebody looks at the study."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from nas.dashboard.analysis_process import THREAD_VARIABLES
from nas.dashboard.study_feed import StudyFeed
from nas.dashboard.threads import DaemonExecutor

MIN_INTERVAL_S = 15.0
COST_FACTOR = 20.0
"""Least time between two analyses of a study, as a multiple of the duration of the first."""

logger = logging.getLogger(__name__)


@dataclass
class _Done:
    """The last analysis of a study.

    Args:
        trials: what it has seen (`StudyFeed.trials_stamp`).
        next_s: when the next one may start.
    """

    trials: tuple[int, int]
    next_s: float


class Background:
    """Computes the findings of one study at a time."""

    def __init__(self) -> None:
        self._done: dict[str, _Done] = {}
        self._thread = DaemonExecutor("analysis", 1)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def is_due(self, feed: StudyFeed) -> bool:
        """True if the study has trials that its last analysis had not, and that was some time ago."""
        if feed.place.folder is None or feed.trials_stamp[1] < 0:
            return False
        done = self._done.get(feed.place.key)
        return done is None or (done.trials != feed.trials_stamp and time.monotonic() >= done.next_s)

    async def analyse(self, feed: StudyFeed) -> bool:
        """Compute the findings of the study and set them; returns False if that failed."""
        trials, started_s = feed.trials_stamp, time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._compute, feed)
        finally:
            now_s = time.monotonic()
            self._done[feed.place.key] = _Done(trials, now_s + max(MIN_INTERVAL_S, COST_FACTOR * (now_s - started_s)))

    def _compute(self, feed: StudyFeed) -> bool:
        if self._is_closed or feed.place.folder is None:
            return False
        command = [sys.executable, "-m", "nas.dashboard.analysis_process", str(feed.place.folder.absolute())]
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | dict.fromkeys(THREAD_VARIABLES, "1"),
                start_new_session=True,  # Ctrl-C is for the server, which ends this process
            ) as self._process:
                out, errors = self._process.communicate()
            if self._process.returncode:
                raise ValueError(errors.decode("utf-8", "replace").strip().rpartition("\n")[2] or "it was ended")
            feed.set_analysis(json.loads(out))
        except (OSError, ValueError) as error:
            logger.warning("analysis of %s: %s", feed.place.folder, error)
            return False
        return True

    def close(self) -> None:
        """End what runs."""
        self._is_closed = True
        if self._process is not None:
            self._process.kill()
