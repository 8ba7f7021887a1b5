"""The display of a search: the interface that a terminal, a notebook or a dashboard implements, and one that shows nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from nas.analysis.dataset_summary import summary_rows
from nas.study.events import Observer
from trainers.data.types import Progress

logger = logging.getLogger(__name__)


class Display(Protocol):
    """Shows a search while it runs (`nas.terminal.progress` has one for terminals)."""

    def step(self, text: str) -> AbstractContextManager[Progress | None]:
        """Show a step before the trials, such as reading images; yields the function to call with (done, total), or None."""

    def show_data(self, dataset: Mapping[str, Any]) -> None:
        """Show what the images were taken for (`nas.study.dataset`), before the first training."""

    def warn(self, text: str) -> None:
        """Show a message that does not end the search."""

    def trials(self) -> AbstractContextManager[Observer]:
        """Show the trials; yields the observer that does."""


class NoDisplay:
    """Shows nothing, and logs warnings."""

    def step(self, text: str) -> AbstractContextManager[Progress | None]:
        """Show nothing."""
        return nullcontext(None)

    def show_data(self, dataset: Mapping[str, Any]) -> None:
        """Log the summary of `dataset`."""
        for label, text in summary_rows(dataset):
            logger.info("%s: %s", label, text)

    def warn(self, text: str) -> None:
        """Log `text`."""
        logger.warning(text)

    def trials(self) -> AbstractContextManager[Observer]:
        """Yield an observer that ignores every event."""
        return nullcontext(_SilentObserver())


class _SilentObserver:
    def notify(self, event: object) -> None:
        """Ignore `event`."""
