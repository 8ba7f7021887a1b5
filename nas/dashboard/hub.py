"""All studies of the server: finds them, reads those that somebody looks at, and wakes the streams of events.

One task looks at each study: often while a browser shows it, now and then while the start page is open, and not at all while
nobody listens; a request then reads before it is answered. Reads run in a few threads. Everything else of this module belongs to
the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from nas.dashboard.background import Background
from nas.dashboard.places import StudyPlace, find_studies
from nas.dashboard.responses import RequestError
from nas.dashboard.signals import Signal
from nas.dashboard.study_answers import StudyAnswers
from nas.dashboard.study_feed import StudyFeed
from nas.dashboard.threads import DaemonExecutor
from nas.errors import StudyError
from nas.page.packing import json_bytes
from nas.study.database.reader import list_studies

TICK_S = 0.25
"""Interval between two looks at a study that a browser shows."""
STORAGE_INTERVAL_S = 1.0
"""A study of a storage: a database server does not say whether anything changed, so that each look is a query."""
LISTED_INTERVAL_S = 2.0
"""Interval between two looks at the studies of an open start page, and between two searches for new ones."""
RELEASE_AFTER_S = 60.0
"""A study that nobody has looked at for this time is unloaded; its summary stays."""
READER_THREADS = 3

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass
class Channel:
    """A study and those who listen to it.

    Args:
        feed: the study.
        answers: to what browsers ask of it.
        signal: advances when there is something new to send.
    """

    feed: StudyFeed
    answers: StudyAnswers
    signal: Signal = field(default_factory=Signal)
    listeners: int = 0
    polled_s: float = float("-inf")
    used_s: float = float("-inf")
    polling: asyncio.Task[None] | None = None

    @property
    def interval_s(self) -> float:
        """Interval between two looks at the study while somebody listens."""
        return STORAGE_INTERVAL_S if self.feed.place.storage else 0.9 * TICK_S

    @classmethod
    def of(cls, place: StudyPlace) -> Channel:
        """The study at `place`, which is not read yet."""
        feed = StudyFeed(place)
        return cls(feed, StudyAnswers(feed))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block somebody listens to the study."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1
            self.used_s = time.monotonic()


class Hub:
    """The studies of the server.

    Args:
        folders: studies are found in them and below.
        storages: URLs of Optuna storages.
    """

    def __init__(self, folders: Sequence[Path], storages: Sequence[str] = ()) -> None:
        self.channels: dict[str, Channel] = {}
        self.signal = Signal()
        self.list_listeners = 0
        self.is_closed = False
        self._folders = tuple(folders)
        self._storages = tuple(storages)
        self._threads = DaemonExecutor("reader", READER_THREADS)
        self._background = Background()
        self._analysing: asyncio.Task[None] | None = None
        self._found_s = float("-inf")
        self._finding = asyncio.Lock()

    async def call(self, function: Callable[[], Result]) -> Result:
        """Run `function`, which may block, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    # Studies

    async def find(self, max_age_s: float = LISTED_INTERVAL_S) -> None:
        """Look for studies, unless that was done in the last `max_age_s` seconds."""
        async with self._finding:
            if time.monotonic() - self._found_s < max_age_s:
                return
            places = await self.call(self._places)
            self._found_s = time.monotonic()
            self._take(places)

    def _places(self) -> list[StudyPlace]:
        places = find_studies(self._folders)
        for url in self._storages:
            try:
                places += [StudyPlace.of_storage(url, name) for name in list_studies(url)]
            except StudyError as error:  # it may be back at the next look
                logger.warning("%s", error)
                places += [c.feed.place for c in tuple(self.channels.values()) if c.feed.place.storage == url]
        return places

    def _take(self, places: Sequence[StudyPlace]) -> None:
        """Add what is new; drop what is gone, unless somebody looks at it or it was named by the user."""
        kept = {
            key: channel
            for key, channel in self.channels.items()
            if channel.listeners or channel.feed.place.folder in self._folders
        }
        found = {place.key: self.channels.get(place.key) or Channel.of(place) for place in places}
        channels = found | {key: channel for key, channel in kept.items() if key not in found}
        if channels.keys() != self.channels.keys():
            self.channels = channels
            self.signal.advance()

    async def channel(self, key: str) -> Channel:
        """The study `key`, read as it is now.

        Raises:
            RequestError: there is no such study.
        """
        if key not in self.channels:
            await self.find(max_age_s=TICK_S)
        channel = self.channels.get(key)
        if channel is None:
            raise RequestError(404, "There is no such study here; it may have been moved or removed.")
        channel.used_s = time.monotonic()
        if channel.used_s - channel.polled_s > TICK_S or channel.feed.stamp[1] < 0:
            await self.poll(channel)
        if channel.feed.stamp[1] < 0 and not channel.feed.problem:  # it shared a glance at a study that was released
            await self.poll(channel)
        return channel

    async def poll(self, channel: Channel) -> None:
        """Read what changed in a study; several calls at a time share one read."""
        await asyncio.shield(self._start_polling(channel, channel.feed.poll))

    def _start_polling(self, channel: Channel, poll: Callable[[], bool]) -> asyncio.Task[None]:
        if channel.polling is None or channel.polling.done():
            channel.polling = asyncio.create_task(self._poll(channel, poll))
        return channel.polling

    async def _poll(self, channel: Channel, poll: Callable[[], bool]) -> None:
        channel.polled_s = time.monotonic()
        if await self.call(poll):
            channel.signal.advance()
            self.signal.advance()

    def summaries(self) -> bytes:
        """The start page as JSON: what is known of each study now."""
        return json_bytes({"studies": [channel.feed.summary() for channel in self.channels.values()]})

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block somebody listens to the list of studies."""
        self.list_listeners += 1
        try:
            yield
        finally:
            self.list_listeners -= 1

    # Life

    async def run(self) -> None:
        """Look at the studies until `close`."""
        await self.find()
        if len(self.channels) == 1:  # the browser will ask for it in a moment
            await asyncio.gather(*(self.poll(channel) for channel in self.channels.values()))
        while not self.is_closed:
            await asyncio.sleep(TICK_S)
            await self._tick()

    async def _tick(self) -> None:
        now_s = time.monotonic()
        for channel in self.channels.values():
            if channel.listeners and now_s - channel.polled_s >= channel.interval_s:
                self._start_polling(channel, channel.feed.poll)
            elif not channel.listeners and self.list_listeners and now_s - channel.polled_s >= LISTED_INTERVAL_S:
                self._start_polling(channel, channel.feed.glance)
            elif (
                not channel.listeners
                and len(self.channels) > 1
                and now_s - channel.used_s > RELEASE_AFTER_S
                and channel.feed.stamp[1] >= 0
            ):
                await self.call(channel.feed.release)
        if self._analysing is None or self._analysing.done():
            due = [c for c in self.channels.values() if c.listeners and self._background.is_due(c.feed)]
            if due:
                self._analysing = asyncio.create_task(self._analyse(due[0]))
        if self.list_listeners:
            await self.find()

    async def _analyse(self, channel: Channel) -> None:
        if await self._background.analyse(channel.feed):
            channel.signal.advance()

    def refresh(self) -> None:
        """Read the summaries of all studies that were not read yet, without waiting for it."""
        for channel in self.channels.values():
            if time.monotonic() - channel.polled_s >= LISTED_INTERVAL_S:
                self._start_polling(channel, channel.feed.glance)

    def close(self) -> None:
        """End all streams and the looking."""
        self.is_closed = True
        self._background.close()
        self.signal.advance()
        for channel in self.channels.values():
            channel.signal.advance()
