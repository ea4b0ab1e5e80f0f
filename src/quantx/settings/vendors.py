"""The settings of each vendor: one sub-model of `Settings` per vendor, which is also its entry in the registry.

A field of a sub-model has a flat name, too: `alpaca.feed` is `alpaca_feed` in the settings file and as a keyword, and
`QUANTX_ALPACA_FEED` in the environment. To add a vendor: one class here and one line in `Vendors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from quantx.settings.quotas import parse_quota


def checked_contact(value: str | None) -> str | None:
    """Return a contact without blanks around it, None for a blank one; ValueError where a header can't have it."""
    value = (value or "").strip()
    if value and not (value.isascii() and value.isprintable() and ("@" in value or "://" in value)):
        raise ValueError("use an e-mail address or a URL, in ASCII letters and on one line")
    return value or None


class VendorSettings(BaseModel):
    """The settings that every vendor has. Descriptions may use `{title}` and `{default_quota}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: ClassVar[str]  # the vendor's own spelling of its name
    adapter: ClassVar[str]  # module:class, imported when it is used
    client: ClassVar[str] = "httpx"  # the module that the first fetch imports
    default_quota: ClassVar[str]  # the vendor's limit for an account that the setting `quota` does not name
    prefix: ClassVar[str | None] = None  # of the flat names; None: the source's name
    keys: ClassVar[tuple[str, ...]] = ()  # fields without which no request can be sent
    needs: ClassVar[str | None] = None  # what those fields are, and the next step; None: keys
    names: ClassVar[tuple[str, ...]] = ()  # other names of the source that people use
    variables: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # by field: variables that set it besides its own

    base_url: str | None = Field(default=None, description="another host that speaks {title}'s wire (the sandbox)")
    quota: str | None = Field(
        default=None,
        description="requests to {title}, of all workers together: 2/s, 200/min, 25/day, unlimited;"
        " by default {default_quota}",
    )

    @field_validator("quota")
    @classmethod
    def _quota_is_a_rate(cls, value: str | None) -> str | None:
        if value is not None:
            parse_quota(value)
        return value

    @property
    def missing_keys(self) -> tuple[str, ...]:
        """The required fields that have no value."""
        return tuple(name for name in self.keys if getattr(self, name) is None)


class KeyedVendorSettings(VendorSettings):
    """The settings of a vendor that wants one key."""

    keys: ClassVar[tuple[str, ...]] = ("api_key",)

    api_key: SecretStr | None = Field(default=None, description="{title}'s key")


class YahooSettings(VendorSettings):
    """Yahoo, through yfinance, from which the flat names come."""

    title = "Yahoo"
    adapter = "quantx.providers.yahoo:Yahoo"
    client = "quantx.providers.yahoo_session"
    default_quota = "2/s"
    prefix = "yfinance"
    names = ("yfinance", "yf")


class AlpacaSettings(VendorSettings):
    """Alpaca: two keys, and a choice of feeds."""

    title = "Alpaca"
    adapter = "quantx.providers.alpaca:Alpaca"
    client = "quantx.providers.alpaca_session"
    default_quota = "200/min"
    keys = ("api_key", "api_secret")

    api_key: SecretStr | None = Field(default=None, description="the key id of an Alpaca account")
    api_secret: SecretStr | None = Field(default=None, description="the secret that belongs to the key id")
    feed: str = Field(default="iex", description="sip (paid), iex or another feed of Alpaca's")


class StooqSettings(KeyedVendorSettings):
    """Stooq."""

    title = "Stooq"
    adapter = "quantx.providers.stooq:Stooq"
    default_quota = "1/s"


class AlphaVantageSettings(KeyedVendorSettings):
    """Alpha Vantage."""

    title = "Alpha Vantage"
    adapter = "quantx.providers.alphavantage:AlphaVantage"
    default_quota = "25/day"
    names = ("av", "alpha_vantage")
    variables: ClassVar[Mapping[str, tuple[str, ...]]] = {"api_key": ("AV_API_KEY", "ALPHA_VANTAGE_API_KEY")}


class FmpSettings(KeyedVendorSettings):
    """Financial Modeling Prep."""

    title = "Financial Modeling Prep"
    adapter = "quantx.providers.fmp:Fmp"
    default_quota = "250/day"
    variables: ClassVar[Mapping[str, tuple[str, ...]]] = {"api_key": ("FMP_API_KEY",)}


class SecSettings(VendorSettings):
    """The SEC's EDGAR: no key, but a contact in each request."""

    title = "the SEC"
    adapter = "quantx.providers.sec:Sec"
    default_quota = "5/s"  # of ten for an organisation: two fleets at once stay below
    keys = ("contact",)
    needs = "a contact: set QUANTX_CONTACT to an e-mail address or a URL, which the SEC requires in each request"

    contact: str | None = Field(
        default=None, description="an e-mail address or a URL that the SEC gets; by default the setting `contact`"
    )

    @field_validator("contact")
    @classmethod
    def _check_contact(cls, value: str | None) -> str | None:
        return checked_contact(value)


class TreasurySettings(VendorSettings):
    """The US Treasury: no key, one document per year."""

    title = "the US Treasury"
    adapter = "quantx.providers.treasury:Treasury"
    default_quota = "1/s"
    names = ("ust",)


class EcbSettings(VendorSettings):
    """The European Central Bank: no key, one document for all currencies."""

    title = "the ECB"
    adapter = "quantx.providers.ecb:Ecb"
    default_quota = "1/s"


class Vendors(BaseModel):
    """The part of `Settings` that lists the vendors; a field's name is the source in tables and tasks."""

    yahoo: YahooSettings = YahooSettings()
    alpaca: AlpacaSettings = AlpacaSettings()
    stooq: StooqSettings = StooqSettings()
    alphavantage: AlphaVantageSettings = AlphaVantageSettings()
    fmp: FmpSettings = FmpSettings()
    sec: SecSettings = SecSettings()
    treasury: TreasurySettings = TreasurySettings()
    ecb: EcbSettings = EcbSettings()


VENDOR_SETTINGS: Mapping[str, type[VendorSettings]] = {
    source: field.annotation  # type: ignore[misc]  # each is a class of settings: see `Vendors`
    for source, field in Vendors.model_fields.items()
}


_SOURCES = {name: source for source, kind in VENDOR_SETTINGS.items() for name in (source, *kind.names)}


def source_of(name: str) -> str:
    """Return the source that a name means, as in yahoo for yf; an unknown name stays.

    >>> source_of("yf"), source_of("AV"), source_of("stooq"), source_of("best")
    ('yahoo', 'alphavantage', 'stooq', 'best')
    """
    return _SOURCES.get(name.strip().lower(), name)


def flat_name(source: str, field: str) -> str:
    """Return the flat name of a vendor's setting.

    >>> flat_name("alpaca", "feed"), flat_name("yahoo", "quota")
    ('alpaca_feed', 'yfinance_quota')
    """
    return f"{VENDOR_SETTINGS[source].prefix or source}_{field}"


# (source, field) by flat name.
FLAT_NAMES: Mapping[str, tuple[str, str]] = {
    flat_name(source, field): (source, field) for source, kind in VENDOR_SETTINGS.items() for field in kind.model_fields
}


def variables_of(name: str) -> tuple[str, ...]:
    """Return the variables that set a vendor's setting, given by its flat name; the first one wins."""
    source, field = FLAT_NAMES[name]
    return (f"QUANTX_{name.upper()}", *VENDOR_SETTINGS[source].variables.get(field, ()))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with those of flat names moved into the vendors' sub-models; a flat name wins there."""
    result = {name: value for name, value in values.items() if name not in FLAT_NAMES}
    for name in FLAT_NAMES.keys() & values.keys():
        source, field = FLAT_NAMES[name]
        section = result.get(source, {})
        if isinstance(section, Mapping | VendorSettings):  # what is neither is refused with the other values
            result[source] = {**dict(section), field: values[name]}
    return result
