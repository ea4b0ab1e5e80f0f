"""The contract of every vendor's adapter. A new vendor subclasses `ProviderContract` and supplies fixtures only."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import get_args
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from quantx.core.fact_datasets import DATASETS
from quantx.core.model import Payload, Window
from quantx.core.prices import PRICES
from quantx.core.reply_places import SoughtRow, find_row
from quantx.core.symbols import MARKETS, parse_symbol, venue_of
from quantx.errors import MalformedPayload, ProviderError
from quantx.providers.page_frames import read_pages
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, PriceBasis, Provider, Request, VendorFrames
from quantx.settings import parse_quota

HTML = b"<!doctype html><html><head><title>Sign in</title></head><body>Loading...</body></html>"
SHAPES = [
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'"text"',
    b"[[]]",
    b'{"data": []}',
    b"\xff\xfe\x00",
    b"[" * 5000,
    HTML,
]


class ProviderContract:
    """The contract. Fixtures to supply: `provider`, `recorded`, `empty`, `replying`, `window`."""

    # Those of SHAPES that mean "no rows" at this vendor.
    empty_bodies: tuple[bytes, ...] = ()

    @pytest.fixture
    def provider(self) -> Provider:
        """A provider without a vendor: `normalize` must need neither a connection nor a clock."""
        raise NotImplementedError

    @pytest.fixture
    def recorded(self) -> list[Payload]:
        """Good replies, for two symbols at least, with bars and with actions among them."""
        raise NotImplementedError

    @pytest.fixture
    def empty(self) -> list[Payload]:
        """Replies without rows. At least one."""
        raise NotImplementedError

    @pytest.fixture
    def replying(self) -> Callable[[bytes], Provider]:
        """Returns a provider whose vendor replies to every request with these bytes and HTTP 200."""
        raise NotImplementedError

    @pytest.fixture
    def window(self) -> Window:
        """Any window of a recorded symbol."""
        raise NotImplementedError

    def test_its_capabilities_are_sensible(self, provider: Provider) -> None:
        can = provider.capabilities
        assert re.fullmatch(r"[a-z][a-z0-9_]*", can.source)
        assert can.timeframes
        assert set(can.timeframes) <= {"1d", "1m"}
        assert can.markets
        assert set(can.markets) <= set(MARKETS)
        assert can.symbols_per_request >= 1
        assert all(1 <= can.symbols_at_once(timeframe) <= can.symbols_per_request for timeframe in can.timeframes)
        assert can.price_basis in get_args(PriceBasis)
        assert isinstance(can.needs_key, bool)
        assert can.datasets
        assert set(can.datasets) <= {"bars", "actions", *DATASETS}
        assert parse_quota(can.quota) is not None

    def test_frames_have_the_declared_columns(self, provider: Provider, recorded: list[Payload]) -> None:
        frames = [provider.normalize(reply) for reply in recorded]
        for read in frames:
            check_schema(read)
        assert any(len(read.bars) for read in frames)
        # A vendor of fully adjusted prices sends no actions.
        assert any(len(read.actions) for read in frames) == (provider.capabilities.price_basis != "fully_adjusted")

    def test_sessions_and_stamps_are_never_missing(self, provider: Provider, recorded: list[Payload]) -> None:
        for reply in recorded:
            read = provider.normalize(reply)
            assert read.bars.select("symbol", "time", "date").null_count().row(0) == (0, 0, 0)
            assert read.actions.drop("paid_in").null_count().row(0) == (0, 0, 0, 0)
            assert {*read.bars["symbol"], *read.actions["symbol"]} <= set(reply.symbol.split(","))
            assert read.actions.filter(~pl.col("kind").is_in(["split", "dividend"]) | (pl.col("value") <= 0)).is_empty()

    def test_reading_twice_gives_the_same_and_changes_nothing(
        self, provider: Provider, recorded: list[Payload]
    ) -> None:
        for reply in recorded:
            before = (replace(reply), hashlib.sha256(reply.body).hexdigest())
            first, second = provider.normalize(reply), provider.normalize(replace(reply))
            assert first.bars.equals(second.bars)
            assert first.actions.equals(second.actions)
            assert first.currency == second.currency
            assert (reply, reply.sha256) == before

    def test_the_order_of_reading_does_not_matter(self, provider: Provider, recorded: list[Payload]) -> None:
        forwards = [provider.normalize(reply) for reply in recorded]
        backwards = [provider.normalize(reply) for reply in reversed(recorded)][::-1]
        for one, other in zip(forwards, backwards, strict=True):
            assert one.bars.equals(other.bars)
            assert one.actions.equals(other.actions)

    def test_many_replies_at_once_are_those_of_each(self, provider: Provider, recorded: list[Payload]) -> None:
        """Broken ones among them cost only themselves: their errors, and the rows of the others, are the same."""
        chance, replies = random.Random(3), list[Payload]()
        for reply in recorded:
            body = bytearray(reply.body)
            body[chance.randrange(len(body))] = chance.randrange(256)
            replies += [reply, replace(reply, body=bytes(body)), replace(reply, body=reply.body[:-9])]
        frames = read_pages(provider, replies)
        symbols = pl.Series([symbol for _, symbol in frames.parts], dtype=pl.String)
        pages = pl.Series([page for page, _ in frames.parts], dtype=pl.Int64)

        def rows_of(page: int, rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
            named = rows.with_columns(symbols.gather(rows["part"]).alias("symbol"), pages.gather(rows["part"]))
            return named.filter(pages.gather(rows["part"]) == page).select(columns)

        for number, (reply, page) in enumerate(zip(replies, frames.pages, strict=True)):
            if isinstance(page, ProviderError):
                with pytest.raises(MalformedPayload) as alone_malformed:
                    provider.normalize(reply)
                assert str(alone_malformed.value) == str(page)
                continue
            alone = provider.normalize(reply)
            assert (page.currency, page.notes, page.drift) == (alone.currency, alone.notes, alone.drift)
            assert (page.last_trade, page.has_rows) == (alone.last_trade, alone.has_rows)
            for rows, own in ((frames.bars, alone.bars), (frames.actions, alone.actions)):
                assert rows_of(number, rows, own.columns).equals(own)
            assert rows_of(number, frames.rejected, alone.rejected.columns).equals(alone.rejected)
        assert any(isinstance(page, MalformedPayload) for page in frames.pages)

    def test_a_row_stands_at_its_place_in_the_reply(self, provider: Provider, recorded: list[Payload]) -> None:
        """Whatever the form of the reply, `quantx quarantine show` finds a row of it, with all of its values."""
        for reply in recorded:
            bars = provider.normalize(reply).bars
            for row in bars.gather_every(max(1, len(bars) // 3)).to_dicts():
                values = [row[name] for name in (*PRICES, "volume") if row[name] is not None]
                zone = ZoneInfo(venue_of(row["symbol"]).timezone)
                place = find_row(reply.body, SoughtRow(row["symbol"], row["date"], row["time"], zone, values))
                assert place is not None
                assert place.agreeing >= len(values)

    def test_nothing_there_is_an_empty_frame_and_no_error(self, provider: Provider, empty: list[Payload]) -> None:
        assert empty
        for reply in empty:
            read = provider.normalize(reply)
            check_schema(read)
            assert read.bars.is_empty()

    @pytest.mark.parametrize("body", SHAPES, ids=lambda body: repr(body[:12]))
    def test_another_form_is_malformed(self, provider: Provider, recorded: list[Payload], body: bytes) -> None:
        if body in self.empty_bodies:
            assert provider.normalize(replace(recorded[0], body=body)).bars.is_empty()
            return
        self._is_malformed(provider, replace(recorded[0], body=body))

    @pytest.mark.parametrize("tenths", range(10))
    def test_a_truncated_reply_is_malformed(self, provider: Provider, recorded: list[Payload], tenths: int) -> None:
        for reply in recorded:
            self._is_malformed(provider, replace(reply, body=reply.body[: len(reply.body) * tenths // 10]))
            self._is_malformed(provider, replace(reply, body=reply.body.rstrip()[:-1]))

    def test_random_bytes_are_malformed(self, provider: Provider, recorded: list[Payload]) -> None:
        chance = random.Random(1)
        for length in (1, 7, 64, 4096) * 5:
            self._is_malformed(provider, replace(recorded[0], body=chance.randbytes(length)))

    def test_broken_bytes_within_are_malformed_or_read(self, provider: Provider, recorded: list[Payload]) -> None:
        chance = random.Random(2)
        for reply in recorded:
            for _ in range(40):
                body = bytearray(reply.body)
                body[chance.randrange(len(body))] = chance.randrange(256)
                try:
                    check_schema(provider.normalize(replace(reply, body=bytes(body))))
                except MalformedPayload:
                    continue

    def test_another_symbols_data_is_malformed(self, provider: Provider, recorded: list[Payload]) -> None:
        symbols = {reply.symbol for reply in recorded}
        assert len(symbols) > 1, "two symbols are needed for this"
        for reply in recorded:
            other = next(r for r in recorded if r.symbol != reply.symbol)
            self._is_malformed(provider, replace(reply, body=other.body))

    @pytest.mark.parametrize("body", SHAPES, ids=lambda body: repr(body[:12]))
    def test_fetching_nonsense_is_a_providers_error_with_the_evidence(
        self, replying: Callable[[bytes], Provider], recorded: list[Payload], window: Window, body: bytes
    ) -> None:
        provider, symbol = replying(body), parse_symbol(recorded[0].symbol.partition(",")[0])
        can = provider.capabilities
        request = Request(can.datasets[0], can.timeframes[0], (symbol,), window)
        if body in self.empty_bodies:
            assert [*provider.fetch(request)][-1].complete == {symbol}
            return
        with pytest.raises(ProviderError) as caught:
            list(provider.fetch(request))
        if isinstance(caught.value, MalformedPayload):
            assert caught.value.payload.body == body
            assert caught.value.payload.symbol == symbol

    @staticmethod
    def _is_malformed(provider: Provider, reply: Payload) -> None:
        with pytest.raises(MalformedPayload) as caught:
            provider.normalize(reply)
        assert caught.value.payload is reply
        assert reply.symbol in str(caught.value) or "asked for" in str(caught.value)


def check_schema(read: VendorFrames) -> None:
    assert dict(read.bars.schema) == VENDOR_BARS
    assert dict(read.actions.schema) == VENDOR_ACTIONS
    assert read.currency is None or re.fullmatch(r"[A-Za-z]{3}", read.currency)
