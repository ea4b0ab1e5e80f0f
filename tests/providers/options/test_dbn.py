"""DBN of options: rows with known values, in each version, and files that are not what they claim."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import databento_dbn
import numpy as np
import polars as pl
import pytest

from quantx.errors import MalformedPayload
from quantx.providers.options.dbn_days import CONFLICT, DELETED, PARTIAL
from quantx.providers.options.dbn_definitions import CONTRADICTION
from quantx.providers.options.dbn_rows import NO_TRADE
from quantx.providers.options.symbology import AMBIGUOUS, NO_OPTION, REASONS, UNMAPPED
from quantx.sandbox.dbn_files import Records, compress, dbn_file, header, nanoseconds, records

from .opened import all_rows, opened, rejections

MONDAY = date(2025, 8, 4)
CALL, PUT = "SPY   250815C00640000", "SPY1  250815P00639500"
SYMBOLS = {CALL: [(MONDAY, MONDAY + timedelta(days=1), 7)], PUT: [(MONDAY, MONDAY + timedelta(days=1), 8)]}
CENT = 10**7
NOON = nanoseconds(MONDAY, 16 * 60)
VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])


def quotes(**columns: Any) -> Records:
    given: dict[str, Any] = {"instrument_id": [7, 8], "ts_recv": NOON, "bid_px_00": [15, 25], "ask_px_00": [16, 26]}
    return records("cbbo-1m", **(given | {"bid_sz_00": 3, "ask_sz_00": 4} | columns))


def file_of(schema: str, content: Records, symbols: Any = SYMBOLS, **facts: Any) -> bytes:
    return dbn_file(content, header(schema, symbols, first=MONDAY, **facts))


def compress_in_parallel(content: bytes) -> bytes:
    """Return zstd as pzstd writes it: a frame without content, then frames of a part each."""
    return b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"size" + compress(content[:99]) + compress(content[99:])


@VERSIONS
@pytest.mark.parametrize("pack", [bytes, compress, compress_in_parallel])
def test_quotes(version: int, pack: Callable[[bytes], bytes]) -> None:
    content = quotes(
        bid_px_00=[15 * CENT, 2**63 - 1],
        ask_px_00=[16 * CENT, 26 * CENT],
        price=[155 * CENT // 10, 2**63 - 1],
        size=[2, 0],
        ts_event=[NOON - 1500, 2**64 - 1],
    )
    member = opened(pack(file_of("cbbo-1m", content, version=version)))
    assert (member.facts.kind, member.facts.source, member.facts.schema) == ("quotes_1m", "databento", "cbbo-1m")
    assert (member.facts.first, member.facts.last) == (MONDAY, MONDAY)
    assert member.facts.rows == (2 if pack is bytes else None)
    noon = datetime(2025, 8, 4, 16, tzinfo=UTC)
    assert all_rows(member).rows() == [
        (MONDAY, "SPY250815C00640000", noon, 0.15, 0.16, 3, 4, 0.155, 2, noon - timedelta(microseconds=2)),
        (MONDAY, "SPY1250815P00639500", noon, None, 0.26, 3, 4, None, None, None),
    ]


def test_contracts_are_in_their_order_and_keep_an_adjusted_root_apart() -> None:
    contracts = opened(file_of("cbbo-1m", quotes())).contracts
    assert contracts.select("underlying", "root", "right", "strike", "multiplier", "settlement").rows() == [
        ("SPY", "SPY", "C", 640.0, 100.0, "PM"),
        ("SPY", "SPY1", "P", 639.5, None, "PM"),
    ]


def test_prices_are_the_nearest_floats_of_their_decimals() -> None:
    cents = np.arange(20_000)
    content = quotes(instrument_id=7, bid_px_00=cents * CENT, ask_px_00=cents * 1_234_567)
    rows = all_rows(opened(file_of("cbbo-1m", content)))
    assert rows["bid"].to_list() == [float(Decimal(int(each)) / 100) for each in cents]
    assert rows["ask"].to_list() == [float(Decimal(int(each) * 1_234_567).scaleb(-9)) for each in cents]


def test_an_id_is_another_contract_on_the_next_day() -> None:
    tuesday, wednesday = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
    symbols = {CALL: [(MONDAY, tuesday, 7), (tuesday, wednesday, 8)], PUT: [(tuesday, wednesday, 7)]}
    times = [NOON, NOON + 86_400 * 10**9, NOON + 86_400 * 10**9]
    content = quotes(instrument_id=[7, 7, 8], ts_recv=times, bid_px_00=1, ask_px_00=2)
    rows = all_rows(opened(file_of("cbbo-1m", content, symbols, days=2)))
    assert rows.select("date", "contract").rows() == [
        (MONDAY, "SPY250815C00640000"),
        (tuesday, "SPY1250815P00639500"),
        (tuesday, "SPY250815C00640000"),
    ]


def test_a_record_without_a_contract_is_rejected_with_its_reason() -> None:
    span = (MONDAY, MONDAY + timedelta(days=1))
    symbols = {CALL: [(*span, 7)], PUT: [(*span, 9)], "SPY   250815C00650000": [(*span, 9)], "ES.FUT": [(*span, 10)]}
    content = quotes(instrument_id=[7, 8, 9, 10, 7], ts_recv=[NOON, NOON, NOON, NOON, 2**64 - 1], bid_px_00=1,
                     ask_px_00=2)  # fmt: skip
    batches = list(opened(file_of("cbbo-1m", content, symbols)).batches())
    rejected = pl.concat([each.rejected for each in batches if each.rejected is not None])
    assert sum(len(each.rows) for each in batches) == 1
    assert rejected["reason"].to_list() == [
        REASONS[UNMAPPED],
        REASONS[AMBIGUOUS],
        REASONS[NO_OPTION],
        "the record has no time",
    ]
    assert json.loads(rejected["row"][0])["instrument_id"] == 8


def test_a_request_by_id_maps_ids_to_symbols() -> None:
    after = MONDAY + timedelta(days=1)
    by_id = [(7, CALL), (8, PUT)]
    mappings = [
        SimpleNamespace(
            raw_symbol=str(number), intervals=[SimpleNamespace(start_date=MONDAY, end_date=after, symbol=symbol)]
        )
        for number, symbol in by_id
    ]
    kinds = {"stype_in": databento_dbn.SType.INSTRUMENT_ID, "stype_out": databento_dbn.SType.RAW_SYMBOL}
    rows = all_rows(opened(file_of("cbbo-1m", quotes(), mappings=mappings, **kinds)))
    assert rows["contract"].to_list() == ["SPY250815C00640000", "SPY1250815P00639500"]


def test_symbology_beside_the_file_maps_what_its_header_does_not() -> None:
    content = file_of("cbbo-1m", quotes(), {})
    with pytest.raises(MalformedPayload, match=r"put the symbology\.json"):
        list(opened(content).batches())
    spans = {symbol: [{"d0": f"{a}", "d1": f"{b}", "s": f"{i}"}] for symbol, ((a, b, i),) in SYMBOLS.items()}
    symbology = json.dumps({"result": spans, "stype_out": "instrument_id"}).encode()
    assert len(all_rows(opened(content, symbology=symbology))) == 2


@VERSIONS
def test_trades(version: int) -> None:
    content = records("trades", version, instrument_id=[7, 7, 8], ts_recv=NOON, ts_event=[NOON - 1000, NOON, 2**64 - 1],
                      price=[15 * CENT, 1, 16 * CENT], size=[1, 1, 2], sequence=[1, 2, 3], publisher_id=[22, 22, 31],
                      action=[b"T", b"C", b"T"])  # fmt: skip
    member = opened(file_of("trades", content, version=version))
    noon = datetime(2025, 8, 4, 16, tzinfo=UTC)
    assert all_rows(member).rows() == [
        (MONDAY, "SPY250815C00640000", noon - timedelta(microseconds=1), 1, 22, 0.15, 1),
        (MONDAY, "SPY1250815P00639500", noon, 3, 31, 0.16, 2),
    ]
    assert rejections(opened(file_of("trades", content, version=version))) == [NO_TRADE]


@VERSIONS
def test_daily_bars_are_over_the_exchanges(version: int) -> None:
    content = records("ohlcv-1d", version, instrument_id=7, ts_event=nanoseconds(MONDAY), publisher_id=[20, 22, 23],
                      open=[1 * CENT, 2 * CENT, 3 * CENT], high=[4 * CENT, 9 * CENT, 5 * CENT],
                      low=[1 * CENT, 2 * CENT, 1 * CENT], close=[2 * CENT, 3 * CENT, 4 * CENT],
                      volume=[10, 30, 20])  # fmt: skip
    rows = all_rows(opened(file_of("ohlcv-1d", content, version=version)))
    assert rows.rows() == [(MONDAY, "SPY250815C00640000", 0.02, 0.09, 0.01, 0.03, 60)]
    content["volume"][2] = 2**64 - 1  # undefined: the sum is not known, and the bar breaks its rule
    assert all_rows(opened(file_of("ohlcv-1d", content, version=version)))["volume"].to_list() == [None]


def test_shorter_bars_make_a_day_only_where_they_cover_it() -> None:
    ends = [nanoseconds(MONDAY, 14 * 60), nanoseconds(MONDAY, 14 * 60), nanoseconds(MONDAY, 15 * 60)]
    content = records("ohlcv-1h", instrument_id=7, ts_event=ends, publisher_id=[20, 21, 20],
                      open=[1 * CENT, 2 * CENT, 3 * CENT], high=9 * CENT, low=[1 * CENT, 2 * CENT, 1 * CENT],
                      close=[2 * CENT, 3 * CENT, 4 * CENT], volume=[10, 30, 20])  # fmt: skip
    assert all_rows(opened(file_of("ohlcv-1h", content))).row(0)[2:] == (0.02, 0.09, 0.01, 0.04, 60)
    cut = file_of("ohlcv-1h", content, start=nanoseconds(MONDAY, 13 * 60))
    assert rejections(opened(cut)) == [PARTIAL]
    assert rejections(opened(file_of("ohlcv-1h", content, limit=3))) == [PARTIAL]


@VERSIONS
def test_open_interest_is_of_the_session_before_and_once_per_contract(version: int) -> None:
    undefined = 2**31 - 1 if version < 3 else 2**63 - 1
    early = nanoseconds(MONDAY, 11 * 60 + 30)
    content = records("statistics", version, instrument_id=[7, 7, 8, 7, 8], ts_recv=early, stat_type=[9, 9, 9, 4, 9],
                      quantity=[500, 500, undefined, 1, 20], publisher_id=[20, 21, 20, 20, 21],
                      update_action=[1, 1, 1, 1, 2])  # fmt: skip
    member = opened(file_of("statistics", content, version=version))
    friday, public_at = date(2025, 8, 1), datetime(2025, 8, 4, 11, 30, tzinfo=UTC)
    assert (member.facts.first, member.facts.last) == (friday, friday)
    assert all_rows(member).rows() == [(friday, "SPY250815C00640000", 500, public_at)]
    reasons = rejections(opened(file_of("statistics", content, version=version)))
    assert reasons == ["the record states no open interest", DELETED]


def test_open_interest_that_is_corrected_and_that_conflicts() -> None:
    early = nanoseconds(MONDAY, 11 * 60 + 30)
    content = records("statistics", instrument_id=[7, 7, 7, 8, 8], ts_recv=[early, early, early + 10**9, early, early],
                      stat_type=9, quantity=[500, 500, 501, 20, 21], update_action=1)  # fmt: skip
    member = opened(file_of("statistics", content))
    (batch,) = member.batches()
    later = datetime(2025, 8, 4, 11, 30, 1, tzinfo=UTC)
    assert batch.rows.select("open_interest", "public_at").rows() == [(501, later)]
    assert batch.rejected is not None
    assert batch.rejected["reason"].to_list() == [CONFLICT, CONFLICT]
    assert json.loads(batch.rejected["row"][0])["contract"] == "SPY1250815P00639500"


@VERSIONS
def test_definitions(version: int) -> None:
    expiration = nanoseconds(date(2025, 8, 15))
    content = records("definition", version, instrument_id=[7, 8, 7], ts_recv=NOON, expiration=expiration,
                      raw_symbol=[CALL.encode(), PUT.encode(), CALL.encode()], instrument_class=[b"C", b"P", b"P"],
                      strike_price=[640 * 10**9, 6395 * 10**8, 640 * 10**9],
                      contract_multiplier=[2**31 - 1, 150, 2**31 - 1])  # fmt: skip
    member = opened(file_of("definition", content, version=version))
    assert all_rows(member).select("contract", "multiplier", "deliverable", "settlement").rows() == [
        ("SPY250815C00640000", 100.0, "100 SPY", "PM"),
        ("SPY1250815P00639500", 150.0, None, "PM"),
    ]
    assert rejections(opened(file_of("definition", content, version=version))) == [CONTRADICTION]
    content["contract_multiplier"] = [0, -1, 0]  # states none
    assert all_rows(opened(file_of("definition", content, version=version)))["multiplier"].to_list() == [100.0, None]


def test_a_record_with_the_sending_time_is_longer() -> None:
    plain = quotes()
    longer = np.zeros(len(plain), np.dtype([*plain.dtype.descr, ("ts_out", "u8")]))
    for name in plain.dtype.names or ():
        longer[name] = plain[name]
    longer["length"] = longer.dtype.itemsize // 4
    assert len(all_rows(opened(file_of("cbbo-1m", longer, ts_out=True)))) == 2


@pytest.mark.parametrize(
    ("schema", "dataset", "fact"),
    [("mbp-1", "OPRA.PILLAR", "no table takes the schema mbp-1"), ("trades", "XNAS.ITCH", "no listed options")],
)
def test_what_no_table_takes_is_named_and_skipped(schema: str, dataset: str, fact: str) -> None:
    content = records(schema, instrument_id=[7], ts_recv=NOON)
    member = opened(file_of(schema, content, dataset=dataset))
    assert member.facts.kind is None
    assert fact in str(member.facts.skipped)
    assert list(member.batches()) == []


def test_a_file_of_metadata_only_has_no_rows() -> None:
    member = opened(file_of("cbbo-1m", quotes()[:0]))
    assert (member.facts.rows, list(member.batches())) == (0, [])


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "it is empty"),
        (b"<html><body>Sign in</body></html>", "it is a page of HTML"),
        (b'{"detail": "expired"}', "it is JSON"),
        (b"DBN\x09\x00\x00\x00\x00", "version 9"),
        (b"DBN\x03\xff\xff\xff\xff", "which no file has"),
        (b"DBN\x03\x10\x00\x00\x00short", "ends within its metadata"),
        (b"DBN\x03\x10\x00\x00\x00" + bytes(16), "damaged metadata"),
        (compress(b"DBN"), "is no DBN"),
    ],
)
def test_what_is_no_dbn_is_refused(content: bytes, fact: str) -> None:
    with pytest.raises(MalformedPayload, match=fact):
        opened(content, "a.dbn.zst")


@pytest.mark.parametrize("pack", [bytes, compress])
def test_a_file_that_is_cut_is_refused(pack: Callable[[bytes], bytes]) -> None:
    whole = pack(file_of("cbbo-1m", quotes(instrument_id=np.full(999, 7), bid_px_00=np.arange(999), ask_px_00=1)))
    for tenth in range(10):
        with pytest.raises(MalformedPayload):
            list(opened(whole[: len(whole) * tenth // 10], "a.dbn.zst").batches())


def test_records_of_another_schema_are_refused() -> None:
    content = file_of("cbbo-1m", quotes()) + records("mbp-1", instrument_id=[7]).tobytes()
    with pytest.raises(MalformedPayload, match="record 3 is not one of cbbo-1m"):
        list(opened(content).batches())


def test_a_bomb_of_records_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantx.providers.options.dbn_records._ALWAYS_READ", 1 << 20)
    content = compress(file_of("cbbo-1m", quotes(instrument_id=np.full(500_000, 7), bid_px_00=1, ask_px_00=2)))
    with pytest.raises(MalformedPayload, match="expands more than 1,000-fold"):
        list(opened(content, "a.dbn.zst").batches())


def test_every_flipped_byte_of_a_header_is_refused_or_read() -> None:
    whole = file_of("cbbo-1m", quotes())
    for place in range(len(whole) - 160):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        with suppress(MalformedPayload):
            list(opened(bytes(damaged)).batches())


def test_the_package_panics_where_the_decoder_refuses() -> None:
    """Its panic is no Exception: the reason why the header's edge catches more."""
    whole = bytearray(file_of("cbbo-1m", quotes()))
    whole[3] = 7
    with pytest.raises(BaseException) as raised:
        databento_dbn.Metadata.decode(bytes(whole))
    assert not isinstance(raised.value, MalformedPayload)
