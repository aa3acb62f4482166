"""The live page: Starlette and server-sent events, on this machine only, read-only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronas.errors import RunError, require
from pronas.report._feed import Feed
from pronas.report._page import content_policy, page, run_name

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

HOST = "127.0.0.1"
#: Seconds between looks at the store, and between signs of life on a quiet connection.
POLL, HEARTBEAT = 0.25, 10.0

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def live_app(run: str | Path) -> Starlette:
    """Make the application: ``/`` is the page, ``/events`` the stream of changes; both only by GET.

    Requests whose Host is not this machine's own name are refused, so that no web site can read a run by DNS rebinding.

        >>> [route.path for route in live_app("a run that starts later").routes]
        ['/', '/events']

    Args:
        run: the run folder; it need not be there yet.

    Returns:
        A Starlette application, for any ASGI server.

    Raises:
        MissingExtraError: starlette is not installed.
    """
    require("starlette", "report")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse, StreamingResponse
    from starlette.routing import Route

    folder = Path(run)

    async def index(_request: Request) -> HTMLResponse:
        policy = content_policy(live=True) + "; frame-ancestors 'none'"
        html = page({"name": run_name(folder)}, live=True)
        return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": policy})

    async def events(request: Request) -> StreamingResponse:
        last = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return StreamingResponse(_stream(Feed(folder, last)), media_type="text/event-stream", headers=_HEADERS)

    return Starlette(
        routes=[Route("/", index, methods=["GET"]), Route("/events", events, methods=["GET"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)],
    )


async def _stream(feed: Feed) -> AsyncIterator[str]:
    """Send events as they come; the pause grows from nothing to ``POLL``."""
    yield "retry: 1000\n\n"
    quiet = 0.0
    try:
        while True:
            event = await asyncio.to_thread(feed.poll)
            quiet = 0.0 if event else quiet + POLL
            if event:
                yield event
            elif quiet >= HEARTBEAT:
                quiet = 0.0
                yield ":\n\n"  # lets both sides notice a broken connection
            await asyncio.sleep(POLL)
    finally:
        feed.close()


def watch(run: str | Path, port: int = 8477, ready: Callable[[str], None] = print) -> None:
    """Serve the live page of a run until interrupted.

    Args:
        run: the run folder; it need not be there yet.
        port: where to listen on the loopback interface; 0 picks a free one.
        ready: called with the page's address once it can be opened.

    Raises:
        RunError: it is a file, or the port is taken.
        MissingExtraError: starlette or uvicorn is not installed.
    """
    if Path(run).exists() and not Path(run).is_dir():
        raise RunError(f"{str(run)!r} is no run folder but a file; name the folder that a search writes")
    uvicorn: Any = require("uvicorn", "report")
    app = live_app(run)
    with _listen(port) as listener:
        config = uvicorn.Config(
            app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        ready(f"http://{HOST}:{listener.getsockname()[1]}/")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise RunError(f"cannot listen on port {port} ({error.strerror}); port 0 picks a free one") from error
    listener.listen(64)
    return listener
