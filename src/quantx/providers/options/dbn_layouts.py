"""The records of DBN: per schema the table that takes it, the record type, and the layout in each version.

DBN (https://databento.com/docs/standards-and-conventions/databento-binary-encoding) has a header with metadata, then
records of one length. Prices are 1e-9 fixed point, times are nanoseconds UTC, the largest value of a type is undefined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantx.providers.options.protocol import OptionKind

VERSIONS = (1, 2, 3)
SOURCES = {"OPRA.PILLAR": "databento"}
UNDEFINED_PRICE = np.iinfo(np.int64).max
UNDEFINED_TIME = np.iinfo(np.uint64).max
UNDEFINED_SIZE = np.iinfo(np.uint32).max
PRICE_SCALE = 1e9
DAY = 86_400 * 10**9  # nanoseconds
NO_DAY = UNDEFINED_TIME // DAY


@dataclass(frozen=True)
class RecordLayout:
    """A schema that a table takes."""

    kind: OptionKind
    rtype: int
    clock: str  # the field by which the vendor assigns a record to a UTC day
    classes: tuple[str, str, str]  # of databento_dbn for the versions 1, 2, 3

    def dtype(self, version: int, ts_out: bool) -> np.dtype[np.void]:
        """Return the layout of a record; a live capture may append its sending time."""
        import databento_dbn

        fields = list(getattr(databento_dbn, self.classes[version - 1])._dtypes)  # noqa: SLF001 - its only layouts
        return np.dtype([*fields, ("ts_out", "u8")] if ts_out else fields)


def _bars(rtype: int) -> RecordLayout:
    return RecordLayout("ohlcv_1d", rtype, "ts_event", ("OHLCVMsg",) * 3)


LAYOUTS = {
    "cbbo-1m": RecordLayout("quotes_1m", 0xC1, "ts_recv", ("CBBOMsg",) * 3),
    "trades": RecordLayout("trades", 0x00, "ts_recv", ("TradeMsg",) * 3),
    "ohlcv-1s": _bars(0x20),
    "ohlcv-1m": _bars(0x21),
    "ohlcv-1h": _bars(0x22),
    "ohlcv-1d": _bars(0x23),
    "statistics": RecordLayout("open_interest", 0x18, "ts_recv", ("StatMsgV1", "StatMsgV1", "StatMsg")),
    "definition": RecordLayout(
        "contracts", 0x13, "ts_recv", ("InstrumentDefMsgV1", "InstrumentDefMsgV2", "InstrumentDefMsg")
    ),
}
