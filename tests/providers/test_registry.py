"""Every entry of the registry has all that belongs to a provider."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from quantx.providers.registry import VENDORS, Vendor
from quantx.sandbox.app import WIRES
from quantx.settings import load_settings
from quantx.testing.stub_vendor import StoppedClock
from quantx.vendor_settings import KeyedVendorSettings, VendorSettings

from .test_keys import OVER_HTTP

HERE = Path(__file__).parent
OWN_CLIENT = {"yahoo", "alpaca"}  # fetched from through packages of theirs; their own tests search for the keys


@pytest.mark.parametrize("source", VENDORS)
def test_its_adapter_and_its_settings_agree(source: str) -> None:
    vendor = VENDORS[source]
    assert vendor.capabilities.source == source
    assert vendor.capabilities.quota == vendor.settings_type.default_quota
    assert vendor.capabilities.needs_key == bool(vendor.keys)
    for name in vendor.settings_type.keys if vendor.settings_type.needs is None else ():
        assert SecretStr.__name__ in str(vendor.settings_type.model_fields[name].annotation)


@pytest.mark.parametrize("source", VENDORS)
def test_it_keeps_the_contract(source: str) -> None:
    if "bars" not in VENDORS[source].capabilities.datasets:
        assert (HERE / f"test_{source}.py").exists()
        return
    files = [path for path in HERE.glob("test_*.py") if "(ProviderContract)" in path.read_text("utf-8")]
    assert [path for path in files if re.search(rf"quantx\.providers\.{source}\b", path.read_text("utf-8"))]


@pytest.mark.parametrize("source", VENDORS)
def test_it_has_a_wire_in_the_sandbox(source: str) -> None:
    assert source in {wire.source for wire in WIRES}


@pytest.mark.parametrize("source", VENDORS)
def test_a_test_searches_for_its_key(source: str) -> None:
    vendor = VENDORS[source]
    assert source in OVER_HTTP or source in OWN_CLIENT or vendor.settings_type.needs or not vendor.keys


@pytest.mark.parametrize("source", [*OVER_HTTP, "treasury", "ecb"])
def test_an_adapter_over_http_repeats_nothing_of_the_base(source: str) -> None:
    own = {name for name, _ in inspect.getmembers(VENDORS[source].adapter) if name in vars(VENDORS[source].adapter)}
    assert own.isdisjoint({"__init__", "open", "prepare", "fetch", "normalize"})


def test_the_registry_imports_no_adapter_and_no_package_of_a_vendor() -> None:
    code = (
        "import sys, quantx.providers.registry;"
        "print([m for m in sys.modules if m in ('yfinance', 'alpaca', 'pandas', 'httpx', 'requests')"
        " or m.startswith('quantx.providers.') and m.split('.')[-1] in " + repr(tuple(VENDORS)) + "])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_a_settings_class_and_an_adapter_are_all_of_an_entry() -> None:
    vendor = Vendor("fmp", _Example)
    assert vendor.keys == ("fmp_api_key",)
    assert vendor.missing_keys(load_settings()) == ("fmp_api_key",)
    assert vendor.open(load_settings(), StoppedClock()).capabilities.source == "fmp"


class _Example(KeyedVendorSettings):
    title = "Example"
    adapter = "quantx.providers.fmp:Fmp"
    default_quota = "1/s"


def test_a_settings_class_is_frozen_and_refuses_other_names() -> None:
    with pytest.raises(ValueError, match="frozen"):
        VendorSettings().quota = "1/s"  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        VendorSettings(speed=1)  # type: ignore[call-arg]
