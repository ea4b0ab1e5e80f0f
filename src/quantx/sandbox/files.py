"""The market in a folder of files: each is recognised by its header, and becomes one history."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import structlog

from quantx.core.daily_files import ALPHAVANTAGE, QUANDL, TOKYO, YAHOO, YFINANCE, Layout, read_daily_file
from quantx.core.symbols import canonical_symbol
from quantx.errors import ConfigError, InvalidSymbol
from quantx.sandbox.columns import FIELDS
from quantx.sandbox.file_dividends import implied_dividends
from quantx.sandbox.filers import Filers, read_filer_file
from quantx.sandbox.hours import day_of
from quantx.sandbox.market import Dividend, Market, PriceHistory, history, split_of
from quantx.sandbox.minute_files import Days, by_symbol, daily_history, read_minutes
from quantx.sandbox.recordings import Recordings, read_recording

log = structlog.get_logger()

_NAME = re.compile(r"(?P<symbol>.+?)(_daily)?\.csv(\.gz|\.xz)?")
_OPENERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pl.exceptions.PolarsError,
)

_SERVED = (QUANDL, YAHOO, YFINANCE, TOKYO, ALPHAVANTAGE)


def load_folder(folder: Path) -> Market:
    """Return the market in a folder and its subfolders, or raise ConfigError where no file can be served.

    Unreadable files are skipped with a warning; of two files for one symbol the first by path is served.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; name a folder of daily files or of recorded Yahoo replies")
    histories: dict[str, PriceHistory] = {}
    recordings = []
    minutes: Days = {}
    filers = Filers()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with _skipping(path):
            if read_filer_file(path, filers):
                continue
            if path.name.endswith((".json", ".json.gz")):
                recording = read_recording(path)
                recordings += [recording] if recording is not None else []
            elif recorded := read_minutes(path):
                minutes |= recorded
            elif match := _NAME.fullmatch(path.name):
                past = _read_history(path, match["symbol"])
                if histories.setdefault(past.symbol, past) is not past:
                    log.warning("sandbox.file_skipped", path=str(path), reason="another file has the symbol")
    for symbol, days in by_symbol(minutes.items()).items():
        if symbol not in histories:
            histories[symbol] = daily_history(symbol, days)
    if not histories and not recordings and not filers.by_cik:
        raise ConfigError(
            f"{folder} has no file that the sandbox can serve; it reads daily CSV files named by symbol "
            "(as-traded with events, Yahoo, yfinance), minutes (QuantConnect, Alpha Vantage), recorded chart "
            "replies (JSON), and the SEC's submissions and companyfacts (CIK##########.json)"
        )
    log.info(
        "sandbox.loaded",
        folder=str(folder),
        symbols=len(histories),
        recordings=len(recordings),
        days_of_minutes=len(minutes),
        filers=len(filers.by_cik),
    )
    kind = "files" if histories else "recorded"
    return Market(kind, histories, Recordings(recordings) if recordings else None, minutes, filers)


def _read_history(path: Path, name: str) -> PriceHistory:
    symbol = canonical_symbol(name)
    raw = _OPENERS.get(path.suffix, bytes)(path.read_bytes())
    return read_daily(symbol, raw.decode("utf-8", errors="replace"))


@contextlib.contextmanager
def _skipping(path: Path) -> Iterator[None]:
    """Skip a file that can't be read, with a line in the log."""
    try:
        yield
    except InvalidSymbol:
        log.debug("sandbox.file_skipped", path=str(path), reason="not named by a symbol")
    except _BROKEN as error:
        log.warning("sandbox.file_skipped", path=str(path), reason=str(error)[:200])


def read_daily(symbol: str, text: str) -> PriceHistory:
    """Return the history in the text of a daily file, or raise ValueError where it has no readable row.

    Lines that are no rows (error pages that a download job wrote into its files) are skipped and counted in the log.
    """
    read = read_daily_file(text)
    if read.layout not in _SERVED:
        raise ValueError(f"a file in the form {read.layout.name}, which the sandbox does not serve")
    if read.strange:
        log.warning("sandbox.lines_skipped", symbol=symbol, lines=len(read.strange))
    return _history(symbol, read.layout, read.rows)


def _history(symbol: str, layout: Layout, frame: pl.DataFrame) -> PriceHistory:
    frame = frame.sort("date", maintain_order=True)
    days = frame["date"].to_physical().cast(pl.Int64).to_numpy()
    columns = {name: _floats(frame, name) for name in FIELDS}
    facts: dict[str, Any] = {}
    if layout is QUANDL:
        dates = frame["date"].to_list()
        ratios = enumerate(frame["split"].to_list())
        splits = (split_of(dates[i], str(ratio)) for i, ratio in ratios if ratio not in (None, 1.0))
        facts["splits"] = tuple(split for split in splits if split is not None)
        paid = _floats(frame, "dividend")
        facts["dividends"] = tuple(Dividend(dates[i], float(paid[i])) for i in np.flatnonzero(paid > 0).tolist())
    elif layout is YAHOO:
        adjclose = _floats(frame, "adj_close")
        implied = implied_dividends(days, columns["close"], adjclose)
        facts["dividends"] = implied.dividends
        if not implied.explained:
            log.info("sandbox.adjclose_kept", symbol=symbol, last=str(day_of(int(days[-1]))))
            facts["adjclose"] = adjclose
    return history(symbol, days, columns, **facts)


def _floats(frame: pl.DataFrame, name: str) -> Any:
    return frame[name].fill_null(float("nan")).to_numpy().astype(np.float64)
