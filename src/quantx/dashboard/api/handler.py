"""The answers of the data API: parse, check the bound and the tag, query, send; an error is JSON, too."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from quantx.dashboard.api.bounds import AnswerTooLarge, check_answer, check_request
from quantx.dashboard.api.formats import NotAcceptable, chosen_format
from quantx.dashboard.api.openapi import openapi_document
from quantx.dashboard.api.resources import PREFIX, RESOURCES, Resource
from quantx.dashboard.api.tags import answer_tag, is_known
from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage
from quantx.errors import Busy, ConfigError, IncompleteData, LakeError, NotInLake, QuantxError
from quantx.reader.arguments import did_you_mean
from quantx.reader.known_names import collected_warnings
from quantx.reader.lake import Lake

_AT_ONCE = 2  # queries that run at a time; each may hold a whole answer in memory
_LONGEST_WAIT = 30.0  # seconds for one of these places
_LONGEST_HEADER = 2000  # characters
_READS = threading.BoundedSemaphore(_AT_ONCE)
# By class; the first that fits.
_STATUS: Sequence[tuple[type[QuantxError], int]] = (
    (AnswerTooLarge, 413),
    (NotAcceptable, 406),
    (NotInLake, 404),
    (ConfigError, 400),
    (LakeError, 503),
    (Busy, 503),
)


def answer(request: Request, dashboard: Dashboard) -> Response:
    """Return the rows of the query that the address names."""
    resource = RESOURCES.get(request.path_params["resource"])
    if resource is None:
        return unknown(request, dashboard)
    try:
        lake = dashboard.lake
    except QuantxError as error:
        return error_answer(503, type(error).__name__, str(error))
    try:
        return _answer(request, dashboard, lake, resource)
    except QuantxError as error:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return error_answer(status, type(error).__name__, str(error))


def unknown(request: Request, dashboard: Dashboard) -> Response:
    """Return an error with the addresses that there are."""
    alike = did_you_mean(request.url.path.rpartition("/")[2][:60], RESOURCES)
    known = ", ".join(each.path for each in RESOURCES.values())
    return error_answer(404, "NotFound", f"there is no address {request.url.path[:80]}{alike}; there are {known}")


def describe(request: Request, dashboard: Dashboard) -> Response:
    """Return the OpenAPI document."""
    return JSONResponse(openapi_document(), headers={"Cache-Control": "private, max-age=300"})


def _answer(request: Request, dashboard: Dashboard, lake: Lake, resource: Resource) -> Response:
    given = request.query_params.multi_items()
    arguments = resource.parameters.parse(given, others=("format",))
    form = chosen_format(request.query_params.getlist("format"), request.headers.get("accept"))
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    # The versions first: a commit meanwhile makes the tag older than the rows, never newer.
    versions = lake.versions(resource.table_names)
    if not resource.by_now(arguments):
        headers["ETag"] = answer_tag(resource.name, arguments, form.name, versions, dashboard.settings)
        if is_known(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
    most = dashboard.settings.dashboard_answer_values
    with _one_of_few(), collected_warnings() as warned:
        check_request(lake, resource, arguments, most)
        frame = resource.query(lake, **arguments)
        check_answer(frame, most)
        facts = _facts(resource, arguments, frame, versions, warned)
        written = form.written(frame, facts)
    headers |= _headers(form.name, resource, facts) | {"Content-Length": str(written.size)}
    return StreamingResponse(written.pieces(), headers=headers, media_type=form.media_type)


def _facts(
    resource: Resource,
    arguments: Mapping[str, Any],
    frame: pl.DataFrame,
    versions: Mapping[str, int],
    warned: Sequence[IncompleteData],
) -> dict[str, Any]:
    """Return what a client needs beside the rows: the warnings first."""
    return {
        "query": resource.name,
        "arguments": arguments,
        "warnings": [str(each) for each in dict.fromkeys(map(str, warned))],
        "tables": dict(versions),
        "columns": frame.columns,
        "row_count": frame.height,
    }


def _headers(form: str, resource: Resource, facts: Mapping[str, Any]) -> dict[str, str]:
    headers = {"Quantx-Rows": str(facts["row_count"])}
    if facts["warnings"]:
        text = json.dumps(facts["warnings"])  # in ASCII, as headers are
        headers["Quantx-Warnings"] = text if len(text) <= _LONGEST_HEADER else json.dumps(["see the JSON form"])
    if form != "json":
        headers["Content-Disposition"] = f'attachment; filename="{resource.name}.{form}"'
    return headers


def error_answer(status: int, kind: str, message: str) -> JSONResponse:
    """Return an error with the fact and the next step."""
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "30"
    return JSONResponse({"error": {"status": status, "kind": kind, "message": message}}, status, headers)


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Wait for one of the places of queries; raise Busy after half a minute."""
    if not _READS.acquire(timeout=_LONGEST_WAIT):
        raise Busy(f"{_AT_ONCE} other queries have been running for {_LONGEST_WAIT:.0f} seconds; try again later")
    try:
        yield
    finally:
        _READS.release()


PAGES = (
    WebPage(path=f"{PREFIX}/openapi.json", handler=describe),
    WebPage(path=f"{PREFIX}/{{resource}}", handler=answer),
    WebPage(path="/api/{rest:path}", handler=unknown),
)
