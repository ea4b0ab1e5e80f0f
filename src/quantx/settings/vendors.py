"""The settings of each vendor: one sub-model of `Settings` per vendor, which is also its entry in the registry.

A field of a sub-model has a flat name, too: `alpaca.feed` is `alpaca_feed` in the settings file and as a keyword, and
`QUANTX_ALPACA_FEED` in the environment. To add a vendor: one class here and one line in `BuiltInVendors`. Other
packages add theirs by entry points (see provider_packages).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field, SecretStr, create_model, field_validator

from quantx.settings.provider_packages import ProviderPackages, read_packages
from quantx.vendor_settings import KeyedVendorSettings, VendorSettings


def checked_contact(value: str | None) -> str | None:
    """Return a contact without blanks around it, None for a blank one; ValueError where a header can't have it."""
    value = (value or "").strip()
    if value and not (value.isascii() and value.isprintable() and ("@" in value or "://" in value)):
        raise ValueError("use an e-mail address or a URL, in ASCII letters and on one line")
    return value or None


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


class BuiltInVendors(BaseModel):
    """The vendors of this program; a field's name is the source in tables and tasks."""

    yahoo: YahooSettings = YahooSettings()
    alpaca: AlpacaSettings = AlpacaSettings()
    stooq: StooqSettings = StooqSettings()
    alphavantage: AlphaVantageSettings = AlphaVantageSettings()
    fmp: FmpSettings = FmpSettings()
    sec: SecSettings = SecSettings()
    treasury: TreasurySettings = TreasurySettings()
    ecb: EcbSettings = EcbSettings()


BUILT_IN: Mapping[str, type[VendorSettings]] = {
    source: field.annotation  # type: ignore[misc]  # each is a class of settings: see `BuiltInVendors`
    for source, field in BuiltInVendors.model_fields.items()
}
# With these words the names of other settings begin: a vendor's prefix must be none of them.
OTHER_SETTINGS = (
    *("alerts", "applicationinsights", "azure", "batch", "cache", "chunk", "concepts", "contact", "daily"),
    *("dashboard", "deadline"),
    *("estimator", "fallback", "features", "fundamentals", "held", "imports", "inspect", "lake", "lease", "log"),
    *("lookback", "max", "mlflow", "options", "queue", "rates", "raw", "research", "round", "s3", "settings"),
    *("sources", "spark", "sql", "state", "studies", "universe", "use", "verify"),
)
PACKAGES: ProviderPackages = read_packages(BUILT_IN, OTHER_SETTINGS)
VENDOR_SETTINGS: Mapping[str, type[VendorSettings]] = {**BUILT_IN, **PACKAGES.settings}

if TYPE_CHECKING:

    class Vendors(BuiltInVendors):
        """The part of `Settings` that lists the vendors, those of other packages among them."""

else:
    Vendors = create_model(
        "Vendors",
        __base__=BuiltInVendors,
        __doc__="The part of `Settings` that lists the vendors, those of other packages among them.",
        **{source: (kind, kind()) for source, kind in PACKAGES.settings.items()},
    )


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
