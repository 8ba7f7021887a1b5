"""Decides whether the architecture or the machine is at fault for a failure that may be of either (a worker that died, memory).

1. The trial is held: it stays open, and the search goes on.
2. If another trial is trained next, the machine works: the held trial fails.
3. If another trial fails in such a way first, the machine is at fault: the search ends, and both trials stay open.
4. If no other trial is left to decide, the held trial fails.
5. A trial that has ended a search by rule 3 is not held again: it fails. So a space of architectures that no machine can train
   is searched to its end, and a search that is started again always advances.

A failure that is certainly of the machine ends the search at once, however often.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace

from nas.driver.record import Recorder
from nas.errors import MachineError
from nas.study.database.trial_store import OpenTrial
from nas.study.events import TrialLost, TrialRecorded
from nas.study.layout import ERROR, write_error
from nas.study.outcomes.failure_kinds import kind_of
from nas.study.outcomes.records import Failed, MachineFailure
from nas.study.trials import RETRIED_FROM

ENDED_SEARCH = "machine_failure"
"""The user attribute of a trial that has ended a search by rule 3: the reason."""

logger = logging.getLogger(__name__)


class Suspects:
    """The trials that are held.

    Args:
        recorder: records the trials that fail after all.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.state = recorder.state
        self._held: dict[OpenTrial, MachineFailure] = {}

    def add(self, number: int, failure: MachineFailure) -> TrialRecorded | TrialLost | None:
        """Hold the open trial `number`; returns its event if it fails at once (rule 5).

        Raises:
            MachineError: the machine is at fault.
        """
        self.state.running.discard(number)
        trial = self.state.open[number]
        if not failure.is_certain and trial.user_attrs.get(ENDED_SEARCH):
            return self.recorder.record(number, self._failed(number, failure))
        logger.info("trial %d: %s", number, failure.reason)
        if failure.is_certain:
            self._keep_result(number, failure)
            raise MachineError(f"{_describe(number, failure)}{self._write_traceback(number, failure)}")
        self._held = {**self._still_held(), trial: failure}
        if len(self._held) == 1:
            return None
        for held, its_failure in self._held.items():
            held.set_user_attr(ENDED_SEARCH, its_failure.reason)
            self._write_traceback(held.number, its_failure)
        failures = "; ".join(_describe(held.number, its_failure) for held, its_failure in self._held.items())
        self._held.clear()
        raise MachineError(f"{failures}; no trial was trained in between, so the machine is taken to be at fault")

    def settle(self) -> list[TrialRecorded | TrialLost]:
        """Record the held trials as failed: the machine works, or no other trial is left to decide."""
        events = []
        for trial, failure in self._still_held().items():
            events.append(self.recorder.record(trial.number, self._failed(trial.number, failure)))
        self._held.clear()
        return events

    def _still_held(self) -> dict[OpenTrial, MachineFailure]:
        """The trials that are held, without those that were recorded, or adopted by another driver, since."""
        return {trial: failure for trial, failure in self._held.items() if self.state.open.get(trial.number) is trial}

    def _failed(self, number: int, failure: MachineFailure) -> Failed:
        """The outcome of a trial whose architecture is at fault: infeasible if the trial that it repeats failed likewise."""
        failed, trial = failure.to_failed(), self.state.open.get(number)
        repeated = None if trial is None else trial.user_attrs.get(RETRIED_FROM)
        if failed.infeasible is not None or repeated is None:
            return failed
        before = self.state.study.get_trials(deepcopy=False)[repeated].user_attrs.get("failure")
        is_same_kind = before is not None and kind_of(str(before)) == kind_of(failed.reason)
        return replace(failed, infeasible=kind_of(failed.reason)) if is_same_kind else failed

    @property
    def has_held(self) -> bool:
        """True if a trial is held."""
        return bool(self._still_held())

    def _keep_result(self, number: int, failure: MachineFailure) -> None:
        """Write the values of a training whose weights could not be written."""
        for name, value in failure.to_attributes().items():
            self.state.open[number].set_user_attr(name, value)

    def _write_traceback(self, number: int, failure: MachineFailure) -> str:
        """Write the traceback if the disk still takes it; returns where, for the end of a message."""
        if failure.traceback:
            with suppress(OSError):
                file = write_error(self.recorder.folder_of(number), failure.traceback)
                return f" (see trials/{file.parent.name}/{ERROR})"
        return ""


def _describe(number: int, failure: MachineFailure) -> str:
    accuracy = None if failure.trained is None else failure.trained.values.get("accuracy")
    trained = "" if accuracy is None else f", trained to accuracy {accuracy:.4f}, its weights not written"
    return f"trial {number}{trained}: {failure.reason}"
