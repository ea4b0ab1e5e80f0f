"""Symbols in the names of files: those of vendors, download jobs and exports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from quantx.core.symbols import canonical_symbol, symbol_of
from quantx.errors import InvalidSymbol
from quantx.providers.stooq import INDICES

# Parts of a name that say something about the data and nothing about the symbol.
_WORDS = (
    r"(?:daily|day|d|1d|eod|minutes?|min|1min|1m|intraday|trades?|prices?|bars?|ohlcv?|data|history|historical|hist|"
    r"stock|stocks|quotes?|adjusted|adj|raw|unadjusted|full|yahoo|stooq|\d{4}(?:-?\d{2}(?:-?\d{2})?)?|"
    r"\d+y|\d+min)"
)
_LONELY = re.compile(rf"{_WORDS}|table|download|historicaldata")  # files with no symbol in their names
_COMPANY = re.compile(r"[A-Z][a-z]{3,}")  # as in Apple: the symbol of a company's name is not guessed
_TAIL = re.compile(rf"(?:[ _]{_WORDS})+$", re.IGNORECASE)
_HEAD = re.compile(r"^(?:table|stock|daily|historicaldata|hist)[ _](?=.)", re.IGNORECASE)
_STOOQ = re.compile(r"(?P<code>[a-z0-9^._-]+)_(?P<market>us|uk|jp|hk|de|pl)_[dwm]", re.IGNORECASE)
_STOOQ_INDEX = re.compile(r"(?P<code>\^[a-z0-9]+)_[dwm]", re.IGNORECASE)
_CURRENCIES = frozenset(
    (
        *("AUD", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "JPY", "MXN", "NOK", "NZD"),
        *("PLN", "SEK", "SGD", "TRY", "USD", "ZAR"),
    )
)
_SHARE_CLASS = re.compile(r"([A-Z]{1,5})_([A-Z])")
_OURS_OF_STOOQ = {theirs: ours for ours, theirs in INDICES.items()}


@dataclass(frozen=True, kw_only=True)
class SymbolRule:
    """How the symbols of a source's files are read."""

    names: Mapping[str, str] = field(default_factory=dict)  # the files' spelling: the symbol
    suffix: str = ""  # added to symbols without one, as in .HK
    pattern: str | None = None  # of the file's path, with a group `symbol`

    def symbol(self, text: str) -> str:
        """Return the canonical symbol of a file's spelling; InvalidSymbol where it is none."""
        text = text.strip()
        if text in self.names:
            return symbol_of(self.names[text])
        if len(text) == 6 and {text[:3].upper(), text[3:].upper()} <= _CURRENCIES:
            raise InvalidSymbol(
                f"{text} has the form of a share and of a pair of currencies: name it {text.upper()}=X, or declare its"
                " symbol in config/imports.yaml"
            )
        if (own := _OURS_OF_STOOQ.get(text.lower())) is not None:
            return own
        if _COMPANY.fullmatch(text):
            raise InvalidSymbol(
                f"{text!a} has the form of a name, not of a symbol: write the symbol in capitals, or declare it, as in"
                f" symbols: {{{text}: SYMBOL}} in config/imports.yaml"
            )
        if self.suffix and not text.upper().endswith(self.suffix.upper()):
            text = f"{text}{self.suffix}"
        try:
            return symbol_of(text)
        except InvalidSymbol:
            share_class = _SHARE_CLASS.fullmatch(text)  # Quandl's BRK_A
            return canonical_symbol(f"{share_class[1]}-{share_class[2]}" if share_class else text)

    def of_file(self, path: str, name: str) -> str:
        """Return the symbol that a file is named after; InvalidSymbol where it is none."""
        if self.pattern is not None:
            match = re.search(self.pattern, path)
            if match is None:
                raise InvalidSymbol(f"the path does not have the form {self.pattern!a} of --symbol-pattern")
            return self.symbol(match["symbol"])
        stem = re.sub(r"\.(csv|txt|tsv|parquet|xlsx?|xlsm|ods)$", "", name, flags=re.IGNORECASE)
        if stem in self.names:
            return self.symbol(stem)
        if len(stem) > 3 and not stem.isupper() and _LONELY.fullmatch(stem.lower()):
            raise InvalidSymbol(
                f"its name {stem!a} is no symbol: name the file after its symbol, or declare the symbol, as in symbols:"
                f" {{{stem}: AAPL}} in config/imports.yaml"
            )
        for each in (_STOOQ, _STOOQ_INDEX):
            if match := each.fullmatch(stem):
                market = match.groupdict().get("market")
                return self.symbol(f"{match['code']}.{market}" if market else match["code"])
        try:
            return self.symbol(stem)
        except InvalidSymbol:
            bare = _HEAD.sub("", _TAIL.sub("", stem))
            if bare == stem or re.fullmatch(_WORDS, bare, re.IGNORECASE):
                raise
            return self.symbol(bare)


def is_of_stooq(name: str) -> bool:
    """Return whether a file has the name of a download from Stooq, as in aapl_us_d.csv."""
    stem = name.rpartition(".")[0]
    return bool(_STOOQ.fullmatch(stem) or _STOOQ_INDEX.fullmatch(stem))
