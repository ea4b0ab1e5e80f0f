"""The asset classes as declared data: the form of their symbols, their calendar, and what their bars contain.

A class is a property of the symbol (`class_of`). Two exceptions: a rate is one of the indices in `RATES`, and the
symbols of funds have the form of shares, so that only a list of securities (`instruments.asset_class`) names a fund.
The forms are Yahoo's (https://help.yahoo.com/kb/SLN2310.html): `BTC-USD`, `EURUSD=X`, `CL=F`, `CLZ26.NYM`, `^TNX`.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

from quantx.errors import InvalidSymbol

AssetClassName = Literal["equity", "fund", "index", "currency_pair", "crypto", "future", "rate"]

# The calendars without an exchange: see `calendars`.
EVERY_DAY, WEEKDAYS, GLOBEX = "24-7", "24-5", "GLOBEX"


@dataclass(frozen=True)
class AssetClass:
    """What the series of one class have in common."""

    name: AssetClassName
    _: KW_ONLY
    meaning: str
    example: str
    market: str | None = None  # None: the market of the exchange
    calendar: str | None = None  # None: that of the exchange
    timezone: str | None = None  # of the sessions; None: that of the exchange
    has_volume: bool = True  # False: an absent volume, or one of zero, is no finding
    has_actions: bool = False  # splits and dividends
    negative_prices: bool = False  # a price of zero or below is legal
    wire_types: frozenset[str] = frozenset()  # Yahoo's `instrumentType`


_SHARE_TYPES = frozenset({"EQUITY", "ETF", "MUTUALFUND", "NONE", "ECNQUOTE", "WARRANT", "ALTSYMBOL", "MONEYMARKET"})

ASSET_CLASSES: Mapping[AssetClassName, AssetClass] = {
    each.name: each
    for each in (
        AssetClass(
            "equity",
            meaning="a share, a depositary receipt or a unit of an exchange",
            example="AAPL",
            has_actions=True,
            wire_types=_SHARE_TYPES,
        ),
        AssetClass(
            "fund",
            meaning="a fund that is traded like a share",
            example="SPY",
            has_actions=True,
            wire_types=_SHARE_TYPES,
        ),
        AssetClass(
            "index",
            meaning="an index in points: its value has no volume, and it pays nothing",
            example="^GSPC",
            has_volume=False,
            wire_types=frozenset({"INDEX"}),
        ),
        AssetClass(
            "currency_pair",
            meaning="the price of a unit of the first currency in the second one: no exchange, so no volume",
            example="EURUSD=X",
            market="fx",
            calendar=WEEKDAYS,
            timezone="Europe/London",
            has_volume=False,
            wire_types=frozenset({"CURRENCY"}),
        ),
        AssetClass(
            "crypto",
            meaning="a crypto currency in a currency: every day of UTC is a session",
            example="BTC-USD",
            market="crypto",
            calendar=EVERY_DAY,
            timezone="UTC",
            wire_types=frozenset({"CRYPTOCURRENCY"}),
        ),
        AssetClass(
            "future",
            meaning="a future of CME Group or ICE US: a contract, or a continuous series as the vendor joins it",
            example="CL=F",
            market="futures",
            calendar=GLOBEX,
            timezone="America/New_York",
            has_volume=False,  # the vendor has days of trading with a volume of 0
            negative_prices=True,  # CL=F settled at -37.63 on 2020-04-20
            wire_types=frozenset({"FUTURE"}),
        ),
        AssetClass(
            "rate",
            meaning="a yield in percent, as an index of Cboe",
            example="^TNX",
            has_volume=False,
            negative_prices=True,
            wire_types=frozenset({"INDEX"}),
        ),
    )
}
ASSET_CLASS_NAMES = tuple(ASSET_CLASSES)
NEGATIVE_PRICES = tuple(each.name for each in ASSET_CLASSES.values() if each.negative_prices)
WITHOUT_ACTIONS = tuple(each.name for each in ASSET_CLASSES.values() if not each.has_actions)
WITHOUT_VOLUME = tuple(each.name for each in ASSET_CLASSES.values() if not each.has_volume)

# Cboe's yields of the US Treasury, in percent (https://www.cboe.com/us/indices): Yahoo sends 4.05 for 4.05 %.
RATES = frozenset({"^IRX", "^FVX", "^TNX", "^TYX"})

# ISO 4217, without funds, metals and currencies that no longer exist.
_CODES = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP"
    " CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG"
    " HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA"
    " MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD"
    " RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX"
    " USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG"
)
CURRENCIES = frozenset(_CODES.split())
# A hyphen before one of these is a crypto currency, before anything else a class of shares (BRK-B).
CRYPTO_QUOTES = CURRENCIES | {"USDT", "USDC", "BTC", "ETH"}

# Yahoo's suffix of a contract: its exchange.
FUTURES_EXCHANGES = {
    "NYM": "NYMEX: energy",
    "CMX": "COMEX: metals",
    "CBT": "Chicago Board of Trade: grains, bonds",
    "CME": "Chicago Mercantile Exchange: indices, currencies, livestock",
    "NYB": "ICE Futures US: sugar, coffee, cotton",
}
# The forms of canonical symbols by market, for queries over columns (regular expressions of Polars and DuckDB).
FORMS_OF_MARKETS = {
    "fx": "=X$",
    "crypto": "^[A-Z0-9]+-[A-Z]+$",
    "futures": rf"=F$|\.(?:{'|'.join(FUTURES_EXCHANGES)})$",
}
_MONTHS = "FGHJKMNQUVXZ"  # the codes of the months of delivery, January to December

_PAIR = re.compile(r"([A-Z]{3})([A-Z]{3})=X")
_DOLLAR_PAIR = re.compile(r"([A-Z]{3})=X")
_CRYPTO = re.compile(r"([A-Z0-9]{1,10})-([A-Z]{3,4})")
_CONTINUOUS = re.compile(r"[A-Z0-9]{1,4}=F")
_CONTRACT = re.compile(rf"([A-Z0-9]{{1,3}})([{_MONTHS}])([0-9]{{2}})\.([A-Z]{{3}})")
_SLASHED = re.compile(r"([A-Z0-9]{1,10})[/-]([A-Z]{3,4})")


@lru_cache(maxsize=65536)
def class_of(symbol: str) -> AssetClassName:
    """Return the class of a canonical symbol, which its form shows; `equity` for funds, too.

    >>> [class_of(each) for each in ("AAPL", "BRK.B", "^GSPC", "^TNX", "EURUSD=X", "BTC-USD", "CL=F", "CLZ26.NYM")]
    ['equity', 'equity', 'index', 'rate', 'currency_pair', 'crypto', 'future', 'future']
    """
    if symbol.startswith("^"):
        return "rate" if symbol in RATES else "index"
    name = _class_without_exchange(symbol)
    return "equity" if name is None else name


def facts_of_class(symbol: str) -> AssetClass:
    """Return the facts of the class of a canonical symbol."""
    return ASSET_CLASSES[class_of(symbol)]


def classed_symbol(text: str) -> str | None:
    """Return the canonical form of a pair, a crypto currency or a future in upper case; None for any other text.

    Yahoo's short form of a pair with the US dollar (`JPY=X`) gets its base.

    >>> classed_symbol("EURUSD=X"), classed_symbol("JPY=X"), classed_symbol("BTC-USD"), classed_symbol("BRK-B")
    ('EURUSD=X', 'USDJPY=X', 'BTC-USD', None)
    """
    if (short := _DOLLAR_PAIR.fullmatch(text)) and short[1] != "USD":
        text = f"USD{text}"
    return None if _class_without_exchange(text) is None else text


def symbol_of_pair(text: str) -> str | None:
    """Return the canonical symbol of two currencies with a slash or a hyphen between; None for any other text.

    >>> symbol_of_pair("BTC/USD"), symbol_of_pair("EUR/USD"), symbol_of_pair("BRK/B")
    ('BTC-USD', 'EURUSD=X', None)
    """
    match = _SLASHED.fullmatch(text)
    if match is None:
        return None
    return classed_symbol(f"{match[1]}{match[2]}=X") or classed_symbol(f"{match[1]}-{match[2]}")


def currencies_of(symbol: str) -> tuple[str, str]:
    """Return the base and the quote currency of a pair or a crypto currency; InvalidSymbol for any other symbol.

    >>> currencies_of("EURUSD=X"), currencies_of("BTC-USD")
    (('EUR', 'USD'), ('BTC', 'USD'))
    """
    match = _PAIR.fullmatch(symbol) or _CRYPTO.fullmatch(symbol)
    if match is None:
        raise InvalidSymbol(f"{symbol[:40]!a} is no pair of currencies; write it as in EURUSD=X or BTC-USD")
    return match[1], match[2]


def inverse_pair(symbol: str) -> str:
    """Return the pair with base and quote exchanged; InvalidSymbol for a symbol that is no currency pair.

    >>> inverse_pair("EURUSD=X")
    'USDEUR=X'
    """
    base, quote = currencies_of(symbol)
    if _class_without_exchange(f"{quote}{base}=X") is None:
        raise InvalidSymbol(f"{symbol[:40]!a} is no pair of two currencies, so it has no inverse")
    return f"{quote}{base}=X"


def is_traded(symbol: str) -> bool:
    """Return whether the symbol can be traded: an index, a rate and a continuous future can't.

    >>> is_traded("CLZ26.NYM"), is_traded("CL=F"), is_traded("^GSPC"), is_traded("AAPL")
    (True, False, False, True)
    """
    return not (symbol.startswith("^") or _CONTINUOUS.fullmatch(symbol))


def contract_month(symbol: str) -> date | None:
    """Return the last day of the month of delivery of a future's contract; None for a symbol that is no contract.

    A contract has no bar after this day. Most end earlier: crude oil for delivery in December ends in November.

    >>> contract_month("CLZ26.NYM"), contract_month("CL=F")
    (datetime.date(2026, 12, 31), None)
    """
    match = _CONTRACT.fullmatch(symbol)
    if match is None or match[4] not in FUTURES_EXCHANGES:
        return None
    year, month = 2000 + int(match[3]), _MONTHS.index(match[2]) + 1
    return date(year, month, monthrange(year, month)[1])


# Most contracts end in or before the month of delivery, those of energy up to six weeks before its first day.
_ENDS_WITHIN = timedelta(days=75)


def ends_from(symbol: str) -> date | None:
    """Return the day from which a future's contract may have ended; None for a symbol that is no contract.

    A contract without a bar after its last one is complete from this day on.

    >>> ends_from("CLZ26.NYM")
    datetime.date(2026, 10, 17)
    """
    month = contract_month(symbol)
    return None if month is None else month - _ENDS_WITHIN


def wire_of_class(symbol: str) -> str:
    """Return Yahoo's form of a pair, a crypto currency or a future: pairs from the US dollar have no base.

    >>> wire_of_class("USDJPY=X"), wire_of_class("EURUSD=X"), wire_of_class("CL=F")
    ('JPY=X', 'EURUSD=X', 'CL=F')
    """
    return symbol.removeprefix("USD") if _PAIR.fullmatch(symbol) else symbol


def quoted_currency(symbol: str) -> str | None:
    """Return the currency that the form of a symbol names; None where it names none.

    >>> quoted_currency("EURUSD=X"), quoted_currency("BTC-EUR"), quoted_currency("CL=F")
    ('USD', 'EUR', None)
    """
    return currencies_of(symbol)[1] if class_of(symbol) in ("currency_pair", "crypto") else None


def _class_without_exchange(symbol: str) -> AssetClassName | None:
    if match := _PAIR.fullmatch(symbol):
        return "currency_pair" if match[1] != match[2] and CURRENCIES.issuperset(match.groups()) else None
    if match := _CRYPTO.fullmatch(symbol):
        return "crypto" if match[2] in CRYPTO_QUOTES and match[1] not in {*CURRENCIES, match[2]} else None
    if _CONTINUOUS.fullmatch(symbol):
        return "future"
    match = _CONTRACT.fullmatch(symbol)
    return "future" if match and match[4] in FUTURES_EXCHANGES else None
