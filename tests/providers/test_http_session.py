"""Requests over plain HTTP: complete replies, and the errors of all others."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pytest

from quantx.errors import MalformedPayload, RateLimited, TransientProviderError
from quantx.providers.http import HttpSession
from quantx.testing.stub_vendor import Answer, stub_vendor


def test_a_reply_is_kept_as_it_came() -> None:
    headers = {"Content-Type": "text/csv", "Content-Disposition": "attachment; filename=a.csv"}
    with stub_vendor(lambda _: Answer(b"\xff\x00abc", 404, headers)) as vendor:
        reply = vendor.session().get("/a/b", {"s": "^spx", "i": "d"})
    assert (reply.status, reply.body, reply.content_type, reply.file_name) == (404, b"\xff\x00abc", "text/csv", "a.csv")
    assert reply.url == f"{vendor.url}/a/b?s=%5Espx&i=d"
    assert reply.vendor_time == datetime(2026, 1, 16, 11, 59, 30, tzinfo=UTC)
    kept = reply.as_payload("AAPL", datetime(2026, 1, 16, 12, tzinfo=UTC))
    assert (kept.symbol, kept.request, kept.status, kept.body) == ("AAPL", reply.url, 404, reply.body)
    assert kept.vendor_time == reply.vendor_time


@pytest.mark.parametrize(("header", "wait"), [({}, None), ({"Retry-After": "7"}, 7.0), ({"Retry-After": "soon"}, None)])
def test_too_many_requests(header: dict[str, str], wait: float | None) -> None:
    with stub_vendor(lambda _: Answer(b"slow down", 429, header)) as vendor, pytest.raises(RateLimited) as caught:
        vendor.session().get("/", {})
    assert caught.value.retry_after == wait


def test_an_outage_may_pass() -> None:
    for answer in (Answer(b"", 500), Answer(b"<html>", 503), Answer(b"abc", length=10)):
        with stub_vendor(lambda _, said=answer: said) as vendor, pytest.raises(TransientProviderError):
            vendor.session().get("/", {})


def test_a_reply_that_trickles_in_for_ever_is_given_up() -> None:
    with stub_vendor(lambda _: Answer(b"a" * 1000, trickle=0.02)) as vendor:
        session = HttpSession("Stub", vendor.url, longest_transfer=0.2)
        with pytest.raises(TransientProviderError, match="not whole"):
            session.get("/", {})


def test_a_reply_has_a_largest_size_unpacked() -> None:
    bomb = gzip.compress(b"0" * 2_000_000)
    assert len(bomb) < 5000
    with stub_vendor(lambda _: Answer(bomb, headers={"Content-Encoding": "gzip"})) as vendor:
        session = HttpSession("Stub", vendor.url, largest_body=1_000_000)
        with pytest.raises(MalformedPayload, match="larger than"):
            session.get("/", {})


def test_a_redirect_is_not_followed() -> None:
    with stub_vendor(lambda _: Answer(b"", 302, {"Location": "/elsewhere"})) as vendor:
        assert vendor.session().get("/here", {}).status == 302
    assert [asked.path for asked in vendor.asked] == ["/here"]
