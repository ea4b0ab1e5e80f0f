"""Check daily files by the rules, without a lake."""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quantx.core.daily_files import read_daily_file
from quantx.core.foreign_errors import file_fact
from quantx.core.model import Finding
from quantx.core.quality import RULES
from quantx.core.quality.daily_file_checks import FileReport, check_file
from quantx.core.quality.market_moves import LEAST_SYMBOLS, MARKET, market_of, returns_of
from quantx.core.quality.series_findings import findings_of
from quantx.core.symbols import canonical_symbol
from quantx.errors import ConfigError, InvalidSymbol

_NAME = re.compile(r"(?P<symbol>.+?)(_daily)?(\.us)?\.(csv|txt)(\.gz|\.xz)?", re.IGNORECASE)
_UNREADABLE = (InvalidSymbol, ValueError, OSError, EOFError, zlib.error, lzma.LZMAError)
_OPENERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}


@dataclass(frozen=True)
class JudgedFile:
    """A file with its report and findings; `why` it could not be read, else None."""

    path: Path
    report: FileReport | None
    findings: Sequence[Finding]
    why: str | None = None


def judge_files(paths: Sequence[Path], symbol: str | None = None) -> Iterator[JudgedFile]:
    """Check daily files and those in folders; the symbol is that of the name, or the given one for a single file.

    Ten files or more are each other's market: the median of their returns. So they are read twice.

    Raises ConfigError if a path does not exist, or one symbol is given for several files.
    """
    files = [file for path in paths for file in _files_at(path)]
    if symbol is not None and len(files) != 1:
        raise ConfigError(f"--symbol is for a single file, and there are {len(files)} files")
    market = _market_of(files) if len(files) >= LEAST_SYMBOLS else None
    for path in files:
        try:
            report = check_file(symbol or symbol_of(path), read_daily_file(text_of(path)), market)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
            yield JudgedFile(path, None, (), "it can't be unpacked: it is cut, damaged or has a wrong ending")
        except OSError as error:
            yield JudgedFile(path, None, (), f"it can't be read: {file_fact(error)}")
        except (InvalidSymbol, ValueError) as error:  # our own texts
            yield JudgedFile(path, None, (), str(error))
        else:
            yield JudgedFile(path, report, [*_strange(path, report), *findings_of(report.violations, RULES, path.name)])


def _market_of(files: Sequence[Path]) -> pl.DataFrame:
    """Return the market of these files; one that can't be read has no part in it."""
    returns = [pl.DataFrame(schema=MARKET)]
    for path in files:
        with suppress(*_UNREADABLE):
            symbol, file = symbol_of(path), read_daily_file(text_of(path))
            if file.is_daily:
                bars = file.rows.select("date", "close").filter(pl.col("close") > 0).unique("date", keep="last")
                returns.append(returns_of(bars.with_columns(symbol=pl.lit(symbol))))
    return market_of(pl.concat(returns))


def _strange(path: Path, report: FileReport) -> Iterator[Finding]:
    if report.strange:
        text = (
            f"{report.strange} lines of {path.name} cannot be read as rows: error pages, or another format; check them"
        )
        facts = {"seen": f"{report.strange} unreadable lines", "rows": report.strange}
        yield Finding(
            "payload_readable", "error", report.symbol, text, source=path.name, dataset="bars_1d", facts=facts
        )


def _files_at(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and _NAME.fullmatch(p.name))
    if not path.is_file():
        raise ConfigError(f"no such file or folder: {path}")
    return [path]


def symbol_of(path: Path) -> str:
    """Return the symbol in the name of a file; raise InvalidSymbol where there is none."""
    name = _NAME.fullmatch(path.name)
    try:
        return canonical_symbol(name["symbol"] if name else path.name)
    except InvalidSymbol as error:
        raise InvalidSymbol(f"the file name contains no symbol ({error}); use --symbol") from error


def text_of(path: Path) -> str:
    """Return the text of a file, which may be compressed."""
    return _OPENERS.get(path.suffix, bytes)(path.read_bytes()).decode("utf-8", errors="replace")
