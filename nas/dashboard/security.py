"""The guard before every request: which host it names, whether it has the token, and whether it may write.

- The header `Host` must name this server: a page of another site that lets its own name lead to this machine (DNS rebinding) is
  refused.
- A server that other machines can reach has a random token. The first address has it as `?token=`, and the page's further
  requests as a cookie that scripts cannot read and that other sites cannot send.
- What writes needs JSON and an `Origin` of this server, so that no page of another site can send it, and a short body.
- Every answer forbids the page to load anything from elsewhere (content security policy) and to be framed.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas.dashboard.addresses import Address
from nas.dashboard.responses import RequestError, error_response

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",  # plotly.js 4 brings its shaders compiled: no trace needs 'unsafe-eval'
        "style-src 'self' 'unsafe-inline'",  # plotly.js sets styles of elements
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
LOOPBACK_HEADERS = {"cross-origin-opener-policy": "same-origin"}
"""Browsers heed it on this machine or with TLS only; elsewhere they write an error to their console."""
READING_METHODS = ("GET", "HEAD")
MAX_PATH_CHARS = 1_000
TOKEN_BYTES = 24


def create_token() -> str:
    """A random token that may stand in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True)
class Guard:
    """The application with the checks before it, and the security headers on every answer.

    Args:
        app: the application.
        address: of the server.
        token: that every request must bring; None: none is needed.
    """

    app: ASGIApp
    address: Address
    token: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        own_headers = HEADERS | (LOOPBACK_HEADERS if self.address.is_loopback else {})
        is_new = self.token is not None and _query_token(scope) is not None

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in own_headers.items():
                    answer[name] = value
                if is_new and message["status"] < 400:
                    answer.append("set-cookie", self._cookie())
            await send(message)

        try:
            check_path(scope)
            self._check_host(headers)
            self._check_token(scope)
            if scope["method"] not in READING_METHODS:
                check_origin(headers)
        except RequestError as error:
            await error_response(error)(scope, receive, send_guarded)
        else:
            await self.app(scope, receive, send_guarded)

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self.address.is_own(host):
            names = ", ".join(sorted(self.address.host_names))
            raise RequestError(
                421,
                f"The address must be one of {names}, found {host[:100]!r}; "
                "forward the same port if you reach this server through a tunnel.",
            )

    def _check_token(self, scope: Scope) -> None:
        if self.token is None:
            return
        for given in (_query_token(scope), HTTPConnection(scope).cookies.get(self._cookie_name)):
            if given is not None and hmac.compare_digest(given.encode(), self.token.encode()):
                return
        raise RequestError(
            401, "This server needs the token that `nas dashboard` printed: open the address it printed."
        )

    @property
    def _cookie_name(self) -> str:
        """Cookies are the same for all ports of a host."""
        return f"mixfront_{self.address.port}"

    def _cookie(self) -> str:
        return f"{self._cookie_name}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def check_path(scope: Scope) -> None:
    """Raise `RequestError` for a path that no page of this server has: too long, with a NUL, or with an encoded slash."""
    path, raw = str(scope["path"]), bytes(scope.get("raw_path") or b"").lower()
    if len(raw) > MAX_PATH_CHARS or "\0" in path or b"%2f" in raw or b"%5c" in raw or "\\" in path:
        raise RequestError(404, "There is no such page on this server.")


def check_origin(headers: Headers) -> None:
    """Raise `RequestError` unless a request that writes comes from a page of this server."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and site is None:
        raise RequestError(403, "A request that writes needs the header `Origin` with the address of this server.")
    if origin is not None and origin.lower().partition("://")[2] != headers.get("host", "").lower():
        raise RequestError(403, "Only pages of this server may write; the header `Origin` names another.")
    if site is not None and site != "same-origin":
        raise RequestError(403, "Only pages of this server may write; the header `Sec-Fetch-Site` names another.")


def _query_token(scope: Scope) -> str | None:
    values = parse_qs(bytes(scope["query_string"]).decode("latin-1")).get("token")
    return values[0] if values else None
