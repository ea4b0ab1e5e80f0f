"""The filers of symbols: the SEC's list of tickers, recorded over time."""

from __future__ import annotations

from collections.abc import Sequence

from quantx.core.symbols import is_filer, parse_symbol
from quantx.errors import ConfigError
from quantx.pipeline.runtime.context import Context
from quantx.providers.registry import why_absent
from quantx.providers.sec import SOURCE, Sec
from quantx.providers.sec_lists import TICKERS_PATH, read_tickers


def filers_of(context: Context, symbols: Sequence[str]) -> list[str]:
    """Return the filers of some symbols; ConfigError for a symbol that the SEC's list does not have."""
    provider = context.providers.get(SOURCE)
    if not isinstance(provider, Sec):
        raise ConfigError(why_absent(SOURCE, context.settings, context.providers))
    document = provider.site_file(TICKERS_PATH)
    listed = {} if document is None else {each.symbol: each.filer for each in read_tickers(document)}
    named = [s.upper() if is_filer(s.upper()) else parse_symbol(s) for s in symbols]
    unknown = [s for s in named if not is_filer(s) and s not in listed]
    if unknown:
        raise ConfigError(f"the SEC's list of tickers does not have {', '.join(unknown)}")
    return list(dict.fromkeys(s if is_filer(s) else listed[s] for s in named))
