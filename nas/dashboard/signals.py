"""How many coroutines wait for the same change."""

from __future__ import annotations

import asyncio


class Signal:
    """A version that rises, and coroutines that wait until it does. Belongs to one event loop."""

    def __init__(self) -> None:
        self.version = 0
        self._event = asyncio.Event()

    def advance(self) -> None:
        """Raise the version and wake all that wait."""
        self.version += 1
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, version: int, timeout_s: float) -> bool:
        """Wait until the version is above `version`; returns False if it is not after `timeout_s` seconds."""
        if self.version > version:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        return True
