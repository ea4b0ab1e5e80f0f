"""The web application: routes, static files, the guard before them, and the answers to errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import cast

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from quantx.dashboard.actions import DONE, Action, is_request_id, parse_form, run_action, with_outcome
from quantx.dashboard.api.handler import error_answer
from quantx.dashboard.context import Dashboard
from quantx.dashboard.guard import HEADERS, Guard
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.pages import ACTIONS, PAGES
from quantx.dashboard.sign_in import EasyAuth, Refused, WebSignIn
from quantx.errors import ConfigError, LakeError, MissingLake, NotInLake, QuantxError, QueueError, StateError
from quantx.settings import Settings

log = structlog.get_logger()
_BODY_WAIT = 20.0  # seconds for a form to arrive
_TITLES = {
    400: "This request is not complete",
    403: "Not allowed",
    404: "There is no such page",
    405: "Not allowed",
    408: "Too slow",
    413: "Too large",
    421: "Another address",
    500: "An error of this program",
    503: "Not available now",
}


def create_app(
    dashboard: Dashboard,
    sign_in: WebSignIn,
    pages: Sequence[WebPage] = PAGES,
    actions: Sequence[Action] = ACTIONS,
) -> Starlette:
    """Return the application with all pages and actions of the dashboard."""
    static = cast(Path, resources.files("quantx.dashboard") / "static")
    routes: list[BaseRoute] = [Mount("/static", StaticFiles(directory=static))]
    routes += [Route(page.path, _page(page, dashboard), methods=["GET"]) for page in pages]
    routes += [Route(f"/actions/{each.name}", _action(each, dashboard), methods=["POST"]) for each in actions]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        dashboard.begin()
        yield
        await run_in_threadpool(dashboard.close)

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, sign_in=sign_in, answer=_refused),
            # Level 9 takes 35 times as long for an Arrow stream, and saves 5 % more.
            Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5),
        ],
        exception_handlers={
            HTTPException: _http_problem,
            Refused: _refused,
            QuantxError: _problem,
            Exception: _bug,
        },
        lifespan=lifespan,
    )
    app.state.navigation = [(page.path, page.title) for page in pages if page.title]
    app.state.sections = {page.path.split("/")[1] for page in pages}
    app.state.actions = {action.name: action for action in actions}
    return app


def easy_auth_of(settings: Settings) -> EasyAuth:
    """Return the sign-in of Azure; ConfigError where a setting is missing: then no request would be answered."""
    if not settings.dashboard_hosts:
        raise ConfigError("dashboard_hosts is empty; set it to the host name under which the dashboard is reached")
    if not (settings.dashboard_readers or settings.dashboard_operators):
        raise ConfigError("dashboard_readers and dashboard_operators are empty; name the groups that may sign in")
    return EasyAuth(settings.dashboard_hosts, settings.dashboard_readers, settings.dashboard_operators)


def _page(page: WebPage, dashboard: Dashboard) -> Callable[[Request], Awaitable[Response]]:
    def answer(request: Request) -> Response:
        done = request.query_params.get(DONE, "")
        if is_request_id(done):
            request.state.notice = dashboard.from_state(lambda platform: platform.state.audit.find(done))
        return page.handler(request, dashboard)

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(partial(answer, request))

    return endpoint


def _action(action: Action, dashboard: Dashboard) -> Callable[[Request], Awaitable[Response]]:
    def answer(request: Request, body: bytes) -> Response:
        form, back = parse_form(body, action, request.state.user, request.state.form_token)
        with dashboard.operator() as platform:
            if platform is None:
                raise StateError(f"{dashboard.no_database}. Nothing was changed; send the form again later")
            run_action(action, form, platform)
        return RedirectResponse(with_outcome(back, form.request_id), 303)

    async def endpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(_BODY_WAIT):
                body = await request.body()
        except (TimeoutError, ClientDisconnect):
            raise HTTPException(408, "The form did not arrive whole. Load the page again.") from None
        return await run_in_threadpool(partial(answer, request, body))

    return endpoint


def _refused(request: Request, error: Exception) -> Response:
    refused = cast(Refused, error)
    return _answer(request, refused.status, str(refused))


def _http_problem(request: Request, error: Exception) -> Response:
    problem = cast(HTTPException, error)
    texts = {404: "Use the navigation, or go back.", 405: "This address has no such method."}
    return _answer(request, problem.status_code, texts.get(problem.status_code, problem.detail))


def _problem(request: Request, error: Exception) -> Response:
    """Answer an error that the program has foreseen: its text states the fact and the next step."""
    if isinstance(error, NotInLake):
        return _answer(request, 404, str(error))
    if isinstance(error, MissingLake | LakeError | StateError | QueueError):
        return _answer(request, 503, str(error))
    return _answer(request, 400, str(error))


def _bug(request: Request, error: Exception) -> Response:
    log.error("dashboard.error", path=request.url.path, error_class=type(error).__name__)
    response = _answer(request, 500, "The log of the process has the details. The other pages work.")
    response.headers.update(HEADERS)  # this answer does not pass the guard
    return response


def _answer(request: Request, status: int, text: str) -> Response:
    if request.url.path.startswith("/api/"):
        return error_answer(status, "Refused" if status < 500 else "Failed", text)
    title = _TITLES.get(status, _TITLES[400])
    return rendered(request, "problem.html", title=title, status=status, text=text)
