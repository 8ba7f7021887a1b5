"""The events of the two kinds of streams: the list of studies, and one study."""

from __future__ import annotations

import asyncio
import time

from nas.dashboard.event_stream import ServerEvent
from nas.dashboard.hub import Channel, Hub
from nas.dashboard.responses import RequestError
from nas.page.live_document import Position
from nas.page.packing import json_bytes

MIN_LIST_INTERVAL_S = 0.5
"""Least interval between two lists of studies."""


class ListEvents:
    """`studies`: the list of studies, when it differs from the last one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sent = b""
        self._sent_s = float("-inf")

    async def next(self) -> ServerEvent | None:
        """The list, if it is new."""
        await asyncio.sleep(max(0.0, self._sent_s + MIN_LIST_INTERVAL_S - time.monotonic()))
        listed = self._hub.summaries()
        if listed == self._sent:
            return None
        self._sent, self._sent_s = listed, time.monotonic()
        return ServerEvent("studies", listed)


class StudyEvents:
    """What happens to one study:

        changes      what changed since the last event (`nas.page.live_document`); the id is the cursor
        reload       the study must be loaded again: another is in its place; no changes follow
        gone         it was removed, with the `error`; it may come back
        unreadable   it cannot be read now, with the `error`
        back         it can be read again

    Args:
        hub: the studies.
        channel: the study.
        cursor: the trials that the browser has, as text.
    """

    def __init__(self, hub: Hub, channel: Channel, cursor: str) -> None:
        self._hub = hub
        self._channel = channel
        self._position = Position(cursor)
        self._loads = channel.feed.stamp[0]
        self._problem = ""
        self._must_reload = False

    async def next(self) -> ServerEvent | None:
        """The next event."""
        feed = self._channel.feed
        if feed.problem != self._problem:
            self._problem = feed.problem
            name = "gone" if feed.is_gone else "unreadable"
            return (
                ServerEvent(name, json_bytes({"error": self._problem})) if self._problem else ServerEvent("back", b"{}")
            )
        loads, version = feed.stamp
        if self._must_reload or self._problem or (loads == self._loads and self._position.version == version):
            return None
        if loads != self._loads:
            self._must_reload = True
            return ServerEvent("reload", b"{}")
        try:
            change = await self._hub.call(lambda: self._channel.answers.change(self._position))
        except RequestError:
            return None  # it was forgotten or went meanwhile; the next look says which
        if change is None:
            self._must_reload = True
            return ServerEvent("reload", b"{}")
        self._position, data = change
        return ServerEvent("changes", data, self._position.cursor)
