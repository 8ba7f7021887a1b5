"""The server's process: listens, says where, serves until it is interrupted."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from nas.dashboard.addresses import Address
from nas.dashboard.application import TITLE, create_app
from nas.dashboard.connections import ImpatientProtocol
from nas.dashboard.hub import Hub
from nas.dashboard.static_files import compress_in_background, load_static_files

SHUTDOWN_TIMEOUT_S = 1
"""Time for the answers that are under way at the end."""
MAX_REQUEST_HEAD_BYTES = 16 * 1024


class DashboardServer(uvicorn.Server):
    """uvicorn that ends the streams of events first, so that Ctrl-C does not wait for browsers, and leaves no connection open."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._hub.close()
        try:
            await super().shutdown(sockets)
        finally:
            for connection in list(self.server_state.connections):  # of browsers that do not read, or came late
                connection.transport.abort()
            await asyncio.sleep(0)  # in which they are closed


def create_server(hub: Hub, address: Address, token: str | None) -> DashboardServer:
    """The server of `hub`.

    Args:
        hub: the studies.
        address: where it listens.
        token: that every request must bring; None: none is needed.
    """
    logging.getLogger("uvicorn").addHandler(
        logging.NullHandler()
    )  # what browsers do wrong is none of the user's business
    config = uvicorn.Config(
        create_app(hub, address, token),
        loop="asyncio",
        http=ImpatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # addresses may hold the token
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_REQUEST_HEAD_BYTES,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
    return DashboardServer(config, hub)


def serve(
    listening: socket.socket,
    address: Address,
    folders: Sequence[Path],
    storages: Sequence[str] = (),
    token: str | None = None,
) -> None:
    """Serve until the process is interrupted; SIGINT ends it as `KeyboardInterrupt`, SIGTERM as itself.

    Args:
        listening: a socket that listens (`open_socket`).
        address: where it listens.
        folders: studies are found in them and below.
        storages: URLs of Optuna storages.
        token: that every request must bring; None: none is needed.
    """
    compress_in_background(load_static_files(TITLE))
    create_server(Hub(folders, storages), address, token).run([listening])


def open_browser(url: str) -> None:
    """Show `url` in the user's browser, without waiting for it."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
