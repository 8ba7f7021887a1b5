"""The application: which address gives what.

    GET  /                                   the page
    GET  /static/NAME                        plotly.js, the page's script and its style
    GET  /api/studies                        the studies with their summaries
    GET  /api/studies/events                 the same when it changes, as server-sent events
    GET  /api/studies/KEY                    a study (`nas.page.document`)
    GET  /api/studies/KEY/events             its changes, since `Last-Event-ID` or `?cursor=`
    GET  /api/studies/KEY/contact-sheet      a few images of each class (`nas.page.data`)
    GET  /api/studies/KEY/trials/N           a trial in detail (`nas.page.detail`)
    GET  /api/studies/KEY/trials/N/pictures  the drawings of its channel dependencies
    GET  /api/studies/KEY/trials/N/error     the traceback of a failed trial
    PUT  /api/studies/KEY/trials/N/note      {"text": TEXT}; an empty text removes the note
    PUT  /api/studies/KEY/trials/N/pin       {"pinned": true or false}

Answers are JSON; an error is `{"error": SENTENCE}` with its status.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nas.dashboard.addresses import Address
from nas.dashboard.event_stream import EventStream
from nas.dashboard.events import ListEvents, StudyEvents
from nas.dashboard.hub import Hub
from nas.dashboard.responses import NO_STORE, RequestError, error_response, json_response, takes_gzip
from nas.dashboard.security import Guard
from nas.dashboard.static_files import StaticFiles, load_static_files
from nas.dashboard.writing import boolean_of, read_json, text_of

TITLE = "mixfront"
FOREVER = "public, max-age=31536000, immutable"
MAX_TRIAL_DIGITS = 9

logger = logging.getLogger(__name__)


def create_app(hub: Hub, address: Address, token: str | None) -> ASGIApp:
    """The application with its guard.

    Args:
        hub: the studies.
        address: where the server listens.
        token: that every request must bring; None: none is needed.
    """
    api = Api(hub)
    pages = Pages(load_static_files(TITLE))
    study, trial = "/api/studies/{key}", "/api/studies/{key}/trials/{number}"
    routes = [
        Route("/", pages.page),
        Route("/static/{name}", pages.static),
        Route("/api/studies", api.studies),
        Route("/api/studies/events", api.list_events),
        Route(study, api.study),
        Route(f"{study}/events", api.study_events),
        Route(f"{study}/contact-sheet", api.contact_sheet),
        Route(trial, api.trial),
        Route(f"{trial}/pictures", api.trial_pictures),
        Route(f"{trial}/error", api.trial_error),
        Route(f"{trial}/note", api.write_note, methods=["PUT"]),
        Route(f"{trial}/pin", api.write_pin, methods=["PUT"]),
    ]

    @asynccontextmanager
    async def run_hub(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(hub.run())
        yield
        hub.close()
        task.cancel()

    handlers = {RequestError: _answer_error, HTTPException: _answer_http_error, Exception: _answer_failure}
    app = Starlette(routes=routes, lifespan=run_hub, exception_handlers=handlers)
    app.router.redirect_slashes = False  # a redirect repeats what the request says its host is
    return Guard(app, address, token)


class Pages:
    """The page and the files that it loads.

    Args:
        files: the table of files.
    """

    def __init__(self, files: StaticFiles) -> None:
        self._files = files

    async def page(self, request: Request) -> Response:
        """The page; the browser asks again each time, so that it gets the scripts of a newer version."""
        return Response(self._files.page, headers={"cache-control": NO_STORE}, media_type="text/html")

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        file = self._files.files.get(request.path_params["name"])
        if file is None:
            raise RequestError(404, "There is no such file on this server.")
        tag = f'"{file.etag}"'
        headers = {"cache-control": FOREVER, "etag": tag, "vary": "accept-encoding"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if not takes_gzip(request.headers.get("accept-encoding")):
            return Response(file.content, headers=headers, media_type=file.media_type)
        body = await asyncio.to_thread(file.compressed)
        return Response(body, headers=headers | {"content-encoding": "gzip"}, media_type=file.media_type)


class Api:
    """The studies as JSON.

    Args:
        hub: the studies.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def studies(self, request: Request) -> Response:
        """The studies; those that were not read yet are being read."""
        await self._hub.find()
        self._hub.refresh()
        return json_response(self._hub.summaries(), request)

    async def list_events(self, request: Request) -> EventStream:
        """The studies whenever the list changes."""
        await self._hub.find()
        self._hub.refresh()
        events = ListEvents(self._hub)
        return EventStream(events, self._hub.signal, self._hub.listening(), lambda: self._hub.is_closed)

    async def study(self, request: Request) -> Response:
        """A study."""
        channel = await self._hub.channel(request.path_params["key"])
        body = await self._hub.call(channel.answers.document)
        headers = {"cache-control": NO_STORE, "vary": "accept-encoding"}
        if takes_gzip(request.headers.get("accept-encoding")):
            headers["content-encoding"] = "gzip"
        else:
            body = await self._hub.call(lambda: gzip.decompress(body))
        return Response(body, headers=headers, media_type="application/json")

    async def study_events(self, request: Request) -> EventStream:
        """The changes of a study."""
        channel = await self._hub.channel(request.path_params["key"])
        cursor = request.headers.get("last-event-id") or request.query_params.get("cursor", "")
        events = StudyEvents(self._hub, channel, cursor)
        return EventStream(events, channel.signal, channel.listening(), lambda: self._hub.is_closed)

    async def contact_sheet(self, request: Request) -> Response:
        """Images of the study's data."""
        channel = await self._hub.channel(request.path_params["key"])
        return await self._hub.call(lambda: json_response(channel.answers.contact_sheet(), request))

    async def trial(self, request: Request) -> Response:
        """A trial in detail."""
        number = _trial_number(request)
        channel = await self._hub.channel(request.path_params["key"])
        return json_response(await self._hub.call(lambda: channel.answers.detail(number)), request)

    async def trial_pictures(self, request: Request) -> Response:
        """The drawings of a trial's channel dependencies."""
        number = _trial_number(request)
        channel = await self._hub.channel(request.path_params["key"])
        return await self._hub.call(lambda: json_response(channel.answers.pictures(number), request))

    async def trial_error(self, request: Request) -> Response:
        """The traceback of a failed trial."""
        number = _trial_number(request)
        channel = await self._hub.channel(request.path_params["key"])
        return json_response(await self._hub.call(lambda: channel.answers.error_text(number)), request)

    async def write_note(self, request: Request) -> Response:
        """Write or remove the note of a trial."""
        number = _trial_number(request)
        text = text_of(await read_json(request))
        channel = await self._hub.channel(request.path_params["key"])
        await asyncio.to_thread(channel.answers.write_note, number, text)
        await self._hub.poll(channel)
        return json_response(b'{"saved":true}')

    async def write_pin(self, request: Request) -> Response:
        """Pin a trial, or remove its pin."""
        number = _trial_number(request)
        is_pinned = boolean_of(await read_json(request), "pinned")
        channel = await self._hub.channel(request.path_params["key"])
        await asyncio.to_thread(lambda: channel.answers.write_pin(number, is_pinned=is_pinned))
        await self._hub.poll(channel)
        return json_response(b'{"saved":true}')


def _trial_number(request: Request) -> int:
    text = request.path_params["number"]
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_TRIAL_DIGITS):
        raise RequestError(404, f"A trial is named by its number, found {text[:80]!r}.")
    return int(text)


def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(error)


def _answer_http_error(request: Request, error: Exception) -> Response:
    """An unknown address or a method that it does not have."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        methods = (error.headers or {}).get("Allow", "")
        text = f"This address takes {methods}, found {request.method[:20]}."
        return error_response(RequestError(405, text, error.headers))
    text = "There is no such page on this server." if error.status_code == 404 else f"{error.detail}."
    return error_response(RequestError(error.status_code, text, error.headers))


def _answer_failure(request: Request, error: Exception) -> Response:
    logger.exception("%s %s", request.method, request.url.path, exc_info=error)
    return error_response(RequestError(500, "The server failed to answer; `nas dashboard --verbose` shows why."))
