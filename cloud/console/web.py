"""The console as a web application: who may, what is asked, and what is answered.

    1. who: the session of the cookie; without one there is the login, and nothing else
    2. for an order: from this site, within the limits of size and time, with the session's token
    3. the page or the order, in a thread: it asks the store
    4. the answer: a page, another place, or an error with its reason code

`cloud.console.server` puts the headers on every answer.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cloud import journal
from cloud.console import deeds, operators, pages
from cloud.console.attempts import Attempts
from cloud.console.feed import Feed
from cloud.console.forms import Form, invalid
from cloud.console.reading import read_form
from cloud.console.rendering import FOLDER, Rendering
from cloud.console.sessions import TOKEN_BYTES, Session, Sessions, Visitors, equal
from cloud.console.statuses import status_of
from cloud.console.visit import Answer, Desk, Page, Visit
from cloud.errors import CloudError, CloudReason, RequestError
from content.problems import ContentError

SESSION = "__Host-bulkhead-session"
VISITOR = "__Host-bulkhead-visitor"
SEE_OTHER = 303
Handler = Callable[[Visit], Answer]
Endpoint = Callable[[Request], Awaitable[Response]]

PAGES: dict[str, Handler] = {
    "/": pages.fleet,
    "/rollouts": pages.rollout_list,
    "/rollouts/{content_hash}": pages.rollout,
    "/crashes": pages.crash_list,
    "/crashes/{number}": pages.incident,
    "/detections": pages.detections,
    "/quarantine": pages.quarantine,
    "/policies": pages.policy_list,
    "/audit": pages.audit_log,
}
DEEDS: dict[str, Handler] = {
    "/push": deeds.push_signed,
    "/rollouts/{content_hash}/promote": deeds.promote,
    "/rollouts/{content_hash}/pause": deeds.pause,
    "/rollouts/{content_hash}/resume": deeds.resume,
    "/rollouts/{content_hash}/halt": deeds.halt,
    "/policies/set": deeds.set_policy,
    "/policies/group": deeds.set_group,
}
UPLOADS = {"/push"}
STATIC = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Console:
    """The application, and what it remembers: sessions and failed logins."""

    def __init__(self, desk: Desk) -> None:
        self.feed = Feed(desk)
        self._desk = desk
        self._limits = desk.limits
        self._sessions = Sessions(desk.limits)
        self._attempts = Attempts(desk.limits)
        self._visitors = Visitors()
        self._rendering = Rendering()
        self._logins = asyncio.Semaphore(desk.limits.logins_at_once)
        self._uploads = asyncio.Semaphore(desk.limits.uploads_at_once)

    def application(self) -> Starlette:
        """For an ASGI server."""
        routes = [
            Route("/login", self._told(self._login), methods=["GET", "POST"]),
            Route("/logout", self._told(self._logout), methods=["POST"]),
            Route("/detections/stream", self._told(self._stream), methods=["GET"]),
            *(Route(path, self._told(self._page(one))) for path, one in PAGES.items()),
            *(
                Route(path, self._told(self._deed(path, one)), methods=["POST"])
                for path, one in DEEDS.items()
            ),
            *(Route(f"/static/{name}", _static(name, kind)) for name, kind in STATIC.items()),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._no_page})

    # 1. Who.

    def _session(self, request: Request, *, used: bool = True) -> Session | None:
        value = request.cookies.get(SESSION)
        if value is None:
            return None
        known = operators.read(self._desk.cloud)
        return self._sessions.find(value, known, time.monotonic(), used=used)

    async def _login(self, request: Request) -> Response:
        cookie = request.cookies.get(VISITOR) or secrets.token_urlsafe(TOKEN_BYTES)
        token = self._visitors.token(cookie)
        if request.method == "GET":
            answer = self._shown(Page("login.html", {"token": token}), None)
            _put(answer, VISITOR, cookie)
            return answer
        form = await self._form(request, token)
        value = await self._prove(form, request.client.host if request.client else "")
        answer = RedirectResponse("/", SEE_OTHER)
        _put(answer, SESSION, value)
        return answer

    async def _prove(self, form: Form, address: str) -> str:
        """A failure is counted before the password is looked at, so that haste gains nothing."""
        name, now = form.text("name"), time.monotonic()
        if not self._attempts.allowed(name, address, now):
            raise RequestError(
                CloudReason.LOGIN_THROTTLED, "too many logins have failed; try again in minutes"
            )
        self._attempts.failed(name, address, now)
        async with self._logins:
            known = operators.read(self._desk.cloud)
            found = await asyncio.to_thread(operators.proven, known, name, form.text("password"))
        if found is None:
            journal.warning("login_refused", operator=name, address=address)
            raise RequestError(CloudReason.LOGIN_REFUSED, "no operator of this name and password")
        self._attempts.succeeded(name, address)
        journal.info("login", operator=name, address=address)
        return self._sessions.begin(found, time.monotonic())

    async def _logout(self, request: Request) -> Response:
        session = self._session(request)
        if session is not None:
            await self._form(request, session.form_token)
            self._sessions.end(request.cookies[SESSION])
        return RedirectResponse("/login", SEE_OTHER)

    # 2. For an order.

    async def _form(self, request: Request, token: str, *, upload: bool = False) -> Form:
        if not _from_here(request):
            raise invalid("sent from another site")
        form = await read_form(request, self._limits, upload=upload)
        if not equal(form.fields.get("token", ""), token):
            raise invalid("without the token of your session; go back, and load the page again")
        return form

    # 3. The page or the order.

    def _page(self, handler: Handler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return RedirectResponse("/login", SEE_OTHER)
            visit = Visit(self._desk, session, request.path_params, dict(request.query_params))
            return self._shown(await asyncio.to_thread(handler, visit), session)

        return endpoint

    def _deed(self, path: str, handler: Handler) -> Endpoint:
        async def carried_out(request: Request, session: Session) -> Response:
            form = await self._form(request, session.form_token, upload=path in UPLOADS)
            visit = Visit(self._desk, session, request.path_params, form=form)
            answer = await asyncio.to_thread(handler, visit)
            journal.info("order", operator=visit.operator, path=request.url.path)
            return self._shown(answer, session)

        async def endpoint(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return RedirectResponse("/login", SEE_OTHER)
            if path not in UPLOADS:
                return await carried_out(request, session)
            async with self._uploads:
                return await carried_out(request, session)

        return endpoint

    async def _stream(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return Response(status_code=204)  # the browser stops asking
        asked = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        after = int(asked) if asked.isdecimal() and len(asked) < len(str(2**63)) else 0
        self.feed.take(session)

        def lasts() -> bool:
            return self._session(request, used=False) is session

        return _Events(self.feed, session, self.feed.stream(lasts, after))

    # 4. The answer.

    def _shown(self, answer: Answer, session: Session | None) -> Response:
        if not isinstance(answer, Page):
            if session is not None:
                session.note = answer.note
            return RedirectResponse(answer.location, SEE_OTHER)
        common = {
            "operator": session.operator.name if session else None,
            "form_token": session.form_token if session else "",
            "note": session.take_note() if session else "",
        }
        text = self._rendering.page(answer.template, {**common, **answer.values})
        return HTMLResponse(text, answer.status)

    def _told(self, endpoint: Endpoint) -> Endpoint:
        async def answered(request: Request) -> Response:
            try:
                return await endpoint(request)
            except CloudError as error:
                return self._failed(request, error.reason, str(error))
            except ContentError as error:
                return self._failed(request, error.problems[0].reason, str(error))

        return answered

    def _failed(self, request: Request, reason: str, message: str) -> Response:
        try:
            session = self._session(request)
        except CloudError:
            session = None
        values = {"reason": reason, "message": message, "back": request.url.path}
        return self._shown(Page("error.html", values, status_of(reason)), session)

    async def _no_page(self, request: Request, _: Exception) -> Response:
        return self._failed(request, CloudReason.PAGE_UNKNOWN, "there is no such page, or no form")


class _Events(StreamingResponse):
    """A stream that is given back however it ends."""

    def __init__(self, feed: Feed, session: Session, content: Any) -> None:
        super().__init__(content, media_type="text/event-stream")
        self._feed, self._session = feed, session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed.give_back(self._session)


def _static(name: str, kind: str) -> Endpoint:
    content = (FOLDER / "static" / name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(content, media_type=kind)

    return endpoint


def _from_here(request: Request) -> bool:
    """What browsers say of where a form was sent from, if they say anything."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    ours = f"https://{request.headers.get('host', '')}"
    return origin in (None, ours) and site in ("same-origin", "none")


def _put(answer: Response, name: str, value: str) -> None:
    answer.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="strict")
