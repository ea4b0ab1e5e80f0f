"""The ECB's XML of reference rates: its days and currencies, which document serves a window, and what is none."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from quantx.core.model import Payload, Window
from quantx.errors import MalformedPayload
from quantx.providers.ecb import Ecb
from quantx.providers.protocol import Request
from quantx.testing.stub_vendor import Answer, NoClock, StoppedClock, stub_vendor

HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?><gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
    b' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><gesmes:subject>Reference rates</gesmes:subject>'
    b"<gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender><Cube>"
)
# 1999-01-04 as published (eurofxref-hist), some of its currencies; the other days have that form, and values like it.
BODY = (
    HEAD
    + b'<Cube time="2024-03-18"><Cube currency="USD" rate="1.0892"/><Cube currency="JPY" rate="162.54"/></Cube>'
    + b"<Cube time='2022-12-30'><Cube currency='USD' rate='1.0666'/><Cube currency='HRK' rate='7.5365'/></Cube>"
    + b'<Cube time="1999-01-04"><Cube currency="USD" rate="1.1789"/><Cube currency="JPY" rate="133.73"/>'
    + b'<Cube currency="GBP" rate="0.7111"/></Cube></Cube></gesmes:Envelope>'
)
INVERTED = BODY.replace(
    b'rate="162.54"/>',
    b'rate="0.0062"/><Cube currency="DKK" rate="0.1341"/><Cube currency="SEK" rate="0.0886"/>',
)


def payload(body: bytes, status: int = 200) -> Payload:
    now = datetime(2026, 1, 16, tzinfo=UTC)
    url = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.xml"
    return Payload("EUR", url, status, now, content_type="text/xml", body=body)


@pytest.fixture
def provider() -> Ecb:
    return Ecb(None, NoClock())  # type: ignore[arg-type]


def test_a_day_has_a_row_per_currency_and_is_public_at_four_in_frankfurt(provider: Ecb) -> None:
    frames = provider.normalize_facts(payload(BODY))
    rates = {(day, quote): rate for day, quote, rate in frames.rows.select("date", "quote", "rate").iter_rows()}
    assert (rates[date(1999, 1, 4), "USD"], rates[date(1999, 1, 4), "GBP"]) == (1.1789, 0.7111)
    assert rates[date(2022, 12, 30), "HRK"] == 7.5365
    assert (len(rates), frames.rows["base"].unique().to_list(), frames.drift) == (7, ["EUR"], ())
    public = dict(frames.rows.select("date", "public_at").unique().iter_rows())
    assert public[date(1999, 1, 4)] == datetime(1999, 1, 4, 15, tzinfo=UTC)


def test_a_currency_without_a_rate_has_no_row_and_a_new_attribute_is_a_finding(provider: Ecb) -> None:
    body = BODY.replace(b'rate="162.54"', b'rate="N/A"').replace(b'rate="0.7111"', b'rate="0.7111" multiplier="1"')
    frames = provider.normalize_facts(payload(body))
    assert frames.rows.filter(date=date(2024, 3, 18))["quote"].to_list() == ["USD"]
    assert [(each.path, each.kind) for each in frames.drift] == [("[].rates[].multiplier", "added")]


@pytest.mark.parametrize(
    ("body", "fact"),
    [
        (b"<!DOCTYPE html><html><body>Maintenance</body></html>", "sends a page"),
        (b"<html><body>Maintenance</body></html>", "without a day"),
        (BODY[:-30], "no whole XML"),
        (HEAD + b"</Cube></gesmes:Envelope>", "without a day"),
        (b'<!DOCTYPE x [<!ENTITY a "aa">]>' + BODY[38:], "no whole XML"),
        (BODY.replace(b"1.1789", b"1,1789"), "which is no rate"),
        (BODY.replace(b'"GBP" rate="0.7111"', b'"EUR" rate="0.8482"'), "of another base"),
        (INVERTED, "rates of 2024-03-18 are inverted"),
        (BODY.replace(b"1999-01-04", b"04.01.1999"), "no day in the form"),
        (BODY.replace(b'currency="GBP"', b'code="GBP"'), "no field 'currency'"),
        (b"Date,USD\n2024-03-18,1.0892\n", "no whole XML"),
    ],
)
def test_what_is_no_document_is_malformed(provider: Ecb, body: bytes, fact: str) -> None:
    with pytest.raises(MalformedPayload, match=fact):
        provider.normalize_facts(payload(body))
    assert isinstance(provider.drift(payload(body)), tuple)


@pytest.mark.parametrize(
    ("start", "document"),
    [(date(2026, 1, 15), "eurofxref-hist-90d.xml"), (date(2025, 10, 20), "eurofxref-hist.xml")],
)
def test_the_smallest_document_with_the_window_is_fetched(start: date, document: str) -> None:
    with stub_vendor(lambda question: Answer(BODY)) as vendor:
        provider = Ecb(vendor.session(key=None), StoppedClock())
        (page,) = provider.fetch(Request("fx_rates", "1d", ("EUR",), Window(start, date(2026, 1, 15))))
    assert [question.path for question in vendor.asked] == [f"/stats/eurofxref/{document}"]
    assert page.complete == {"EUR"}
