"""No key of a vendor over plain HTTP reaches a payload, the raw zone, an error or a log."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from datetime import date
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from quantx.core.model import Payload, Window
from quantx.errors import ConfigError, ProviderError
from quantx.lake.raw import RawPage, raw_path, read_pages, write_batch
from quantx.lake.store import open_location
from quantx.providers.http import file_name
from quantx.providers.http_provider import HttpProvider
from quantx.providers.protocol import Request
from quantx.providers.registry import VENDORS, open_providers, quotas_of, why_absent
from quantx.settings import Settings, load_settings
from quantx.testing.stub_vendor import KEY, Answer, StoppedClock, stub_vendor

WINDOW = Window(date(2026, 1, 5), date(2026, 1, 12))
OVER_HTTP = tuple(
    source
    for source, vendor in VENDORS.items()
    if vendor.keys and issubclass(vendor.adapter, HttpProvider)  # type: ignore[arg-type]
)
QUOTED = f"We have detected your API key as {KEY} and our limit is 25 requests per day"
ANSWERS = {
    "refused": Answer(json.dumps({"Information": QUOTED, "Error Message": QUOTED}).encode()),
    "a page": Answer(f"<html>apikey={quote(KEY, safe='')} &amp; {KEY}</html>".encode()),
    "unknown words": Answer(json.dumps({"Note": f"key {KEY}", "Error Message": f"key {KEY}"}).encode()),
    "JSON of PHP": Answer(json.dumps({"Note": QUOTED}).replace("/", r"\/").encode()),
    "401": Answer(QUOTED.encode(), 401),
    "402": Answer(QUOTED.encode(), 402),
    "404": Answer(QUOTED.encode(), 404),
    "429": Answer(QUOTED.encode(), 429),
    "503": Answer(QUOTED.encode(), 503),
    "redirect": Answer(b"", 302, {"Location": f"https://127.0.0.1:1/?apikey={KEY}"}),
    "cut": Answer(b"abc", length=100),
    "file": Answer(
        b"Date,Open,High,Low,Close,Volume\n2026-01-09,1,1,1,1,1\n",
        headers={"Content-Disposition": f"attachment; filename={KEY}"},
    ),
}  # fmt: skip


def settings_of(source: str, url: str) -> Settings:
    return Settings(**{f"{source}_base_url": url, f"{source}_api_key": SecretStr(KEY)})  # type: ignore[arg-type]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def assert_hidden(text: str) -> None:
    forms = {
        KEY,
        KEY.replace("/", r"\/"),
        quote(KEY, safe=""),
        quote(KEY),
        base64.b64encode(KEY.encode()).decode(),
        KEY[:9],
    }
    assert [form for form in forms if form in text] == []


@pytest.mark.parametrize("source", OVER_HTTP)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_key_is_sent_and_shown_nowhere(
    source: str, answer: Answer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with stub_vendor(lambda _: answer) as vendor:
        provider = open_providers(settings_of(source, vendor.url), StoppedClock())[source]
        provider.prepare()
        with pytest.raises(ProviderError) as caught:
            list(provider.fetch(Request("bars", "1d", ("AAPL",), WINDOW)))
        assert [asked.params[provider.key_param] for asked in vendor.asked] == [KEY]
    for error in chain(caught.value):
        assert_hidden(f"{error!s} {error!r} {error.__dict__!r} {error.args!r}")
        kept = getattr(error, "payload", None)
        if isinstance(kept, Payload):
            assert_hidden(f"{kept!r} {kept.request} {kept.body!r} {kept.content_type}")
            location = open_location("memory://")
            path = raw_path(source, "bars", "2026-01-02", "01RAW")
            write_batch(location, path, [RawPage(1, kept)])
            assert [assert_hidden(repr(row)) for row in read_pages(location, path)]
    printed = capsys.readouterr()
    assert_hidden(caplog.text + printed.out + printed.err)


@pytest.mark.parametrize("source", OVER_HTTP)
def test_no_vendor_that_needs_a_key_is_opened_without(source: str) -> None:
    assert source not in open_providers(Settings(), StoppedClock())
    assert f"QUANTX_{source.upper()}_API_KEY" in why_absent(source, Settings(), {})
    assert VENDORS[source].capabilities.needs_key


def test_nobody_is_reached_where_the_address_is_wrong() -> None:
    for source in OVER_HTTP:
        for url in ("http://127.0.0.1:1", "http://user:" + KEY + "@127.0.0.1:1", "ftp://127.0.0.1", "http://"):
            provider = open_providers(settings_of(source, url), StoppedClock())[source]
            with pytest.raises(ProviderError) as caught:
                list(provider.fetch(Request("bars", "1d", ("AAPL",), WINDOW)))
            for error in chain(caught.value):
                assert_hidden(str(error))


def test_a_short_key_is_not_sought_in_replies() -> None:
    with stub_vendor(b"demo text") as vendor:
        assert vendor.session(key="demo").get("/", {}).body == b"demo text"
        assert vendor.session(key="demo text").get("/", {}).body == b"**********"


def test_every_vendors_quota_is_one() -> None:
    assert {source: quota for source, quota in quotas_of(Settings()).items() if quota is None} == {}
    with pytest.raises((ConfigError, ValueError)):
        load_settings(fmp_quota="many")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, None),
        ("", None),
        ("inline", None),
        ("attachment; filename=aapl_us_d.csv", "aapl_us_d.csv"),
        ('attachment; filename="^spx_d.csv"', "^spx_d.csv"),
        ("attachment;filename=a\x00", "a\x00"),
    ],
)
def test_the_name_of_a_file_is_that_of_its_header(header: str | None, name: str | None) -> None:
    assert file_name(header) == name
